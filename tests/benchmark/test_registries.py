"""What registers itself is on the page: every candidate in its tables, every task with its section."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from desa.benchmark.base import CANDIDATES, MODELS, TASKS, BenchmarkTask, Candidate, Registry
from desa.benchmark.collect import collect
from desa.benchmark.design import Design, make_design
from desa.benchmark.inputs import PAIRS, REAL_SPECTRA
from desa.benchmark.page import body, write_benchmark
from desa.benchmark.results import Mean, Results
from desa.benchmark.runner import run
from desa.benchmark.work import Place
from desa.errors import SettingsError
from desa.report.page import Part, Table
from desa.survey.store import Survey
from helpers.quick import ONLY, quick_design, quick_settings

TOY = """
import numpy as np

from desa.benchmark.base import CANDIDATES, TASKS, BenchmarkTask, Candidate, Column, TaskResult
from desa.evaluation.score import Score


class Noise(Candidate):
    def embed(self, inputs, seed, folder):
        rows = np.random.default_rng(seed).normal(size=(len(inputs.stars), 4)).astype(np.float32)
        return {"joint": rows, "head_spectrum": rows[:, :2], "head_lightcurve": rows[:, 2:]}


class Width(BenchmarkTask):
    def run(self, material):
        return TaskResult([Score(self.name, "width", "count", material.joint.shape[1], 0.0, 1.0, 7)])

    def finding(self, results):
        return "Toys were measured."


CANDIDATES.add(Noise("noise", "Noise", "nothing at all", 3.5, group="control"))
TASKS.add(Width("width", "How wide it is", "Counted.", 35, columns=[Column("numbers", "width", "count")]))
"""


def mean(value: float) -> Mean:
    return Mean(value, 0.001, 0.0, 0.001, 0.25, 100, 1, "none")


def everything() -> tuple[Design, Results]:
    """Results in which every candidate has every score that a task shows, each of another value."""
    design, means = make_design("mini", 1, suits=lambda track: True), {}
    for task in design.tasks:
        columns = [*task.columns, *(column for _, own in task.tables for column in own)]
        for candidate in design.wanted(task):
            for column in columns:
                key = (task.name, column.label, column.part, column.metric, candidate.name)
                means[key] = mean(len(means) / 1000)
    return design, Results(pa.table({}), means)


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    return body(*everything(), "mock survey", {})


def tables(parts: list[Part], title: str) -> list[Table]:
    (part,) = (part for part in parts if part.title == title)
    return [item for item in part.items if isinstance(item, Table)]


@pytest.mark.parametrize("task", list(TASKS), ids=lambda task: task.name)
def test_a_task_has_its_section_and_a_candidate_its_row(task: BenchmarkTask, parts: list[Part]) -> None:
    found = tables(parts, task.title)
    if task.ablations:
        found += tables(parts, task.ablations[0])
    wanted = [candidate for candidate in CANDIDATES if task.wants(candidate)]
    assert wanted and task.columns, "a task is for somebody and shows something"
    results = everything()[1]
    for caption, columns in ((task.caption, task.columns), *task.tables):
        headings = ["model", "prior", *(column.heading for column in columns)]
        rows = {
            row[0]: list(row[2:])
            for table in found
            if list(table.columns) == headings and table.caption.startswith(caption)
            for row in table.rows
        }
        assert rows["chance"] == [f"{0.25:.{column.digits}f}" for column in columns]
        for candidate in wanted:
            if candidate.group == "ablation" and columns is not task.columns:
                continue
            keys = [(task.name, c.label, c.part, c.metric, candidate.name) for c in columns]
            values = [results.means[key].value for key in keys]
            cells = [f"{v:.{c.digits}f} ± {0.001:.{c.digits}f}" for v, c in zip(values, columns, strict=True)]
            assert rows[candidate.title] == cells, candidate.name
    for published in task.paper:
        value = f"{published.value:g}{' ' if published.unit else ''}{published.unit} ({published.where})"
        assert any(row[1] == value for table in found if table.columns[1] == "paper" for row in table.rows)


@pytest.mark.parametrize("candidate", list(CANDIDATES), ids=lambda candidate: candidate.name)
def test_every_candidate_is_somewhere(candidate: Candidate, parts: list[Part]) -> None:
    titles = {row[0] for part in parts for item in part.items if isinstance(item, Table) for row in item.rows}
    assert candidate.title in titles
    assert [task.name for task in TASKS if task.wants(candidate)]
    if candidate.track == PAIRS and candidate.group in MODELS:
        assert TASKS["probe"].wants(candidate)


def test_names_and_titles_are_unique() -> None:
    for titles in ([task.title for task in TASKS], [(c.track, c.title) for c in CANDIDATES]):
        assert len(set(titles)) == len(titles)
    registry: Registry[Candidate] = Registry("desa.benchmark.candidates")
    registry.add(CANDIDATES["clip"])
    with pytest.raises(ValueError, match="two are named 'clip'"):
        registry.add(CANDIDATES["clip"])
    with pytest.raises(SettingsError, match="nothing named 'clipp'"):
        CANDIDATES["clipp"]


def test_a_new_file_is_on_the_page_with_nothing_else_touched(
    finished: Place, survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for registry in (CANDIDATES, TASKS):
        assert list(registry)
        monkeypatch.setattr(registry, "_items", dict(registry._items))
    (tmp_path / "toy_of_the_benchmark.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("toy_of_the_benchmark")
    monkeypatch.delitem(sys.modules, "toy_of_the_benchmark")
    folder = shutil.copytree(finished.folder, tmp_path / "benchmark")
    design = quick_design(only=(*ONLY, "noise", "width"))
    place = run(survey, quick_settings(), design, folder)
    results = collect(place, design)
    page = write_benchmark(place, design, results)
    shown = body(design, results, "mock survey", {})
    (widths,) = (table for table in tables(shown, "How wide it is") if not table.folded)
    assert widths.columns == ["model", "prior", "numbers"] and widths.rows[-1] == ["chance", "–", "1.000"]
    assert {row[0]: row[2] for row in widths.rows}["Noise"] == "4.000 ± 0.000"
    probes = tables(shown, TASKS["probe"].title)[0]
    assert [row[0] for row in probes.rows].index("Noise") == 3, "the fourth, as its order says"
    assert any(row[0] == "Noise" for row in tables(shown, TASKS["probe"].title)[1].rows), "it is tested too"
    assert "Toys were measured." in page.read_text() and "nothing at all" in page.read_text()
    assert page.read_text().index("How wide it is") > page.read_text().index(TASKS["ages"].title)


def test_figures_leave_out_what_has_no_labels() -> None:
    rng, candidate = np.random.default_rng(0), CANDIDATES["only_spectrum"]
    arrays = {"snr": rng.uniform(10, 100, 50)}
    for label in ("teff", "fe_h"):
        arrays |= {f"{label}/truth": rng.normal(size=50), f"{label}/predicted": rng.normal(size=50)}
    arrays["fe_h/truth"][:] = np.nan
    (figure,) = TASKS["parameters"].figures({candidate: arrays}, "Mock survey")
    assert figure.caption.startswith("Mock survey, test spectra")
    arrays["teff/truth"][:] = np.nan
    assert TASKS["parameters"].figures({candidate: arrays}, "Mock survey") == []


def test_a_track_says_which_survey_it_is_for(survey: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAIRS.suits(survey, given=False)
    assert not REAL_SPECTRA.suits(survey, given=True), "of mock stars"
    monkeypatch.setattr(survey, "kind", "real")
    assert REAL_SPECTRA.suits(survey, given=True)
    assert not REAL_SPECTRA.suits(survey, given=False), "it needs a model that is given"
    stars = REAL_SPECTRA.stars(survey)
    assert len(stars) == len(set(survey.spectrum_star)) and (stars.lightcurve == -1).all()
