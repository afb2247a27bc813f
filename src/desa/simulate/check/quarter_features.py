"""Numbers that describe a quarter of a light curve: what a judge is given of it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.types import KEPLER_CADENCE_DAYS, LightCurve

FloatArray = NDArray[np.float64]

NAMES: Final = (
    "noise a cadence",
    "spread",
    "range (5 to 95 %)",
    "skewness",
    "kurtosis",
    "spread of the differences' tails",
    "high outliers",
    "low outliers",
    "correlation at 1 cadence",
    "correlation at 6 h",
    "correlation at 1 d",
    "correlation at 4 d",
    "correlation at 12 d",
    "power at 0.05-0.2 /d",
    "power at 0.2-0.6 /d",
    "power at 0.6-2 /d",
    "power at 2-6 /d",
    "power at 6-14 /d",
    "power at 14-24 /d",
    "highest peak over its band",
    "slope of the quarter",
    "curvature of the quarter",
    "steps at the gaps",
    "share of lost cadences",
    "longest gap",
    "stated error over noise",
)
BANDS: Final = ((0.05, 0.2), (0.2, 0.6), (0.6, 2.0), (2.0, 6.0), (6.0, 14.0), (14.0, 24.0))
"""Cycles a day."""


def _filled(flux: FloatArray, good: NDArray[np.bool_]) -> FloatArray:
    place = np.arange(len(flux))
    return np.interp(place, place[good], flux[good])


def _log(value: float) -> float:
    return float(np.log10(max(value, 1e-2)))


def _longest(lost: NDArray[np.bool_]) -> int:
    edges = np.diff(np.concatenate([[False], lost, [False]]).astype(np.int8))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return int((stops - starts).max(initial=0))


def _steps(ppm: FloatArray, good: NDArray[np.bool_]) -> float:
    """Median step in ppm across gaps of half a day or more, from the medians of half a day on either side."""
    place = np.flatnonzero(good)
    jumps = np.flatnonzero(np.diff(place) > 24)
    sizes = [
        abs(np.median(ppm[place[k + 1 : k + 25]]) - np.median(ppm[place[max(k - 23, 0) : k + 1]]))
        for k in jumps
    ]
    return float(np.median(sizes)) if sizes else 0.0


def quarter_features(curve: LightCurve) -> FloatArray:
    """Features (26,) of one quarter, in the order of `NAMES`; sizes as log10 ppm.

    Parameters
    ----------
    curve
        One quarter, over its median.
    """
    good = np.isfinite(curve.flux)
    ppm = np.where(good, (curve.flux.astype(np.float64) - 1.0) * 1e6, np.nan)
    values = ppm[good]
    steps = np.diff(values)[np.diff(np.flatnonzero(good)) == 1]
    noise = 1.4826 * float(np.median(np.abs(steps))) / np.sqrt(2.0)
    low, middle, high = np.percentile(values, [5, 50, 95])
    scaled = (values - middle) / max(float(values.std()), 1e-9)
    filled = _filled(ppm, good)
    smooth = np.convolve(np.pad(filled, 2, mode="edge"), [0.25, 0.25, 0.0, 0.25, 0.25], mode="valid")
    off = (filled - smooth)[good] / max(noise, 1e-9)
    x = np.linspace(-1.0, 1.0, len(filled))
    trend = np.polynomial.legendre.legfit(x[good], values, 2)
    flat = filled - filled.mean()
    correlation = [
        float((flat[lag:] * flat[:-lag]).mean() / max(float((flat**2).mean()), 1e-9))
        for lag in (1, 12, 49, 196, 587)
        if lag < len(flat)
    ]
    correlation += [0.0] * (5 - len(correlation))
    power = np.abs(np.fft.rfft(flat * np.hanning(len(flat)))) ** 2 * 2.0 / len(flat) ** 2 * 8.0 / 3.0
    frequency = np.arange(len(power)) / (len(flat) * KEPLER_CADENCE_DAYS)
    bands = [power[(frequency >= a) & (frequency < b)] for a, b in BANDS]
    peak = max(float(band.max(initial=0.0) / max(band.mean(), 1e-9)) for band in bands[1:] if len(band))
    stated = float(np.nanmedian(curve.flux_err)) * 1e6 if curve.flux_err is not None else np.nan
    return np.array(
        [
            _log(noise),
            _log(float(values.std())),
            _log(high - low),
            float(np.clip((scaled**3).mean(), -10, 10)),
            _log(float((scaled**4).mean())),
            _log(float(np.percentile(np.abs(steps), 99)) / max(noise, 1e-9)),
            float(np.log10(1e-4 + (off > 4).mean())),
            float(np.log10(1e-4 + (off < -4).mean())),
            *correlation,
            *(_log(float(np.sqrt(band.sum()))) for band in bands),
            _log(peak),
            _log(abs(float(trend[1]))),
            _log(abs(float(trend[2]))),
            _log(_steps(ppm, good)),
            float(1.0 - good.mean()),
            float(np.log10(1 + _longest(~good))),
            _log(stated / max(noise, 1e-9)) if np.isfinite(stated) else np.nan,
        ]
    )
