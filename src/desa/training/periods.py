"""Trains a scorer of candidate rotation periods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from desa.config import Training
from desa.models.period_finder import inputs_of
from desa.models.period_scorer import PeriodInputs, PeriodScorer
from desa.preprocess.period_candidates import CURVE_FEATURES, OWN_FEATURES, Candidates
from desa.training.loop import fit
from desa.training.task import Task

STEPS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 700, 96, 2e-3, 0.02


@dataclass(frozen=True, eq=False)
class PeriodExample:
    """A light curve with what is known of its star.

    Parameters
    ----------
    candidates
        Its candidates.
    prot
        Days, NaN where unknown.
    rotates
        1.0 where a rotation signal is there, 0.0 where none is, NaN where unknown.
    weight
        How much it counts.
    star
        Whose noise it has: no star may be in training and test.
    kind
        What the light curve is, in words: ``"real"``, ``"injected"`` or ``"mock"``.
    """

    candidates: Candidates
    prot: float
    rotates: float
    weight: float = 1.0
    star: str = ""
    kind: str = "real"


class _ScorePeriods(Task):
    """Batches are rows of the examples."""

    name = "periods"

    def __init__(self, scorer: PeriodScorer, examples: Sequence[PeriodExample]) -> None:
        super().__init__()
        self.scorer = scorer
        self.inputs = inputs_of([one.candidates for one in examples])
        with np.errstate(invalid="ignore"):
            prot = np.log10([one.prot for one in examples])
        self.log_prot, self.rotates, self.weight = (
            torch.from_numpy(np.asarray(values, dtype=np.float32))
            for values in (prot, [one.rotates for one in examples], [one.weight for one in examples])
        )

    def training_step(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of some rows."""
        inputs = PeriodInputs(*(part[batch] for part in self.inputs))
        return self.scorer.loss(inputs, self.log_prot[batch], self.rotates[batch], self.weight[batch]), {}


def train_scorer(examples: Sequence[PeriodExample], *, seed: int = 0, steps: int = STEPS) -> PeriodScorer:
    """Train a scorer on the CPU; its features are small.

    Parameters
    ----------
    examples
        Real, injected and mock light curves.
    seed
        Of weights, dropout and batches.
    steps
        Of gradient descent.
    """
    torch.manual_seed(seed)
    scorer = PeriodScorer(OWN_FEATURES, CURVE_FEATURES)
    task = _ScorePeriods(scorer, examples)
    scorer.standardise(task.inputs)
    training = Training(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        schedule="cosine",
    )
    rng = np.random.default_rng(seed)

    def batches(skip: int) -> Iterator[Tensor]:
        while True:
            yield torch.from_numpy(rng.integers(0, len(examples), BATCH_SIZE))

    fit(task, batches, None, training, None, seed=seed)
    return scorer.eval()
