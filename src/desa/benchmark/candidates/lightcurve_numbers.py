"""Numbers made by hand of a light curve, which an encoder must beat.

Amplitudes, moments, periods and peaks of the ACF and of the Lomb-Scargle periodogram, power by frequency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d

from desa.benchmark.base import CANDIDATES, Embedding
from desa.benchmark.inputs import REAL_LIGHTCURVES, Inputs
from desa.benchmark.real_stars import RealCandidate, quarters
from desa.evaluation.crossvalidation import TREES
from desa.evaluation.periods import acf, acf_peak, lomb_scargle_peak
from desa.types import LightCurve

Array = NDArray[np.float64]

FLOOR = 1e-7
"""Smallest relative amplitude that logarithms are taken of."""

LAGS = (1, 6, 24, 48, 144)
"""Cadences of 30 minutes at which the ACF is read."""

BANDS_PER_DAY = (0.0, 0.2, 0.8, 2.0, 5.0, 12.0, 24.5)
"""Edges in frequency between which the power is summed."""

LIGHTCURVE_NAMES = (
    *("log scatter", "log range", "log flicker", "log step", "skewness", "kurtosis", "dips", "flares"),
    *("log ACF period", "ACF height", "log Lomb-Scargle period", "Lomb-Scargle power"),
    *(f"ACF at {lag}" for lag in LAGS),
    *(f"power at {low:g}-{high:g}/d" for low, high in pairwise(BANDS_PER_DAY)),
)


def lightcurve_features(curve: LightCurve) -> Array:
    """(F,) the numbers that `LIGHTCURVE_NAMES` names; all finite.

    Raises
    ------
    ValueError
        With fewer than 100 good samples.
    """
    good = np.asarray(curve.flux[curve.valid], dtype=np.float64)
    if len(good) < 100:
        raise ValueError(f"{curve.star_id}: {len(good)} good samples, at least 100 are needed")
    flux = np.asarray(curve.flux, dtype=np.float64) / np.median(good)
    good = good / np.median(good)
    scatter = 1.4826 * np.median(np.abs(good - 1.0)) + FLOOR
    low, high = np.percentile(good, [5, 95])
    deep, bright = np.percentile(good, [0.3, 99.7])
    flicker = np.median(np.abs(good - uniform_filter1d(good, 16)))
    step = np.median(np.abs(np.diff(good)))
    clipped = np.clip((good - 1.0) / scatter, -20, 20)
    period, height = acf_peak(curve.flux, curve.cadence_days)
    other, power = lomb_scargle_peak(curve.flux, curve.cadence_days)
    longest = 0.5 * len(curve) * curve.cadence_days
    correlation = np.nan_to_num(acf(flux))
    values = [
        *(math.log10(value + FLOOR) for value in (scatter, high - low, flicker, step)),
        float(np.cbrt(np.mean(clipped**3))),
        math.log10(float(np.mean(clipped**4)) + 0.1),
        math.log10((1.0 - deep) / scatter + 0.1),
        math.log10((bright - 1.0) / scatter + 0.1),
        *(math.log10(period if math.isfinite(period) else longest), height),
        *(math.log10(other if math.isfinite(other) else longest), power),
        *(float(correlation[lag]) for lag in LAGS),
        *_band_shares(flux, curve.cadence_days),
    ]
    return np.asarray(values, dtype=np.float64)


def _band_shares(flux: Array, cadence_days: float) -> list[float]:
    """Share of the power in each band, log10."""
    filled = np.nan_to_num(flux - np.nanmean(flux))
    smooth = median_filter(filled, 3)
    power = np.abs(np.fft.rfft(smooth)) ** 2
    frequency = np.fft.rfftfreq(len(smooth), cadence_days)
    place = np.digitize(frequency[1:], BANDS_PER_DAY[1:-1])
    sums = np.bincount(place, power[1:], minlength=len(BANDS_PER_DAY) - 1)
    return [float(value) for value in np.log10(sums / max(sums.sum(), 1e-30) + 1e-6)]


@dataclass(frozen=True, eq=False, kw_only=True)
class LightCurveNumbers(RealCandidate):
    """Numbers of every light curve of at most a quarter.

    Parameters
    ----------
    first
        How many of `LIGHTCURVE_NAMES`; 0 for all.
    """

    first: int = 0

    def prepare(self, inputs: Inputs) -> None:
        """Measure every light curve once."""
        inputs.kept("lightcurve_numbers", lambda: _numbers(inputs))

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``joint``: (N, F), NaN for light curves that are too short."""
        found = inputs.kept("lightcurve_numbers", lambda: _numbers(inputs))
        return {"joint": found[:, : self.first or None]}


def _numbers(inputs: Inputs) -> NDArray[np.float32]:
    rows = np.full((len(inputs.stars), len(LIGHTCURVE_NAMES)), np.nan, dtype=np.float32)
    for place, curve in quarters(inputs).items():
        rows[place] = lightcurve_features(curve)
    return rows


CANDIDATES.add(
    LightCurveNumbers(
        name="lightcurve_numbers",
        title="hand-made features",
        text="amplitudes, moments, periods and power by frequency of a light curve",
        order=110,
        group="control",
        track=REAL_LIGHTCURVES,
    )
)
CANDIDATES.add(
    LightCurveNumbers(
        name="lightcurve_trees",
        title="hand-made features, boosted trees",
        text="the same numbers, learnt from by boosted trees",
        order=111,
        group="control",
        track=REAL_LIGHTCURVES,
        learner=TREES,
    )
)
CANDIDATES.add(
    LightCurveNumbers(
        name="scatter",
        title="scatter alone",
        text="log10 of the flux's robust scatter: what a kind's amplitude alone tells",
        order=112,
        group="control",
        track=REAL_LIGHTCURVES,
        first=1,
    )
)
