"""The pieces of work of a benchmark. Each leaves one file behind, whole; a file that is there is kept."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from desa.benchmark.candidates import controls
from desa.benchmark.embed import embed, joint_embedding
from desa.benchmark.inputs import Inputs
from desa.benchmark.material import EMBEDDING, Material
from desa.benchmark.outcome import Outcome
from desa.benchmark.plan import Plan, trials
from desa.benchmark.registry import REFERENCE_LABELS, ModelSpec, spec_of
from desa.benchmark.tasks.registry import TASKS
from desa.benchmark.training import FACTS, WORK, Choice, load, plain, prior_for, tempered, train
from desa.config import Settings
from desa.errors import DesaError
from desa.evaluation.probe import ALPHAS, r2_score
from desa.files import written_whole
from desa.survey.store import Survey

SEARCH_LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "m_g")
"""Labels whose mean R2 on the valid split chooses learning rate and temperature; neither age nor binaries."""


SLOW = {"desa_published", "scalar_tokens", "feature_tokens", "live_features"}
"""Models with many tokens, or that run the encoders along."""


@dataclass(frozen=True)
class Place:
    """A benchmark's folder and what it is made from; travels to worker processes."""

    folder: Path
    survey: Path
    settings: Settings

    def inputs(self) -> Inputs:
        """The inputs, opened once a process."""
        return _opened(self.folder, self.survey, self.settings.model_dump_json())

    def model_folder(self, name: str, seed: int) -> Path:
        """Where a trained model lies."""
        return self.folder / "models" / name / f"seed{seed}"

    def trial_file(self, name: str, trial: int) -> Path:
        """Where a trial of the search says how it went."""
        return self.folder / "search" / name / f"{trial}.json"

    def cell_file(self, task: str, name: str, seed: int) -> Path:
        """Where a cell's scores lie."""
        return self.folder / "cells" / task / name / f"seed{seed}.json"


@lru_cache(maxsize=2)
def _opened(folder: Path, survey: Path, settings: str) -> Inputs:
    return Inputs(Survey.open(survey), Settings.model_validate_json(settings), folder)


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Parameters
    ----------
    kind
        ``"search"``: a trial; ``"train"``: a model of one seed; ``"task"``: a cell.
    name
        Of the model.
    number
        Trial or seed.
    steps
        Of training.
    task
        Name of the task of a cell.
    """

    kind: Literal["search", "train", "task"]
    name: str
    number: int
    steps: int = 0
    task: str = ""

    def target(self, place: Place) -> Path:
        """The file that says it is done."""
        if self.kind == "search":
            return place.trial_file(self.name, self.number)
        if self.kind == "train":
            return place.model_folder(self.name, self.number) / EMBEDDING
        return place.cell_file(self.task, self.name, self.number)


def jobs_of(plan: Plan, place: Place) -> list[list[Job]]:
    """All work, in stages that need the ones before."""
    inputs, steps = place.inputs(), plan.budget.steps
    searched = {base_of(spec) for spec in plan.specs() if spec.trained}
    search = [
        Job("search", name, number, steps)
        for name in sorted(searched)
        for number in range(len(trials(plan.budget, tempered(inputs, spec_of(name)))))
    ]
    each = [(spec, seed) for spec in plan.specs() for seed in plan.seeds_of(spec)]
    training = [Job("train", spec.name, seed, steps) for spec, seed in each]
    # The slowest first, so that no process is left with it at the end.
    training.sort(key=lambda job: job.name not in SLOW)
    cells = [
        Job("task", spec.name, seed, steps, task)
        for task in plan.tasks
        for spec, seed in each
        if TASKS[task].wants(spec)
    ]
    return [search, training, cells]


def base_of(spec: ModelSpec) -> str:
    """Whose search a model uses: its own, or that of the model it is an ablation of."""
    return spec.base if spec.group == "ablation" else spec.name


def run_job(job: Job, place: Place, plan: Plan) -> Path:
    """Do one piece of work, unless its file is there; returns the file."""
    target = job.target(place)
    if not target.exists():
        torch.set_num_threads(1)
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        {"search": _search, "train": _train, "task": _task}[job.kind](job, place, plan)
    return target


def _search(job: Job, place: Place, plan: Plan) -> None:
    inputs, spec = place.inputs(), spec_of(job.name)
    choice = trials(plan.budget, tempered(inputs, spec))[job.number]
    folder = place.folder / "search" / job.name / f"trial{job.number}"
    aligner, facts = train(inputs, spec, choice, job.steps, seed=0, folder=folder)
    rows = np.isin(inputs.split, ("train", "valid"))
    joint = joint_embedding(
        aligner, inputs.star_spectrum[rows], inputs.star_lightcurve[rows], _prior(inputs, spec, rows)
    )
    scores = validation_scores(
        joint, inputs.split[rows], {name: inputs.label(name)[rows] for name in SEARCH_LABELS}
    )
    mean = float(np.mean(list(scores.values()))) if scores else float("nan")
    _write_json(job.target(place), {**facts, "score": mean, "scores": scores})
    shutil.rmtree(folder)


def validation_scores(
    features: NDArray[np.float32], split: NDArray[np.str_], labels: Mapping[str, NDArray[np.float64]]
) -> dict[str, float]:
    """R2 on the valid split of ridge regressions fitted on the train split, label by label."""
    scores = {}
    for name, values in labels.items():
        known = np.isfinite(values)
        fitted, held = known & (split == "train"), known & (split == "valid")
        if fitted.sum() < 20 or held.sum() < 5:
            continue
        scaler = StandardScaler().fit(features[fitted])
        mean = float(values[fitted].mean())
        model = RidgeCV(alphas=ALPHAS).fit(scaler.transform(features[fitted]), values[fitted] - mean)
        scores[name] = r2_score(values[held], mean + model.predict(scaler.transform(features[held])), mean)
    return scores


def chosen(place: Place, plan: Plan, spec: ModelSpec) -> Choice:
    """The choice whose trial did best in validation."""
    inputs, name = place.inputs(), base_of(spec)
    options = trials(plan.budget, tempered(inputs, spec_of(name)))
    scores = [
        json.loads(place.trial_file(name, number).read_text(encoding="utf-8"))["score"]
        for number in range(len(options))
    ]
    return options[int(np.nanargmax(scores))]


def _prior(inputs: Inputs, spec: ModelSpec, rows: NDArray[np.bool_] | slice) -> Tensor | None:
    prior = prior_for(inputs, spec)
    return None if prior is None else prior[torch.from_numpy(inputs.stars.star[rows])]


def _train(job: Job, place: Place, plan: Plan) -> None:
    """Train a model (or take fixed features) and embed every star with both modalities."""
    inputs, spec = place.inputs(), spec_of(job.name)
    folder = place.model_folder(job.name, job.number)
    if spec.trained:
        choice = chosen(place, plan, spec)
        train(inputs, spec, choice, job.steps, job.number, folder)
        prior = _prior(inputs, spec, slice(None))
        found = embed(load(inputs, spec, folder), inputs.star_spectrum, inputs.star_lightcurve, prior)
        shutil.rmtree(folder / WORK)
    else:
        found = _fixed(inputs, spec, job.number)
        _write_json(folder / FACTS, {"parameters": 0, "prior": "none", "seconds": 0.0, "collapsed": False})
    with written_whole(folder / EMBEDDING) as scratch, scratch.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **found)


def _fixed(inputs: Inputs, spec: ModelSpec, seed: int) -> dict[str, NDArray[np.float32]]:
    """Features of a control in place of an embedding."""
    if spec.name == "before_alignment":
        from desa.benchmark.training import build, settings_for

        torch.manual_seed(seed)
        desa = spec_of("desa")
        aligner, _ = build(inputs, desa, settings_for(inputs, desa, None, 1), None)
        return embed(aligner, inputs.star_spectrum, inputs.star_lightcurve)
    if spec.name in REFERENCE_LABELS:
        return labels_as_features(inputs, *REFERENCE_LABELS[spec.name])
    if spec.name == "canonical":
        train = inputs.split == "train"
        pair = controls.canonical(inputs.star_spectrum, inputs.star_lightcurve, train)
        return {"match_spectrum": pair[0], "match_lightcurve": pair[1]}
    if spec.name in ("components", "untrained"):
        rows = inputs.components() if spec.name == "components" else inputs.untrained()
        train = rows[inputs.split == "train"]
        scaled = ((rows - train.mean(0)) / np.maximum(train.std(0), 1e-6)).astype(np.float32)
        half = 60 if spec.name == "components" else inputs.spectrum.shape[1]
        half = min(half, scaled.shape[1] // 2) if spec.name == "components" else half
        return {"joint": scaled, "head_spectrum": scaled[:, :half], "head_lightcurve": scaled[:, half:]}
    return embed(plain(inputs, spec.name), inputs.star_spectrum, inputs.star_lightcurve)


def labels_as_features(
    inputs: Inputs, spectrum: Sequence[str], lightcurve: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Columns of the survey in place of either half of an embedding: none where the survey has none of them.

    Periods are logarithms, all are standardised; a missing value is 0, and marked by a 1 of its own.
    """
    halves, train = [], inputs.split == "train"
    for names in (spectrum, lightcurve):
        columns = [np.zeros((len(inputs.stars), 0))]
        for name in (name for name in names if name in inputs.survey.stars.column_names):
            values = inputs.label(name)
            values = np.log10(values) if name.startswith("prot") else values
            known = np.isfinite(values)
            if (known & train).sum() < 2:
                continue
            mean, deviation = values[known & train].mean(), values[known & train].std()
            columns.append(np.stack([np.where(known, (values - mean) / deviation, 0.0), ~known], axis=1))
        halves.append(np.concatenate(columns, axis=1).astype(np.float32))
    return {"head_spectrum": halves[0], "head_lightcurve": halves[1]}


def _task(job: Job, place: Place, plan: Plan) -> None:
    """One cell: a task's scores for a model of one seed, and the arrays to draw and to test."""
    inputs, spec = place.inputs(), spec_of(job.name)
    material = Material(inputs, spec, place.model_folder(job.name, job.number), job.number)
    target = job.target(place)
    try:
        outcome = TASKS[job.task].run(material)
    except (DesaError, ValueError) as error:
        outcome = Outcome([], {}, reason=str(error))
    if outcome.arrays:
        with written_whole(target.with_suffix(".npz")) as scratch, scratch.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **outcome.arrays)
    facts = json.loads((material.folder / FACTS).read_text(encoding="utf-8"))
    _write_json(
        target,
        {
            "model": job.name,
            "group": spec.group,
            "seed": job.number,
            "task": job.task,
            "prior": facts["prior"],
            "data": inputs.data,
            "scores": [asdict(replace(score, task=job.task)) for score in outcome.scores],
            "left_out": outcome.reason,
        },
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with written_whole(path) as scratch:
        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
