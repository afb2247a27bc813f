"""Kinds of heads that tasks train on a candidate, and what each reads of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from desa.benchmark.base import BenchmarkTask, Candidate, Material
from desa.finetune.head import FineTuneResult, fine_tune
from desa.models.finetuned import Features, FineTuning, Head


@dataclass(frozen=True)
class HeadKind:
    """A head and how it is trained: quick, and the same for every candidate.

    Parameters
    ----------
    suffix, title, text
        Of the task's name and title, and what is done.
    head, unfreeze, options
        Of `desa.models.finetuned.FineTuning`.
    core_only
        For `Candidate.core` alone, to keep within the time.
    """

    suffix: str
    title: str
    text: str
    head: Head
    unfreeze: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    core_only: bool = True

    def settings(self, classes: Sequence[str] = ()) -> FineTuning:
        """Of the training; classes for a classifier."""
        return FineTuning(head=self.head, unfreeze=self.unfreeze, classes=tuple(classes), **self.options)


LIGHT = HeadKind(
    "",
    "",
    "A head reads what each half of the model gives: of a linear map and a perceptron with one hidden "
    "layer the one that does better on the valid split; the model is frozen.",
    "auto",
    core_only=False,
)
TRANSFORMER = HeadKind(
    "_transformer",
    ", transformer head",
    "The paper's head, small: a transformer with the embedding's numbers as tokens; the model is frozen.",
    "transformer",
    # With a hundred steps, as of large batches, it does no better than chance.
    options={"width": 16, "blocks": 1, "epochs": 30, "patience": 6, "batch_size": 32, "learning_rate": 3e-3},
)
UNFROZEN = HeadKind(
    "_unfrozen",
    ", model trained along",
    "A perceptron as head, and the model trained along with it for 4 epochs.",
    "perceptron",
    unfreeze=True,
    options={"epochs": 4, "patience": 2, "batch_size": 128},
)
KINDS = (LIGHT, TRANSFORMER, UNFROZEN)


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadTask(BenchmarkTask):
    """A task that trains a head on a candidate.

    Parameters
    ----------
    kind
        Of head.
    """

    kind: HeadKind

    def wants(self, candidate: Candidate) -> bool:
        """Heads that are slow are for few candidates; a model is trained along where there is one."""
        if (self.kind.core_only and not candidate.core) or (self.kind.unfreeze and not candidate.trained):
            return False
        return super().wants(candidate)

    def tuned(
        self, material: Material, label: NDArray[np.float64], name: str, classes: Sequence[str] = ()
    ) -> FineTuneResult:
        """Train the head for one label of the stars.

        It reads the candidate's halves, or, where the model is trained along, features.
        """
        inputs, candidate, aligner = material.inputs, material.candidate, None
        features = Features(torch.from_numpy(material.head), None)
        if self.kind.unfreeze:
            first, second = map(torch.from_numpy, (inputs.star_spectrum, inputs.star_lightcurve))
            features = Features(first, second, candidate.prior(inputs))
            aligner = candidate.aligner(inputs, material.folder)
        settings, seed = self.kind.settings(classes), material.seed
        found = fine_tune(
            features, label, inputs.split, settings, aligner=aligner, seed=seed, task=self.name, name=name
        )
        if not len(found.test):
            raise ValueError("too few stars with the label to test on")
        return found
