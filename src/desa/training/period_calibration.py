"""Cross-validation by star of a scorer of periods: what it is worth, and the calibration of what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from desa.conformal import calibrate, intervals
from desa.evaluation.crossvalidation import folds
from desa.models.period_answer import LEVELS
from desa.models.period_finder import PeriodFinder
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
    log_period, quantiles, rotation
        (N,), (N, Q), (N,) as in `desa.models.period_answer.PeriodAnswers`; NaN without candidates.
    fold
        (N,) in which each was held out.
    probability
        (N,) calibrated on the other folds.
    low, high
        coverage -> (N,) log10 days, calibrated on the other folds.
    """

    log_period: Array
    quantiles: Array
    rotation: Array
    fold: NDArray[np.int64]
    probability: Array
    low: dict[float, Array]
    high: dict[float, Array]


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
    count = len(real)
    log_period, rotation = np.full(count, np.nan), np.full(count, np.nan)
    quantiles = np.full((count, len(LEVELS)), np.nan)
    for number in range(FOLDS):
        train = [one.example for one in real if of_star[one.example.star] != number]
        train += [one for one in others if of_star.get(one.star, -1) != number]
        finder = PeriodFinder(train_scorer(train, seed=seed + number, steps=steps))
        rows = np.flatnonzero(fold == number).tolist()
        found = finder.choose([real[row].example.candidates for row in rows])
        log_period[rows], quantiles[rows] = found.log_period, found.quantiles
        rotation[rows] = found.rotation
    bare = HeldOut(log_period, quantiles, rotation, fold, np.full(count, np.nan), {}, {})
    return _calibrated_by_fold(bare, real)


def _calibrated_by_fold(bare: HeldOut, real: Sequence[Labelled]) -> HeldOut:
    """Each fold's intervals and probabilities by the calibration of the others."""
    low: dict[float, Array] = {}
    high: dict[float, Array] = {}
    for number in range(FOLDS):
        here = bare.fold == number
        bounds = intervals(bare.quantiles[here][:, None], period_calibration(bare, real, ~here))
        for coverage, (lower, upper) in bounds.items():
            low.setdefault(coverage, np.full(len(real), np.nan))[here] = lower[:, 0]
            high.setdefault(coverage, np.full(len(real), np.nan))[here] = upper[:, 0]
        slope, offset = rotation_calibration(bare, real, ~here)
        logit = np.clip(slope * bare.rotation[here] + offset, -30, 30)
        bare.probability[here] = 1.0 / (1.0 + np.exp(-logit))
    return HeldOut(bare.log_period, bare.quantiles, bare.rotation, bare.fold, bare.probability, low, high)


def period_calibration(found: HeldOut, real: Sequence[Labelled], rows: NDArray[np.bool_]) -> dict[str, Any]:
    """Conformal calibration of log10 period on some of the stars; see `desa.conformal.calibrate`."""
    truth = np.log10([one.example.prot for one in real])
    known = rows & np.isfinite(truth) & np.isfinite(found.log_period)
    return calibrate(found.quantiles[known][:, None], truth[known][:, None], LEVELS)


def rotation_calibration(
    found: HeldOut, real: Sequence[Labelled], rows: NDArray[np.bool_]
) -> tuple[float, float]:
    """Slope and offset of the calibrated logit (Platt 1999); 1 and 0 where one kind of star is missing."""
    told = np.array([one.example.rotates for one in real])
    known = rows & np.isfinite(told) & np.isfinite(found.rotation)
    if len(np.unique(told[known])) < 2:
        return 1.0, 0.0
    fitted = LogisticRegression(C=WIDEST_SLOPE).fit(found.rotation[known][:, None], told[known])
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
