"""What every stage of training shares: its identity, the loop, and what it leaves in its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from desa.config import Settings, Training
from desa.errors import SettingsError
from desa.files import written_whole
from desa.folders import claimed
from desa.models.network import Network
from desa.provenance import provenance
from desa.survey.mixture import Mixture
from desa.training.checkpoint import Checkpoints
from desa.training.distributed import barrier, current
from desa.training.loop import fit
from desa.training.task import History, Interrupted, Task
from desa.training.tracking import METRICS, training_progress

MODEL, FACTS = "model", "run.json"

SECTIONS = {
    "spectrum": ("preprocess_spectrum", "spectrum", "objective_spectrum"),
    "lightcurve": ("preprocess_lightcurve", "lightcurve", "objective_lightcurve"),
    "align": ("dualformer", "alignment"),
    "joint": ("joining", "objective_joint"),
}
"""The settings that shape each stage, beside its ``train_...``."""

HARMLESS = {"steps", "epochs", "patience", "checkpoint_minutes", "workers"}
"""Training settings that may change from one sitting of a run to the next."""


def _is_run(out: Path) -> bool:
    """Whether an earlier version of desa trained in a folder."""
    return (out / METRICS).is_file() or (out / FACTS).is_file()


@dataclass(frozen=True)
class Stage:
    """One stage of training under way.

    Parameters
    ----------
    name
        ``"spectrum"``, ``"lightcurve"``, ``"align"`` or ``"joint"``.
    surveys, settings, out, device, resume, progress
        As in `desa.training.stages.pretrain_spectrum`.
    made_from
        Hashes of the models' weights that it begins with.
    models
        Those models.
    """

    name: str
    surveys: Mixture
    settings: Settings
    out: Path
    device: torch.device
    resume: bool
    progress: bool
    made_from: str = ""
    models: tuple[Network, ...] = ()

    @property
    def training(self) -> Training:
        """The stage's own training settings."""
        found: Training = getattr(self.settings, f"train_{self.name}")
        return found

    @cached_property
    def batch_size(self) -> int:
        """Stars a batch and process.

        A run keeps its batch, all processes together, when another number of them takes it up: so learning
        rate, steps and losses between stars mean the same.

        Raises
        ------
        SettingsError
            If the batch can't be shared equally.
        """
        size, world = self.training.batch_size, current().size
        checkpoints = Checkpoints(self.out, sharded=self.training.strategy == "fsdp")
        state = checkpoints.peek() if self.resume else None
        whole = size * (world if state is None else state["processes"])
        if whole % world:
            raise SettingsError(
                f"{self.out}: its batches of {whole} stars can't be shared equally by {world} processes; "
                f"go on with a number that divides {whole}, or train anew"
            )
        return whole // world

    def identity(self) -> dict[str, str]:
        """What the run is made from: resuming its checkpoint with anything else is refused."""
        chosen = self.settings.model_dump(mode="json", include=set(SECTIONS[self.name]))
        training = self.training.model_dump(mode="json", exclude=HARMLESS)
        described = json.dumps([chosen, training, self.settings.dtype], sort_keys=True)
        return {
            "survey": self.surveys.identity,
            "settings": hashlib.blake2b(described.encode(), digest_size=16).hexdigest(),
            "models": self.made_from,
        }

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Take the run's folder; under `torchrun` the main process does, and it alone writes there."""
        with claimed(self.out, "training run", ours=_is_run) if current().main else nullcontext():
            yield

    def fit(
        self, task: Task, train: Callable[[int], Any], valid: Iterable[Any] | None, batches_a_pass: int
    ) -> History:
        """Train, and raise `Interrupted` if a signal stopped it."""
        training = self.training
        if training.epochs:
            steps = training.epochs * max(1, batches_a_pass // training.accumulate)
            training = training.model_copy(update={"steps": steps})
        shown = self.progress and current().main
        with training_progress() if shown else nullcontext() as bar:
            history = fit(
                task,
                train,
                valid,
                training,
                self.out,
                seed=self.settings.seed,
                device=self.device,
                dtype=self.settings.dtype,
                compile=self.settings.compile,
                strategy=training.strategy,
                progress=bar,
                resume=self.resume,
                identity=self.identity(),
            )
        if history.stopped == "signal":
            raise Interrupted(
                f"stopped by {history.signal} after step {history.step} of {training.steps}; "
                f"the checkpoint is in {self.out}: run the same command again to go on"
            )
        return history

    def _earlier(self) -> list[dict[str, Any]]:
        """The surveys that the models it begins with have learned from."""
        found = [facts for model in self.models for facts in surveys_of(model)]
        return [facts for place, facts in enumerate(found) if facts not in found[:place]]

    def finish(self, model: Network, history: History, stars: Sequence[int], **facts: str) -> Network:
        """Write ``model/`` and ``run.json``; `stars` of each survey were trained on, `facts` are noted."""
        validation = {k: v for k, v in (history.validation or {}).items() if np.isfinite(v)}
        model.metadata = {
            **provenance(data=self.surveys.data, survey=self.surveys.identity, seed=self.settings.seed),
            "surveys": self.surveys.facts(stars),
            "earlier_surveys": self._earlier(),
            "made_from": self.made_from,
            "stage": self.name,
            "steps": history.step,
            "best_step": history.step if history.best is None else history.best_step,
            "stopped": history.stopped,
            "seconds": round(history.seconds, 1),
            "validation": validation,
            "collapsed": bool(validation.get("collapsed", 0.0)),
            **facts,
        }
        if current().main:
            model.save(self.out / MODEL)
            with written_whole(self.out / FACTS) as scratch:
                run = {**model.metadata, "settings": self.settings.model_dump(mode="json")}
                scratch.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        barrier()
        return model


def surveys_of(model: Network) -> list[dict[str, Any]]:
    """Every survey that a model has learned from, in any of its stages, as `Mixture.facts` has it."""
    return [*model.metadata.get("earlier_surveys", []), *model.metadata.get("surveys", [])]
