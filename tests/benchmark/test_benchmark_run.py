from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from desa.benchmark.base import CANDIDATES, TASKS
from desa.benchmark.collect import arrays_of, collect
from desa.benchmark.page import write_benchmark
from desa.benchmark.runner import run
from desa.benchmark.work import Cell, Place, validation_scores
from desa.errors import SettingsError
from desa.survey.store import Survey
from helpers.quick import quick_design, quick_settings


def test_every_cell_is_a_file_with_scores(finished: Place) -> None:
    files = sorted(
        path.relative_to(finished.folder / "cells") for path in finished.folder.glob("cells/*/*/*.json")
    )
    wanted = {
        Path(task) / model / f"seed{seed}.json"
        for task in ("probe", "ages", "few_shot", "retrieval")
        for model in ("desa", "moco", "concatenation", "before_alignment", "joint_sum")
        for seed in range(1 if model == "joint_sum" else 2)
        if not (task == "few_shot" and model == "joint_sum")
        and not (task == "retrieval" and model in ("concatenation", "before_alignment"))
    }
    assert set(files) == wanted
    cell = json.loads((finished.folder / "cells/probe/desa/seed0.json").read_text())
    assert cell["data"] == "mock survey" and cell["prior"] == "none"
    teff = [s for s in cell["scores"] if s["label"] == "teff" and s["metric"] == "r2"]
    assert len(teff) == 1 and np.isfinite(teff[0]["value"]) and teff[0]["chance"] == 0


def test_a_task_without_labels_says_why(finished: Place) -> None:
    cell = json.loads((finished.folder / "cells/ages/desa/seed0.json").read_text())
    assert cell["scores"] == [] and "label" in cell["left_out"]


def test_search_has_as_many_trials_with_a_temperature_as_without(finished: Place) -> None:
    counts = {path.name: len(list(path.glob("*.json"))) for path in (finished.folder / "search").iterdir()}
    assert counts == {"desa": 4, "moco": 4}, "ablations use the search of DESA"


def test_the_chosen_trial_did_best(finished: Place) -> None:
    trials = [json.loads((finished.folder / f"search/desa/{n}.json").read_text()) for n in range(4)]
    best = max(trials, key=lambda trial: trial["score"])
    facts = json.loads((finished.folder / "models/desa/seed1/training.json").read_text())
    assert (facts["learning_rate"], facts["temperature"]) == (best["learning_rate"], best["temperature"])


def test_a_killed_run_goes_on_where_it_stopped(
    finished: Place, survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = finished.cell_file("probe", "moco", 1)
    before = lost.read_bytes()
    kept = {
        path: path.stat().st_mtime_ns for path in finished.folder.glob("cells/*/*/*.json") if path != lost
    }
    lost.unlink()
    made = []
    original = Cell.do
    monkeypatch.setattr(Cell, "do", lambda cell, place: (made.append(cell), original(cell, place)))
    run(survey, quick_settings(), quick_design(), finished.folder)
    assert [(cell.task.name, cell.candidate.name, cell.seed) for cell in made] == [("probe", "moco", 1)]
    assert lost.read_bytes() == before, "the same numbers again"
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_another_budget_is_refused(finished: Place, survey: Survey) -> None:
    with pytest.raises(SettingsError, match="another budget"):
        run(survey, quick_settings(), quick_design(steps=4), finished.folder)


def test_tables_and_page(finished: Place) -> None:
    design = quick_design()
    results = collect(finished, design)
    table = pq.read_table(finished.folder / "results.parquet")
    assert table.num_rows == results.table.num_rows > 50
    lines = (finished.folder / "results.csv").read_text().splitlines()
    assert len(lines) == table.num_rows + 1 and lines[0].startswith("task,label,part,metric,model,group,seed")
    content = json.loads((finished.folder / "results.json").read_text())
    assert content["provenance"]["survey"] == finished.inputs().survey.identity
    tests = {(test["model"], test["label"]) for test in content["paired_tests"] if test["task"] == "probe"}
    assert ("concatenation", "teff") in tests and ("moco", "teff") in tests
    assert {"retrieval", "few_shot"} <= {test["task"] for test in content["paired_tests"]}
    page = write_benchmark(finished, design, results).read_text()
    for text in (
        "mock survey",
        "Does alignment add anything?",
        "Concatenation",
        "chance",
        "Left out",
        "results.csv",
    ):
        assert text in page
    assert page.index("DESA before alignment") < page.index("Concatenation"), "the first table comes first"
    assert "<summary>Ablations</summary>" in page and "sum, no projection" in page
    assert page.index("Ablations (Fig. 4)") > page.index("<summary>Ablations</summary>")
    text = (finished.folder / "report.md").read_text()
    assert "mock survey" in text and "| **DESA** | none |" in text


def test_models_of_a_seed_are_tested_on_the_same_stars(finished: Place) -> None:
    own, other = (arrays_of(finished, TASKS["probe"], CANDIDATES[name], 0) for name in ("desa", "moco"))
    np.testing.assert_array_equal(own["teff/truth"], other["teff/truth"])
    assert not np.array_equal(own["teff/predicted"], other["teff/predicted"])


def test_validation_scores_use_the_valid_split_only() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 3)).astype(np.float32)
    split = np.array(["train"] * 200 + ["valid"] * 100)
    label = features @ np.array([1.0, 2.0, 3.0])
    scores = validation_scores(features, split, {"good": label, "rare": np.full(300, np.nan)})
    assert list(scores) == ["good"] and scores["good"] > 0.99
    label[200:] = rng.permutation(label[200:])
    assert validation_scores(features, split, {"good": label})["good"] < 0.5


@pytest.mark.slow
def test_side_by_side_gives_the_same(finished: Place, survey: Survey, tmp_path: Path) -> None:
    """Work travels to other processes whole."""
    folder = shutil.copytree(finished.folder, tmp_path / "benchmark")
    for part in ("cells", "models/moco", "search/moco"):
        shutil.rmtree(folder / part)
    place = run(survey, quick_settings(), quick_design(), folder, processes=2)
    for path in finished.folder.glob("cells/*/*/*.json"):
        assert (place.folder / path.relative_to(finished.folder)).read_bytes() == path.read_bytes()


def test_work_travels_to_other_processes() -> None:
    for task, candidate in zip(TASKS, CANDIDATES, strict=False):
        cell = pickle.loads(pickle.dumps(Cell(task, candidate, 3)))
        assert (cell.task.name, cell.candidate.name, cell.seed) == (task.name, candidate.name, 3)
        assert cell.task.wants(candidate) == task.wants(candidate)
    for candidate in CANDIDATES:
        assert pickle.loads(pickle.dumps(candidate)).title == candidate.title
