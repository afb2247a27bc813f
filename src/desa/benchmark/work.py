"""The pieces of work of a benchmark. Each leaves one file behind, whole; a file that is there is kept."""

from __future__ import annotations

import json
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from desa.benchmark.base import EMBEDDING, FACTS, BenchmarkTask, Candidate, Choice, Material, TaskResult
from desa.benchmark.design import Design, trials
from desa.benchmark.documents import FitFacts, TrialFacts, read_own
from desa.benchmark.embed import embed
from desa.benchmark.inputs import PAIRS, Inputs, Track
from desa.benchmark.training import WORK, Trained
from desa.config import Settings
from desa.errors import DesaError
from desa.evaluation.probe import linear_probe
from desa.files import written_whole
from desa.survey.store import Survey

SEARCH_LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "m_g")
"""Labels whose mean R2 on the valid split chooses learning rate and temperature; neither age nor binaries."""


@dataclass(frozen=True)
class Place:
    """A benchmark's folder and what it is made from; travels to worker processes."""

    folder: Path
    survey: Path
    settings: Settings
    model: Path | None = None

    def inputs(self, track: Track = PAIRS) -> Inputs:
        """The inputs, opened once a process."""
        return _opened(self.folder, self.survey, self.settings.model_dump_json(), self.model, track)

    def model_folder(self, candidate: str, seed: int) -> Path:
        """Where a candidate lies."""
        return self.folder / "models" / candidate / f"seed{seed}"

    def trial_file(self, candidate: str, trial: int) -> Path:
        """Where a trial of the search says how it went."""
        return self.folder / "search" / candidate / f"{trial}.json"

    def cell_file(self, task: str, candidate: str, seed: int) -> Path:
        """Where a cell's scores lie."""
        return self.folder / "cells" / task / candidate / f"seed{seed}.json"


@lru_cache(maxsize=4)
def _opened(folder: Path, survey: Path, settings: str, model: Path | None, track: Track) -> Inputs:
    return Inputs(Survey.open(survey), Settings.model_validate_json(settings), folder, model, track)


class Work(ABC):
    """One piece of work."""

    @abstractmethod
    def target(self, place: Place) -> Path:
        """The file that says it is done."""

    @abstractmethod
    def do(self, place: Place) -> None:
        """Make the file."""


@dataclass(frozen=True)
class Trial(Work):
    """Of a candidate's search: train it with one choice and see how it does in validation."""

    candidate: Trained
    number: int
    design: Design

    def target(self, place: Place) -> Path:
        """Of the trial."""
        return place.trial_file(self.candidate.name, self.number)

    def do(self, place: Place) -> None:
        """Train, embed the stars to fit and to validate, probe."""
        inputs, candidate = place.inputs(self.candidate.track), self.candidate
        folder = place.folder / "search" / candidate.name / f"trial{self.number}"
        choice = choices(candidate, inputs, self.design)[self.number]
        facts = candidate.fit(inputs, choice, self.design.budget.steps, 0, folder)
        _write_json(folder / FACTS, facts)
        rows, prior = np.isin(inputs.split, ("train", "valid")), candidate.prior(inputs)
        features = inputs.star_spectrum[rows], inputs.star_lightcurve[rows]
        given = None if prior is None else prior[torch.from_numpy(rows)]
        joint = embed(candidate.aligner(inputs, folder), *features, given)["joint"]
        labels = {name: inputs.label(name)[rows] for name in SEARCH_LABELS}
        scores = validation_scores(joint, inputs.split[rows], labels)
        mean = float(np.mean(list(scores.values()))) if scores else float("nan")
        _write_json(self.target(place), {**facts, "score": mean, "scores": scores})
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Fit(Work):
    """Train a candidate of one seed, if it is one that is trained, and embed every star."""

    candidate: Candidate
    seed: int
    design: Design

    def target(self, place: Place) -> Path:
        """The embedding."""
        return place.model_folder(self.candidate.name, self.seed) / EMBEDDING

    def do(self, place: Place) -> None:
        """Fit and embed."""
        inputs, candidate = place.inputs(self.candidate.track), self.candidate
        folder = self.target(place).parent
        choice = chosen(place, candidate, self.design) if isinstance(candidate, Trained) else None
        facts = candidate.fit(inputs, choice, self.design.budget.steps, self.seed, folder)
        _write_json(folder / FACTS, facts)
        found = candidate.embed(inputs, self.seed, folder)
        shutil.rmtree(folder / WORK, ignore_errors=True)
        with written_whole(folder / EMBEDDING) as scratch, scratch.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **found)


@dataclass(frozen=True)
class Cell(Work):
    """A task's scores for a candidate of one seed, and the arrays to draw and to test."""

    task: BenchmarkTask
    candidate: Candidate
    seed: int

    def target(self, place: Place) -> Path:
        """The scores."""
        return place.cell_file(self.task.name, self.candidate.name, self.seed)

    def do(self, place: Place) -> None:
        """Do the task; where it can't be done, say why."""
        inputs, candidate, target = place.inputs(self.task.track), self.candidate, self.target(place)
        material = Material(inputs, candidate, place.model_folder(candidate.name, self.seed), self.seed)
        try:
            result = self.task.run(material)
        except (DesaError, ValueError) as error:
            result = TaskResult([], {}, reason=str(error))
        if result.arrays:
            with written_whole(target.with_suffix(".npz")) as scratch, scratch.open("wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, **result.arrays)
        facts = read_own(material.folder / FACTS, FitFacts)
        _write_json(
            target,
            {
                "model": candidate.name,
                "group": candidate.group,
                "seed": self.seed,
                "task": self.task.name,
                "prior": facts["prior"],
                "data": inputs.data,
                "scores": [asdict(replace(score, task=self.task.name)) for score in result.scores],
                "left_out": result.reason,
            },
        )


def choices(candidate: Trained, inputs: Inputs, design: Design) -> list[Choice]:
    """What the search of a candidate tries."""
    return trials(design.budget, candidate.tempered(inputs))


def chosen(place: Place, candidate: Trained, design: Design) -> Choice:
    """The choice whose trial did best in validation."""
    searched = candidate.searched
    options = choices(searched, place.inputs(searched.track), design)
    files = [place.trial_file(searched.name, number) for number in range(len(options))]
    scores = [read_own(file, TrialFacts)["score"] for file in files]
    return options[int(np.nanargmax(scores))]


def work_of(design: Design, place: Place) -> dict[str, list[Work]]:
    """All work by stage; each stage needs the ones before."""
    trained = [candidate for candidate in design.candidates if isinstance(candidate, Trained)]
    searched = {candidate.searched.name: candidate.searched for candidate in trained}
    each = [(candidate, seed) for candidate in design.candidates for seed in design.seeds_of(candidate)]
    # The slowest first, so that no process is left with it at the end.
    first = sorted(each, key=lambda pair: not pair[0].slow)
    return {
        "search": [
            Trial(candidate, number, design)
            for _, candidate in sorted(searched.items())
            for number in range(len(choices(candidate, place.inputs(candidate.track), design)))
        ],
        "models": [Fit(candidate, seed, design) for candidate, seed in first],
        "tasks": cells_of(design),
    }


def cells_of(design: Design) -> list[Work]:
    """The cells of a design."""
    return [
        Cell(task, candidate, seed)
        for task in design.tasks
        for candidate in design.wanted(task)
        for seed in design.seeds_of(candidate)
    ]


def do(work: Work, place: Place) -> Path:
    """Do one piece of work, unless its file is there; returns the file."""
    target = work.target(place)
    if not target.exists():
        torch.set_num_threads(1)
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        work.do(place)
    return target


def validation_scores(
    features: NDArray[np.float32], split: NDArray[np.str_], labels: Mapping[str, NDArray[np.float64]]
) -> dict[str, float]:
    """R2 on the valid split of ridge regressions fitted on the train split, label by label."""
    scores, parts = {}, np.where(split == "valid", "test", split)
    for name, values in labels.items():
        with suppress(ValueError):  # too few stars with the label
            scores[name] = linear_probe(features, values, parts).r2
    return scores


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with written_whole(path) as scratch:
        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
