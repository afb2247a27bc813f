"""Rotation periods of stars from the finder in a model, in place of the encoder's head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from desa.inference.estimate import Estimate, number_estimates
from desa.models.network import Network
from desa.models.period_answer import LEVELS, PeriodAnswers
from desa.models.period_finder import PeriodFinder
from desa.types import Star

Array = NDArray[np.float64]

LABEL = "prot"


@dataclass(frozen=True, eq=False)
class FoundPeriods:
    """Rotation of N stars.

    Parameters
    ----------
    estimate
        Of ``prot``; NaN for stars without light curve, and where it has no periods to choose among.
    probability
        (N,) that the light curve shows rotation; NaN for stars without light curve.
    """

    estimate: Estimate
    probability: Array


def found_periods(model: Network, stars: Sequence[Star]) -> FoundPeriods | None:
    """What the model's finder says of stars; None where the model has none, or a fine-tuned head for it."""
    finder = model.periods
    if finder is None or any(head.label == LABEL for head in model.heads):
        return None
    rows = [row for row, star in enumerate(stars) if star.lightcurve is not None]
    quantiles = np.full((len(stars), len(LEVELS)), np.nan)
    log_period, probability = np.full(len(stars), np.nan), np.full(len(stars), np.nan)
    if rows:
        curves = [curve for star in stars if (curve := star.lightcurve) is not None]
        found: PeriodAnswers = finder.find(curves)
        quantiles[rows], log_period[rows] = found.quantiles, found.log_period
        probability[rows] = finder.probability(found)
    return FoundPeriods(_estimate(finder, quantiles, log_period), probability)


def _estimate(finder: PeriodFinder, quantiles: Array, log_period: Array) -> Estimate:
    """The answer is the density's highest place, which every interval is made to hold."""
    bare = number_estimates(
        [f"log_{LABEL}"],
        LEVELS,
        quantiles[:, None],
        finder.calibration or None,
        ("lightcurve",),
        str(finder.facts.get("stars", "")),
    )[0]
    period = np.power(10.0, log_period)
    holding = {
        coverage: (np.minimum(low, period), np.maximum(high, period))
        for coverage, (low, high) in bare.intervals.items()
    }
    return replace(bare, median=period, intervals=holding)


def with_periods(estimates: Sequence[Estimate], found: FoundPeriods | None) -> list[Estimate]:
    """The estimates with the finder's period in place of the encoder's."""
    if found is None:
        return list(estimates)
    return [one for one in estimates if one.label != LABEL] + [found.estimate]
