"""Rotation periods without learning: the peak of the ACF, and that of the Lomb-Scargle periodogram."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import CANDIDATES, Embedding
from desa.benchmark.inputs import REAL_LIGHTCURVES, Inputs
from desa.benchmark.real_stars import SAID, RealCandidate, quarters
from desa.evaluation.periods import acf_peak, lomb_scargle_peak


@dataclass(frozen=True, eq=False, kw_only=True)
class PeriodPeak(RealCandidate):
    """Periods of every light curve of at most a quarter.

    Parameters
    ----------
    find
        (flux, cadence in days) -> period in days and how good it is.
    """

    find: Callable[[NDArray[np.floating], float], tuple[float, float]]

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``said/prot``: (N, 1) days, NaN where there is no peak."""
        days = np.full((len(inputs.stars), 1), np.nan, dtype=np.float32)
        for place, curve in quarters(inputs).items():
            days[place] = self.find(curve.flux, curve.cadence_days)[0]
        return {f"{SAID}prot": days}


CANDIDATES.add(
    PeriodPeak(
        name="acf_peak",
        title="ACF peak",
        text="first or second peak of the autocorrelation (McQuillan et al. 2013); learns nothing",
        order=120,
        group="reference",
        track=REAL_LIGHTCURVES,
        also=("numbers_of_lightcurve",),
        find=acf_peak,
    )
)
CANDIDATES.add(
    PeriodPeak(
        name="lomb_scargle_peak",
        title="Lomb-Scargle peak",
        text="highest peak of the periodogram; learns nothing",
        order=121,
        group="reference",
        track=REAL_LIGHTCURVES,
        also=("numbers_of_lightcurve",),
        find=lomb_scargle_peak,
    )
)
