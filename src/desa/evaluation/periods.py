"""Rotation periods without learning: the highest peak of the ACF and of the Lomb-Scargle periodogram."""

from __future__ import annotations

import math

import numpy as np
from astropy.timeseries import LombScargle
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

Array = NDArray[np.float64]

SHORTEST = 0.2
"""Days."""

LONGEST_SHARE = 0.5
"""Periods up to this share of the light curve's length are looked for."""

BIN = 4
"""Cadences that are averaged before either method."""

SMOOTH_CADENCES = 18
"""Standard deviation, in 30-minute cadences, of the ACF's smoothing (McQuillan, Aigrain & Mazeh 2013)."""


def binned(flux: NDArray[np.floating], width: int = BIN) -> Array:
    """Means of the finite samples of each `width`; NaN where there is none."""
    size = len(flux) // width * width
    rows = np.asarray(flux[:size], dtype=np.float64).reshape(-1, width)
    good = np.isfinite(rows)
    count = good.sum(axis=1)
    return np.asarray(np.where(count > 0, np.where(good, rows, 0).sum(axis=1) / np.maximum(count, 1), np.nan))


def acf(flux: NDArray[np.floating]) -> Array:
    """(L,) autocorrelation by lag, 1 at lag 0; gaps count as the mean, so it falls with the pairs there are.

    NaN for a constant.
    """
    good = np.isfinite(flux)
    x = np.where(good, flux - (np.mean(flux[good]) if good.any() else 0.0), 0.0)
    power = np.abs(rfft(x, next_fast_len(2 * len(x)))) ** 2
    raw = irfft(power, next_fast_len(2 * len(x)))[: len(x)]
    return np.asarray(raw / raw[0] if raw[0] > 1e-20 else np.full(len(x), np.nan))


def acf_peak(flux: NDArray[np.floating], cadence_days: float) -> tuple[float, float]:
    """Period of the ACF in days and the height of its peak over the troughs beside it.

    As McQuillan, Aigrain & Mazeh (2013) do: the smoothed ACF's first peak, or the second where that is
    higher (spots on opposite sides put the first at half the period).

    Returns
    -------
    tuple
        NaN and 0 where there is no peak.
    """
    values = acf(binned(flux))
    step = BIN * cadence_days
    values = np.nan_to_num(values[: max(4, int(LONGEST_SHARE * len(values)))])
    smooth = gaussian_filter1d(values, SMOOTH_CADENCES / BIN, truncate=3.1)
    # Fast rotators' peaks are narrower than the smoothing: where the ACF falls below 0 at once, less of it.
    below = int(np.argmax(values < 0)) if (values < 0).any() else len(values)
    if below < 2 * SMOOTH_CADENCES / BIN:
        smooth = gaussian_filter1d(values, max(0.5, below / 4), truncate=3.1)
    found, about = find_peaks(smooth, prominence=1e-3)
    keep = found * step >= SHORTEST
    found, depth = found[keep], about["prominences"][keep]
    if not len(found):
        return math.nan, 0.0
    first = 1 if len(found) > 1 and smooth[found[1]] > smooth[found[0]] else 0
    return float(found[first] * step), float(depth[first])


def lomb_scargle_peak(flux: NDArray[np.floating], cadence_days: float) -> tuple[float, float]:
    """Period in days of the highest peak of the periodogram (Scargle 1982), and its power (0 to 1).

    Returns
    -------
    tuple
        NaN and 0 for a constant, or fewer than 20 samples.
    """
    x = binned(flux)
    time = BIN * cadence_days * np.arange(len(x))
    good = np.isfinite(x)
    if good.sum() < 20 or np.ptp(x[good]) == 0:
        return math.nan, 0.0
    span = float(np.ptp(time[good]))
    low, high = 1 / (LONGEST_SHARE * span), 1 / max(SHORTEST, 2.2 * BIN * cadence_days)
    frequency = np.arange(low, high, 1 / (5 * span))
    centred = (x[good] - x[good].mean()) / x[good].std()
    power = LombScargle(time[good], centred).power(frequency, method="fast", assume_regular_frequency=True)
    best = int(np.argmax(power))
    return float(1 / frequency[best]), float(power[best])
