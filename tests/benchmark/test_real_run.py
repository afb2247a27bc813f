"""The real track by the command that users have: a survey of real stars, a model, a page."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from desa.benchmark.base import CANDIDATES, TASKS
from desa.benchmark.inputs import REAL_LIGHTCURVES, REAL_SPECTRA
from desa.cli import app
from desa.models.network import Network
from desa.survey.store import Survey
from helpers.tiny import tiny_settings
from helpers.zoo import zoo_survey

TRACKS = (REAL_SPECTRA, REAL_LIGHTCURVES)


def benchmark(survey: Survey, model: Path, out: Path, *more: str) -> tuple[int, str]:
    given = [str(survey.path), "--model", str(model), "--seeds", "1", "--processes", "1", "-o", str(out)]
    done = CliRunner().invoke(app, ["benchmark", *given, *more])
    return done.exit_code, f"{done.output} {done.exception}"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desa.benchmark.candidates.fine_tuned.LEAST_STEPS", 2)
    monkeypatch.setattr("desa.benchmark.candidates.fine_tuned.EPOCHS", 1)
    monkeypatch.setattr("desa.evaluation.crossvalidation.held_out.__kwdefaults__", {"repeats": 1})
    monkeypatch.setattr("desa.benchmark.tasks.variable_classes.REPEATS", 2)
    monkeypatch.setattr("desa.benchmark.tasks.few_real_labels.DRAWS", 2)
    monkeypatch.setattr(
        "desa.evaluation.crossvalidation.KERNEL_GRID", {"alpha": [1e-2], "gamma": [1e-2, 1e-1]}
    )
    monkeypatch.setitem(CANDIDATES["filled"].fit.__globals__["TRAINING"], "steps", 2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = Network(tiny_settings(), ["spectrum", "lightcurve"])
    network.metadata = {"data": "mock survey"}
    network.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
def test_every_task_and_candidate_of_the_real_track_is_on_the_page(model: Path, tmp_path: Path) -> None:
    survey = zoo_survey(tmp_path / "survey", 45, 60)
    code, said = benchmark(survey, model, tmp_path / "out")
    assert code == 0, said
    with (tmp_path / "out" / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["data"] for row in rows} == {"real stars"}
    tasks = {task.name for task in TASKS if task.track in TRACKS}
    assert {row["task"] for row in rows} == tasks and len(tasks) == 8
    candidates = [candidate for candidate in CANDIDATES if candidate.track in TRACKS]
    assert {row["model"] for row in rows} == {candidate.name for candidate in candidates}
    values = np.array([float(row["value"]) for row in rows])
    assert np.isfinite(values).all()
    page = (tmp_path / "out" / "report.md").read_text()
    assert "Data: **real stars" in page
    for named in [*candidates, *(task for task in TASKS if task.name in tasks)]:
        assert named.title in page, named.name


def test_a_survey_of_spectra_alone_gets_the_tasks_on_spectra(model: Path, tmp_path: Path) -> None:
    survey = zoo_survey(tmp_path / "survey", 0, 60)
    names = "few_real_labels,kinds_of_lightcurve,spectrum_head"
    assert benchmark(survey, model, tmp_path / "out", "--only", names)[0] != 0, "it has no light curve"
    code, said = benchmark(survey, model, tmp_path / "out", "--only", "few_real_labels,spectrum_head")
    assert code == 0, said


def test_a_model_that_knows_real_stars_is_refused(tmp_path: Path) -> None:
    survey = zoo_survey(tmp_path / "survey", 0, 20)
    network = Network(tiny_settings(), ["spectrum"])
    network.metadata = {"data": "mock survey and real survey"}
    network.save(tmp_path / "model")
    code, said = benchmark(survey, tmp_path / "model", tmp_path / "out")
    assert code == 1 and "has learned from real stars" in said
    assert not (tmp_path / "out").exists()
