"""Flares of active cool stars.

Profile: a steep rise and a decay of two exponentials (Davenport et al. 2014, ApJ 797, 122), averaged over the
half hour. Peaks follow a power law; rates grow with activity and towards cool stars (Davenport 2016, ApJ
829, 23; Yang & Liu 2019, ApJS 241, 29).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.types import KEPLER_CADENCE_DAYS

FloatArray = NDArray[np.float64]

SMALLEST_PEAK: Final = 2e-4
SLOPE: Final = 2.0
SUBSAMPLES: Final = 6


def rate(teff: float, rossby: float) -> float:
    """Flares a day with a peak above 2e-4, before integration."""
    if teff > 6400.0:
        return 0.0
    saturated = 0.5 * 10 ** ((4500.0 - max(teff, 3300.0)) / 1500.0)
    return float(saturated * min(1.0, (max(rossby, 1e-3) / 0.15) ** -2.5))


def flares(time: FloatArray, teff: float, rossby: float, rng: np.random.Generator) -> FloatArray:
    """Relative flux (L,) that flares add; `time` (L,) in days, evenly spaced."""
    flux = np.zeros_like(time)
    number = int(rng.poisson(rate(teff, rossby) * (time[-1] - time[0])))
    if number == 0:
        return flux
    starts = rng.uniform(time[0], time[-1], number)
    peaks = np.minimum(SMALLEST_PEAK * (1 - rng.random(number)) ** (-1 / (SLOPE - 1)), 0.3)
    widths = 0.012 * (peaks / 1e-3) ** 0.33 * rng.lognormal(0.0, 0.3, number)
    step = KEPLER_CADENCE_DAYS
    offsets = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    for start, peak, width in zip(starts, peaks, widths, strict=True):
        first = int((start - width - time[0]) / step)
        index = np.arange(max(first, 0), min(first + int(12 * width / step) + 3, len(time)))
        x = (time[index, None] + offsets * step - start) / width
        flux[index] += peak * profile(x).mean(axis=1)
    return flux


def profile(x: FloatArray) -> FloatArray:
    """Flux over its peak, at times over the width at half maximum (Davenport et al. 2014, eq. 1 and 4)."""
    rise = 1 + 1.941 * x - 0.175 * x**2 - 2.246 * x**3 - 1.125 * x**4
    late = np.maximum(x, 0.0)
    decay = 0.6890 * np.exp(-1.600 * late) + 0.3030 * np.exp(-0.2783 * late)
    return np.asarray(np.where(x < -1, 0.0, np.where(x < 0, rise, decay)))
