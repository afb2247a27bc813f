"""Features made by hand, which an encoder must beat: of light curves and of spectra.

Light curves: amplitudes, moments, periods and peaks of the ACF and of the Lomb-Scargle periodogram, power by
frequency. Spectra: depths of lines beside their own continuum, as Lick indices are (Worthey et al. 1994).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d

from desa.evaluation.periods import acf, acf_peak, lomb_scargle_peak
from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START, LAMOST_LOG_WAVELENGTH_STEP
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

LINES: dict[str, tuple[float, float]] = {
    "H delta": (4102.9, 12.0),
    "Ca I 4227": (4227.9, 8.0),
    "CH 4300": (4303.0, 16.0),
    "H gamma": (4341.7, 12.0),
    "Fe I 4384": (4384.8, 8.0),
    "Fe I 4532": (4532.4, 20.0),
    "Fe II 4924": (4925.3, 8.0),
    "H beta": (4862.7, 12.0),
    "Fe I 5015": (5015.0, 25.0),
    "Mg b": (5176.4, 16.0),
    "Fe I 5270": (5271.5, 16.0),
    "Fe I 5335": (5331.0, 16.0),
    "Fe I 5406": (5407.0, 10.0),
    "Na D": (5894.6, 10.0),
    "Ca I 6162": (6163.9, 8.0),
    "H alpha": (6564.6, 12.0),
    "TiO 7055": (7090.0, 30.0),
    "Na I 8190": (8191.0, 12.0),
    "Ca II 8498": (8500.4, 6.0),
    "Ca II 8542": (8544.4, 8.0),
    "Ca II 8662": (8664.5, 8.0),
    "Ca K": (3934.8, 8.0),
    "Ca H": (3969.6, 8.0),
}
"""Line -> centre in vacuum and half-width, Angstrom."""


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


def line_indices(flux: NDArray[np.floating], ivar: NDArray[np.floating], z: Array) -> Array:
    """(N, lines) depth of each line: 1 - mean flux in it over the mean flux on both its sides.

    Parameters
    ----------
    flux, ivar
        (N, P) as observed, from LAMOST's first pixel on; ivar 0 where bad.
    z
        (N,) redshifts.

    Returns
    -------
    Array
        A line without good pixels has the median depth of the others' spectra.
    """
    exponent = LAMOST_LOG_WAVELENGTH_START + LAMOST_LOG_WAVELENGTH_STEP * np.arange(flux.shape[1])
    wave = 10.0**exponent / (1.0 + np.nan_to_num(z)[:, None])
    good = ivar > 0
    columns = []
    for centre, half in LINES.values():
        distance = np.abs(wave - centre)
        inside, beside = distance <= half, (distance > 1.5 * half) & (distance <= 3.5 * half)
        columns.append(1.0 - _mean(flux, good & inside) / _mean(flux, good & beside))
    depths = np.clip(np.column_stack(columns), -1.0, 1.5)
    middle = np.nan_to_num(np.nanmedian(depths, axis=0))
    return np.asarray(np.where(np.isfinite(depths), depths, middle))


def _mean(flux: NDArray[np.floating], members: NDArray[np.bool_]) -> Array:
    """(N,) mean over members, NaN with fewer than 3 or where it is not positive."""
    count = members.sum(axis=1)
    mean = np.where(members, flux, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.asarray(np.where((count >= 3) & (mean > 0), mean, np.nan))


def lightcurve_table(curves: Sequence[LightCurve]) -> Array:
    """(N, F) `lightcurve_features` of several."""
    return np.stack([lightcurve_features(curve) for curve in curves])
