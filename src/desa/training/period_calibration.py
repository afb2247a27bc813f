"""Cross-validation by star of a scorer of periods: what it is worth, and the calibration of what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from desa.evaluation.crossvalidation import folds
from desa.models.period_answer import PeriodAnswers
from desa.models.period_finder import PeriodFinder
from desa.models.period_intervals import (
    PeriodCalibration,
    calibrate_periods,
    centrality,
    period_intervals,
)
from desa.training.period_examples import Labelled
from desa.training.periods import STEPS, PeriodExample, train_scorer

Array = NDArray[np.float64]

FOLDS = 5
WIDEST_SLOPE = 1e3
"""Inverse strength of the logistic regression's penalty: next to none."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What scorers say of real light curves whose stars they never saw, N of them.

    Parameters
    ----------
    answers
        Theirs.
    central
        (N,) as `desa.models.period_intervals.centrality` says.
    fold
        (N,) in which each was held out.
    probability
        (N,) calibrated on the other folds.
    low, high
        coverage -> (N,) log10 days, calibrated on the other folds.
    """

    answers: PeriodAnswers
    central: Array
    fold: NDArray[np.int64]
    probability: Array
    low: dict[float, Array]
    high: dict[float, Array]

    @property
    def log_period(self) -> Array:
        """(N,) log10 days."""
        return self.answers.log_period


def held_out(
    real: Sequence[Labelled], others: Sequence[PeriodExample], *, seed: int = 0, steps: int = STEPS
) -> HeldOut:
    """Answers out of fold.

    Parameters
    ----------
    real
        Light curves of real stars.
    others
        Injections and mock stars; an injection is left out with the star whose noise it has.
    seed, steps
        Of the folds and of each training.
    """
    names, star = np.unique([one.example.star for one in real], return_inverse=True)
    fold = folds(star.astype(np.int64), FOLDS, seed)
    of_star = dict(zip(names[star].tolist(), fold.tolist(), strict=True))
    parts: list[PeriodAnswers] = []
    order: list[int] = []
    for number in range(FOLDS):
        train = [one.example for one in real if of_star[one.example.star] != number]
        train += [one for one in others if of_star.get(one.star, -1) != number]
        finder = PeriodFinder(train_scorer(train, seed=seed + number, steps=steps))
        rows = np.flatnonzero(fold == number).tolist()
        parts.append(finder.choose([real[row].example.candidates for row in rows]))
        order += rows
    found = PeriodAnswers.joined(parts).taken(np.argsort(order))
    with np.errstate(invalid="ignore"):
        central = centrality(found, np.log10([one.example.prot for one in real]))
    return _calibrated_by_fold(HeldOut(found, central, fold, np.full(len(real), np.nan), {}, {}), real)


def _calibrated_by_fold(bare: HeldOut, real: Sequence[Labelled]) -> HeldOut:
    """Each fold's intervals and probabilities by the calibration of the others."""
    probability = np.full(len(real), np.nan)
    low: dict[float, Array] = {}
    high: dict[float, Array] = {}
    kinds = [one.example.candidates.kind for one in real]
    for number in range(FOLDS):
        here = np.flatnonzero(bare.fold == number)
        calibration = period_calibration(bare, real, bare.fold != number)
        bounds = period_intervals(bare.answers.taken(here), [kinds[row] for row in here], calibration)
        for coverage, (lower, upper) in bounds.items():
            low.setdefault(coverage, np.full(len(real), np.nan))[here] = lower
            high.setdefault(coverage, np.full(len(real), np.nan))[here] = upper
        slope, offset = rotation_calibration(bare, real, bare.fold != number)
        logit = np.clip(slope * bare.answers.rotation[here] + offset, -30, 30)
        probability[here] = 1.0 / (1.0 + np.exp(-logit))
    return replace(bare, probability=probability, low=low, high=high)


def period_calibration(
    found: HeldOut, real: Sequence[Labelled], rows: NDArray[np.bool_]
) -> PeriodCalibration:
    """Calibration of the intervals on some of the stars."""
    kinds = [one.example.candidates.kind for one in real]
    return calibrate_periods(np.where(rows, found.central, np.nan), kinds)


def rotation_calibration(
    found: HeldOut, real: Sequence[Labelled], rows: NDArray[np.bool_]
) -> tuple[float, float]:
    """Slope and offset of the calibrated logit (Platt 1999); 1 and 0 where one kind of star is missing."""
    told = np.array([one.example.rotates for one in real])
    known = rows & np.isfinite(told) & np.isfinite(found.answers.rotation)
    if len(np.unique(told[known])) < 2:
        return 1.0, 0.0
    fitted = LogisticRegression(C=WIDEST_SLOPE).fit(found.answers.rotation[known][:, None], told[known])
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
