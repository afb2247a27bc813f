"""The whole story, in small: it runs, learns something a linear probe sees, and writes what it promises."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from desa.config import Settings, settings
from desa.demo import CONCATENATED, JOINT, run_demo


def tiny_demo() -> Settings:
    few = {"steps": 30, "batch_size": 16, "learning_rate": 1e-3, "validate_every": 15}
    return settings(
        "mini",
        preprocess_lightcurve={"length": 2160},
        lightcurve={
            "cnn_widths": [8, 16, 16],
            "log_axis": 64,
            "width": 16,
            "features": 24,
            "heads": 2,
            "blocks": 1,
        },
        spectrum={"cnn_widths": [4, 8, 8, 16, 16, 16], "heads": 2, "blocks": 1},
        dualformer={"width": 32, "groups": 4, "blocks": 1, "heads": 2},
        train_spectrum=few,
        train_lightcurve=few,
        train_align={**few, "batch_size": 64},
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    run_demo(out, stars=200, seed=1, processes=1, chosen=tiny_demo())
    return out


def test_report_and_numbers(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    assert "mock survey of 200 stars" in page
    assert page.count("data:image/png;base64") == 3
    results = json.loads((demo / "results.json").read_text())
    assert results["provenance"]["data"].startswith("mock survey")
    names = {row["features"] for row in results["probes"]}
    assert {JOINT, CONCATENATED, "untrained encoders side by side"} <= names
    assert len(names) == 7
    teff = {row["features"]: row["r2"] for row in results["probes"] if row["label"] == "teff"}
    assert teff["principal components of the inputs"] > 0.5
    assert teff[JOINT] > 0.3


def test_embedding_of_the_survey_and_of_files(demo: Path) -> None:
    table = pq.read_table(demo / "embedding.parquet")
    assert table.num_rows == 200
    assert set(table.column("modality").to_pylist()) == {"joint"}
    files = pq.read_table(demo / "embedding_of_files.parquet")
    assert len(set(files.column("star_id").to_pylist())) == 12
    assert set(files.column("modality").to_pylist()) == {"joint"}


def test_started_again_it_keeps_what_is_finished(demo: Path) -> None:
    """Every stage is done: nothing is trained, no checkpoint is written anew."""
    kept = [demo / stage / "checkpoint.pt" for stage in ("spectrum", "lightcurve", "joint")]
    before = [path.stat().st_mtime_ns for path in kept]
    run_demo(demo, stars=200, seed=1, processes=1, chosen=tiny_demo())
    assert [path.stat().st_mtime_ns for path in kept] == before
