"""Rotation periods of stars from the finder in a model, in place of the encoder's head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desa.inference.estimate import Estimate
from desa.models.network import Network
from desa.models.period_answer import LEVELS, PeriodAnswers
from desa.models.period_finder import PeriodFinder
from desa.models.period_intervals import period_intervals
from desa.preprocess.period_candidates import candidates_of
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
    candidates = [candidates_of(curve) for star in stars if (curve := star.lightcurve) is not None]
    size, found = len(stars), finder.choose(candidates)
    estimate = _estimate(finder, size, rows, found, [one.kind for one in candidates])
    return FoundPeriods(estimate, _placed(size, rows, finder.probability(found)))


def _placed(size: int, rows: Sequence[int], values: Array) -> Array:
    """(size,) values at rows, NaN elsewhere."""
    whole = np.full(size, np.nan)
    whole[list(rows)] = values
    return whole


def _estimate(
    finder: PeriodFinder, size: int, rows: Sequence[int], found: PeriodAnswers, kinds: Sequence[str]
) -> Estimate:
    """The answer is the density's highest place, which every interval holds."""

    def days(values: Array) -> Array:
        return _placed(size, rows, np.power(10.0, values))

    calibration = finder.calibration
    ends = {} if calibration is None else period_intervals(found, kinds, calibration)
    return Estimate(
        label=LABEL,
        needs=("lightcurve",),
        median=days(found.log_period),
        quantiles={level: days(found.quantiles[:, place]) for place, level in enumerate(LEVELS)},
        intervals={coverage: (days(low), days(high)) for coverage, (low, high) in ends.items()},
        calibrated=calibration is not None,
        calibrated_on=str(finder.facts.get("stars", "")),
    )


def with_periods(estimates: Sequence[Estimate], found: FoundPeriods | None) -> list[Estimate]:
    """The estimates with the finder's period in place of the encoder's."""
    if found is None:
        return list(estimates)
    return [one for one in estimates if one.label != LABEL] + [found.estimate]
