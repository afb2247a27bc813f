"""A file is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from desa.files import written_whole


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    with written_whole(target) as scratch:
        scratch.write_text("old")
    with pytest.raises(RuntimeError), written_whole(target) as scratch:
        scratch.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]
