"""Training one model of the benchmark on the cached features: the same budget for all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from desa.benchmark.candidates.baselines import BASELINES, Baseline, baseline, trainable
from desa.benchmark.embed import Aligner, BaselineAligner, DesaAligner, PlainAligner
from desa.benchmark.inputs import Inputs
from desa.benchmark.live import LiveLoader
from desa.benchmark.registry import ModelSpec
from desa.config import Settings, with_changes
from desa.files import written_whole
from desa.models.dualformer import DualFormer
from desa.survey.selection import prior_of
from desa.training.alignment import Align, effective_rank
from desa.training.loop import fit
from desa.training.pairs import FeatureBatch, PairLoader, targets_of
from desa.training.task import History, Interrupted, Task

WEIGHTS, FACTS, WORK = "aligner.safetensors", "training.json", "work"


@dataclass(frozen=True)
class Choice:
    """What the search chooses: learning rate, and temperature where the loss has one."""

    learning_rate: float
    temperature: float | None = None


class BaselineTask(Task):
    """Training of a baseline."""

    name = "baseline"

    def __init__(self, model: Baseline) -> None:
        super().__init__()
        self.model = model

    def training_step(
        self, batch: FeatureBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The baseline's loss."""
        return self.model.loss(batch.spectrum, batch.lightcurve, batch.prior), {}

    def validation_step(
        self, batch: FeatureBatch, generator: torch.Generator
    ) -> dict[str, tuple[float, float]]:
        """The same, in evaluation mode."""
        loss = self.model.loss(batch.spectrum, batch.lightcurve, batch.prior)
        return {"loss": (float(loss) * len(batch), float(len(batch)))}


def settings_for(inputs: Inputs, spec: ModelSpec, choice: Choice | None, steps: int) -> Settings:
    """The benchmark's settings with the model's changes, the choice and the budget."""
    changed = with_changes(inputs.settings, dict(spec.changes))
    training: dict[str, Any] = {"steps": steps, "validate_every": max(1, steps // 4), "patience": 0}
    if choice is not None:
        training |= {"learning_rate": choice.learning_rate}
        training |= {"final_learning_rate": 0.02 * choice.learning_rate}
    update: dict[str, Any] = {"train_align": training}
    if choice is not None and choice.temperature is not None and spec.kind == "desa":
        update["alignment"] = {"temperature": choice.temperature}
    return with_changes(changed, update)


def tempered(inputs: Inputs, spec: ModelSpec) -> bool:
    """Whether the model's loss has a temperature to search."""
    if spec.kind == "baseline":
        return BASELINES[spec.name].tempered
    return spec.kind == "desa" and settings_for(inputs, spec, None, 1).alignment.contrastive > 0


def build(inputs: Inputs, spec: ModelSpec, settings: Settings, choice: Choice | None) -> tuple[Aligner, Task]:
    """A model with random weights (of torch's current seed) and its task.

    Baselines get at least as many trainable parameters as the benchmark's DESA.
    """
    means = inputs.constants[0], inputs.constants[2]
    counts = inputs.spectrum.shape[1], inputs.lightcurve.shape[1]
    dualformer = DualFormer(settings.dualformer, *counts)
    align = Align(settings, dualformer)
    if spec.kind == "desa":
        if settings.dualformer.standardise:
            dualformer.set_standardisation(*inputs.constants)
        return DesaAligner(dualformer, means, spec.head), align
    stars = len(set(inputs.stars.star[inputs.split == "train"].tolist()))
    temperature = 0.05 if choice is None or choice.temperature is None else choice.temperature
    model = baseline(
        spec.name,
        settings.dualformer,
        counts,
        at_least=trainable(align),
        temperature=temperature,
        queue=max(1, min(4096, stars // 2)),
    )
    model.set_standardisation(*inputs.constants)
    return BaselineAligner(model, means), BaselineTask(model)


def plain(inputs: Inputs, name: str) -> PlainAligner:
    """Encoder features of one or both modalities, as they are."""
    means, scales = (inputs.constants[0], inputs.constants[2]), (inputs.constants[1], inputs.constants[3])
    use = (name != "only_lightcurve", name != "only_spectrum")
    return PlainAligner(means, scales, use)


def train(
    inputs: Inputs, spec: ModelSpec, choice: Choice, steps: int, seed: int, folder: Path
) -> tuple[Aligner, dict[str, Any]]:
    """Train one model, or take up what an earlier run left in its folder.

    Returns
    -------
    tuple
        The model with the weights that did best in validation, and facts of the run: loss, steps, seconds,
        trainable parameters, and what became of the embedding (rank; collapsed or not).
    """
    settings = settings_for(inputs, spec, choice, steps)
    torch.manual_seed(seed)
    aligner, task = build(inputs, spec, settings, choice)
    loaders = _loaders(inputs, spec, settings, seed, isinstance(task, BaselineTask) and task.model)
    history = fit(
        task,
        *loaders,
        settings.train_align,
        folder / WORK,
        seed=seed,
        resume=True,
        identity={"spec": spec.name, "choice": str(choice), "survey": inputs.survey.identity},
    )
    if history.stopped == "signal":
        raise Interrupted(f"stopped by {history.signal}; run the same command again to go on")
    aligner.eval()
    facts = _facts(inputs, aligner, task, settings, choice, history)
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / WEIGHTS) as scratch:
        save_file({name: value.contiguous().clone() for name, value in aligner.state_dict().items()}, scratch)
    with written_whole(folder / FACTS) as scratch:
        scratch.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return aligner, facts


def load(inputs: Inputs, spec: ModelSpec, folder: Path) -> Aligner:
    """The model that `train` left in a folder."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    choice = Choice(facts["learning_rate"], facts["temperature"])
    aligner, _ = build(inputs, spec, settings_for(inputs, spec, choice, facts["steps"]), choice)
    aligner.load_state_dict(load_file(folder / WEIGHTS))
    return aligner.eval()


def prior_for(inputs: Inputs, spec: ModelSpec) -> Tensor | None:
    """(n_stars, k) prior of the model, None where it has none."""
    return prior_of(inputs.survey, settings_for(inputs, spec, None, 1).dualformer.prior)


def _loaders(
    inputs: Inputs, spec: ModelSpec, settings: Settings, seed: int, model: Baseline | bool
) -> tuple[Callable[[int], Iterable[Any]], Iterable[Any]]:
    """Endless training batches from the n-th on, and the validation batches."""
    prior, size = prior_of(inputs.survey, settings.dualformer.prior), settings.train_align.batch_size
    split = inputs.survey.split[inputs.pairs.star]
    training, valid = inputs.pairs.where(split == "train"), inputs.stars.where(inputs.split == "valid")
    targets = targets_of(inputs.survey, (settings.objective_spectrum, settings.objective_lightcurve))
    unique = model.unique_stars if isinstance(model, Baseline) else True

    def loader(skip: int) -> Iterable[Any]:
        if spec.live:
            models = inputs.spectrum_model, inputs.lightcurve_model
            return LiveLoader(inputs.survey, *models, size, seed, skip, targets)
        return PairLoader(
            training,
            inputs.spectrum,
            inputs.lightcurve,
            prior,
            size,
            seed=seed,
            skip=skip,
            rank=0,
            world=1,
            unique_stars=unique,
            targets=targets,
        )

    held = PairLoader(valid, inputs.spectrum, inputs.lightcurve, prior, size, shuffle=False, targets=targets)
    return loader, held


def _facts(
    inputs: Inputs, aligner: Aligner, task: Task, settings: Settings, choice: Choice, history: History
) -> dict[str, Any]:
    valid = inputs.split == "valid"
    given = prior_of(inputs.survey, settings.dualformer.prior)
    prior = None if given is None else given[torch.from_numpy(inputs.stars.star[valid])]
    spectrum, lightcurve = (
        torch.from_numpy(x[valid]) for x in (inputs.star_spectrum, inputs.star_lightcurve)
    )
    with torch.no_grad():
        halves = aligner.pair(spectrum, lightcurve, prior)
    ranks = [effective_rank(half) for half in halves]
    validation = {k: v for k, v in (history.validation or {}).items() if v == v}
    return {
        "learning_rate": choice.learning_rate,
        "temperature": choice.temperature,
        "steps": settings.train_align.steps,
        "best_step": history.best_step,
        "seconds": history.seconds,
        "validation": validation,
        "parameters": trainable(task),
        "prior": settings.dualformer.prior,
        "rank_spectrum": ranks[0],
        "rank_lightcurve": ranks[1],
        "deviation": float(min(half.std(0).mean() for half in halves)),
        "collapsed": bool(min(ranks) < 2.0),
    }
