"""Arrays kept on disk: the same numbers, and none where the file is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desa.arrays import TRAILER, read_array, written_array


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, values = tmp_path / "below" / "a.npy", np.random.default_rng(0).normal(size=(50, 7))
    assert read_array(path) is None
    with written_array(path, np.float32, values.shape) as rows:
        rows[...] = values
    found = read_array(path)
    assert found is not None and not found.flags.writeable
    np.testing.assert_array_equal(found, values.astype(np.float32))
    np.testing.assert_array_equal(np.load(path), found)  # NumPy's own format
    assert path.stat().st_size == 128 + 50 * 7 * 4 + TRAILER


def test_any_lost_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with written_array(path, np.float32, (2000,)) as rows:
        rows[...] = 1
    whole = path.read_bytes()
    for place, size in ((0, 1), (60, 4), (202, 1), (4096, 512), (len(whole) - 9, 8)):
        path.write_bytes(whole[:place] + bytes(size) + whole[place + size :])
        assert read_array(path) is None
    for cut in (0, 10, 200, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert read_array(path) is None
    np.save(path, np.ones(2000, np.float32))  # one without a checksum
    assert read_array(path) is None


def test_a_failed_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), written_array(tmp_path / "a.npy", np.float32, (3,)):
        raise KeyError
    assert not list(tmp_path.iterdir())
