"""Intervals of rotation periods that hold by mission and length of the light curve.

Distributional conformal prediction (Chernozhukov, Wuethrich & Zhu 2021, PNAS 118, e2107794118): how far out
in its own density each calibration star's period lies gives the share of the density that an interval must
take, so a star with a sharp density keeps a narrow interval. It is found for each kind of light curve apart
(Mondrian; Vovk et al. 2005), where there are stars enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from desa.conformal import COVERAGES, conformal_quantile
from desa.documents import Document
from desa.models.period_answer import AXIS, STEP, PeriodAnswers

Array = NDArray[np.float64]

LEAST = 30
"""Calibration stars of a kind; where there are fewer, those of its mission count, then all."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class PeriodCalibration(Document):
    """Share of a star's density, by coverage, that its interval takes.

    Parameters
    ----------
    coverages
        Nominal.
    shares
        Of `desa.preprocess.period_candidates.KINDS`, their missions and ``""`` (all), those that have
        `LEAST` stars; ``""`` always. One number a coverage; 1 takes the whole axis.
    counts
        Stars that each was found from.
    """

    coverages: Annotated[list[Share], Field(min_length=1, max_length=99)]
    shares: dict[str, list[Share]]
    counts: dict[str, Annotated[int, Field(ge=0)]]

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if "" not in self.shares or {len(row) for row in self.shares.values()} != {len(self.coverages)}:
            raise ValueError("it must have a share for each coverage, and those of all stars")
        return self

    def of(self, kind: str) -> list[float]:
        """The shares that hold for a kind of light curve."""
        known = (name for name in (kind, mission_of(kind)) if name in self.shares)
        return self.shares[next(known, "")]


def mission_of(kind: str) -> str:
    """The mission of a kind of light curve."""
    return kind.split(",")[0]


def centrality(found: PeriodAnswers, log_prot: ArrayLike) -> Array:
    """(N,) share of each density in the central interval that just reaches the known period; NaN without one.

    Parameters
    ----------
    found
        Of N light curves.
    log_prot
        (N,) log10 days, NaN where unknown.
    """
    truth = np.asarray(log_prot, dtype=np.float64)
    below = np.full(len(truth), np.nan)
    for row in np.flatnonzero(np.isfinite(truth) & np.isfinite(found.log_period)):
        below[row] = np.interp(truth[row], AXIS, np.cumsum(found.density[row]) * STEP)
    return np.minimum(np.abs(2.0 * below - 1.0), 1.0)


def calibrate_periods(
    central: Array, kinds: Sequence[str], coverages: Sequence[float] = COVERAGES
) -> PeriodCalibration:
    """The shares that would have held the calibration stars.

    Parameters
    ----------
    central
        (N,) `centrality` of stars that the scorer has not seen; NaN are left out.
    kinds
        Of their light curves.
    coverages
        Nominal.
    """
    known = np.isfinite(central)
    of = np.array(kinds, dtype=object)
    rows = {"": known}
    for name in sorted(set(kinds)):
        mission = mission_of(name)
        rows[name] = known & (of == name)
        rows[mission] = known & np.array([mission_of(kind) == mission for kind in kinds])
    kept = {name: where for name, where in rows.items() if not name or where.sum() >= LEAST}
    shares = {
        name: [
            value if math.isfinite(value := conformal_quantile(central[where], coverage)) else 1.0
            for coverage in coverages
        ]
        for name, where in kept.items()
    }
    counts = {name: int(where.sum()) for name, where in kept.items()}
    return PeriodCalibration(coverages=list(coverages), shares=shares, counts=counts)


def period_intervals(
    found: PeriodAnswers, kinds: Sequence[str], calibration: PeriodCalibration
) -> dict[float, tuple[Array, Array]]:
    """Intervals of log10 period; each holds the answer itself.

    Parameters
    ----------
    found
        Of N light curves.
    kinds
        Of them.
    calibration
        From other stars.

    Returns
    -------
    dict
        coverage -> (low, high), (N,) each; NaN where there is no answer.
    """
    shape = (len(kinds), len(calibration.coverages))
    low, high = np.full(shape, np.nan), np.full(shape, np.nan)
    for row in np.flatnonzero(np.isfinite(found.log_period)).tolist():
        share = np.asarray(calibration.of(kinds[row]), dtype=np.float64)
        total = np.cumsum(found.density[row]) * STEP
        low[row] = np.minimum(np.interp((1 - share) / 2, total, AXIS), found.log_period[row])
        high[row] = np.maximum(np.interp((1 + share) / 2, total, AXIS), found.log_period[row])
    return {coverage: (low[:, place], high[:, place]) for place, coverage in enumerate(calibration.coverages)}
