"""What is computed of a light curve for the page: detrending, autocorrelation, periodogram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from astropy.timeseries import LombScargle
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from desa.evaluation.periods import acf
from desa.simulate.calendar import load_calendar
from desa.types import KEPLER_CADENCE_DAYS, LightCurve

Floats = NDArray[np.float32]
Detrend = Literal["none", "quarters", "median"]

LONGEST = 400_000
"""Samples of a light curve that are sent at most: eleven times Kepler's whole mission at 30 min."""

LONGEST_LAG_DAYS = 90.0
GAP_DAYS = 3.0
"""Where a curve is not Kepler's, a longer gap begins a new stretch of observing (a sector, a campaign)."""

OVERSAMPLING = 5
"""Frequencies for each that the curve's length resolves."""

MOST_FREQUENCIES = 400_000


def flux_ppt(curve: LightCurve) -> Floats:
    """(L,) flux in parts per thousand about its median, NaN in gaps."""
    flux = curve.flux[:LONGEST].astype(np.float64)
    median = np.nanmedian(flux) if np.isfinite(flux).any() else 1.0
    return np.asarray(1000 * (flux / median - 1) if median > 0 else flux * np.nan, dtype=np.float32)


def quarter_starts(curve: LightCurve) -> list[int]:
    """Samples at which a quarter (sector, campaign) begins, the first, 0, included.

    Kepler's quarters by the mission's calendar; else a new one begins after a gap of `GAP_DAYS`.
    """
    length = min(len(curve), LONGEST)
    if curve.mission in ("Kepler", "KEPSEISMIC") and math.isfinite(curve.start_bkjd):
        calendar = load_calendar()
        first = (curve.start_bkjd - calendar.time_offset) / KEPLER_CADENCE_DAYS
        places = (calendar.quarters[:, 1] - first) * KEPLER_CADENCE_DAYS / curve.cadence_days
        inside = np.rint(places[(places > 0) & (places < length)]).astype(int)
        return [0, *inside.tolist()]
    good = np.flatnonzero(np.isfinite(curve.flux[:length]))
    gaps = np.flatnonzero(np.diff(good) * curve.cadence_days > GAP_DAYS)
    return [0, *good[gaps + 1].tolist()]


def detrended(curve: LightCurve, how: Detrend = "none", window: float = 10.0) -> Floats:
    """(L,) flux in ppt, NaN in gaps, less a trend.

    Parameters
    ----------
    curve
        The light curve.
    how
        ``"none"``; ``"quarters"``: a straight line for each quarter, which takes away the jumps between
        quarters and their slopes; ``"median"``: a running median, quarter by quarter.
    window
        Days of the running median.
    """
    flux = flux_ppt(curve)
    if how == "none":
        return flux
    width = max(3, round(window / curve.cadence_days) | 1)
    starts = quarter_starts(curve)
    for start, stop in zip(starts, [*starts[1:], len(flux)], strict=True):
        part = flux[start:stop]
        good = np.flatnonzero(np.isfinite(part))
        if len(good) == 0:
            continue
        if how == "quarters":
            trend = _line(good, part[good], len(part))
        else:
            filled = np.interp(np.arange(len(part)), good, part[good])
            trend = median_filter(filled, min(width, 2 * len(part) - 1), mode="nearest")
        part -= trend.astype(np.float32)
    return flux


def _line(places: NDArray[np.intp], values: Floats, length: int) -> NDArray[np.float64]:
    """A least-squares line; only the mean of fewer than ten samples."""
    if len(places) < 10:
        return np.full(length, values.mean(dtype=np.float64))
    slope, height = np.polyfit(places.astype(np.float64), values.astype(np.float64), 1)
    return np.asarray(height + slope * np.arange(length))


def autocorrelation(flux: Floats, cadence_days: float) -> Floats:
    """(K,) autocorrelation by lag in cadences from 0, over the pairs of good samples that there are.

    Lags go up to half of the curve and `LONGEST_LAG_DAYS`. NaN where fewer than a tenth of the pairs of lag 0
    are left.
    """
    if len(flux) < 2:
        return np.zeros(0, np.float32)
    good = np.isfinite(flux)
    lags = max(2, min(len(flux) // 2, int(LONGEST_LAG_DAYS / cadence_days)))
    # `acf` falls with the number of pairs; that of the samples' own places says how many there are.
    pairs = _pairs(good)[:lags]
    values = acf(flux)[:lags] / np.maximum(pairs, 1e-9)
    return np.asarray(np.where(pairs > 0.1, values, np.nan), dtype=np.float32)


def _pairs(good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(L,) pairs of good samples by lag, over those of lag 0."""
    size = 2 * len(good)
    power = np.abs(np.fft.rfft(good.astype(np.float64), size)) ** 2
    counts = np.fft.irfft(power, size)[: len(good)]
    return np.asarray(np.rint(counts) / max(counts[0], 1.0))


@dataclass(frozen=True)
class Grid:
    """Frequencies of a periodogram: `start` + place * `step`, per day."""

    start: float
    step: float
    count: int


def grid_of(curve: LightCurve) -> Grid:
    """From one turn in the curve's length to the Nyquist frequency."""
    span = max(min(len(curve), LONGEST) * curve.cadence_days, 2 * curve.cadence_days)
    highest = 0.5 / curve.cadence_days
    step = max(1 / (OVERSAMPLING * span), highest / MOST_FREQUENCIES)
    return Grid(1 / span, step, max(2, int((highest - 1 / span) / step)))


def periodogram(flux: Floats, curve: LightCurve) -> Floats:
    """(F,) Lomb-Scargle power, 0 to 1, on the frequencies of `grid_of` (Lomb 1976; Scargle 1982).

    NaN where there are fewer than ten good samples, or they are all the same.
    """
    grid = grid_of(curve)
    good = np.isfinite(flux)
    if good.sum() < 10 or np.ptp(flux[good]) == 0:
        return np.full(grid.count, np.nan, np.float32)
    time = curve.cadence_days * np.flatnonzero(good)
    search = LombScargle(time, flux[good].astype(np.float64))
    frequency = grid.start + grid.step * np.arange(grid.count)
    power = search.power(frequency, method="fast", assume_regular_frequency=True)
    return np.asarray(np.clip(power, 0, 1), dtype=np.float32)
