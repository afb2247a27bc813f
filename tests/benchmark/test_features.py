from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from desa.benchmark.features import read_features
from desa.cli import app
from desa.errors import DesaError
from desa.evaluation.phase import phase_of


def cached(folder: Path, shared_star: bool = False) -> Path:
    """A small folder as the features of arXiv 2606.11190 are laid out."""
    rng = np.random.default_rng(3)
    folder.mkdir()
    for split, size, first in (("train", 160, 0), ("test", 60, 1000)):
        hidden = rng.normal(size=(size, 4))
        np.save(folder / f"z_lamost_{split}.npy", hidden @ np.eye(4, 12) + 0.1 * rng.normal(size=(size, 12)))
        np.save(folder / f"z_kepler_{split}.npy", hidden @ np.eye(4, 6) + 0.1 * rng.normal(size=(size, 6)))
        kid = np.arange(first, first + size)
        if shared_star and split == "test":
            kid[0] = 5
        columns = {"KID": kid, "teff": 5800 + 300 * hidden[:, 0], "prot": 10 ** (1 + 0.2 * hidden[:, 1])}
        pq.write_table(pa.table(columns), folder / f"meta_{split}.parquet")
    return folder


def test_command_reads_cached_features(tmp_path: Path) -> None:
    folder = cached(tmp_path / "features")
    result = CliRunner().invoke(app, ["benchmark", "--features", str(folder), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "phases.json").read_text())["phases"]
    assert [one["label"] for one in found] == ["teff", "log_prot"]
    assert found[0]["n_train"] == 160 and found[0]["n_test"] == 60
    assert found[0]["r2"]["concatenation"] > 0.9


def test_a_star_on_both_sides_is_a_training_star(tmp_path: Path) -> None:
    split = read_features(cached(tmp_path / "features", shared_star=True)).split
    assert split[160] == "train" and (split == "test").sum() == 59


def test_a_folder_without_them_is_refused(tmp_path: Path) -> None:
    folder = cached(tmp_path / "features")
    (folder / "z_kepler_test.npy").unlink()
    with pytest.raises(DesaError, match="test"):
        read_features(folder)


@pytest.mark.parametrize("name", ["z_kepler_test.npy", "meta_train.parquet"])
def test_pipes_are_refused_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = cached(tmp_path / "features")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(DesaError, match="no cached features"):
        read_features(folder)


def test_verdict_tells_shared_signal_from_none() -> None:
    """Two noisy looks at one number: aligning averages the noise, where the nuisances are independent."""
    rng = np.random.default_rng(0)
    size = 1200
    number = rng.normal(size=size)
    nuisance = rng.normal(size=(size, 40))
    views = [
        np.column_stack([number + 0.8 * rng.normal(size=size), nuisance[:, k : k + 20]]) for k in (0, 20)
    ]
    split = np.array(["train"] * 800 + ["test"] * 400)
    shared = phase_of(*views, number, split, "shared", components=1)
    assert shared.verdict in ("alignment", "both") and shared.stability >= 0.5
    alone = phase_of(*views, nuisance[:, 0], split, "nuisance", components=1)
    assert alone.verdict == "neither" and alone.r2["spectrum"] > 0.9 > alone.r2["alignment"]
