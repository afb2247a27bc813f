"""Autocorrelation and Lomb-Scargle periodogram of a whole light curve, on one axis of log periods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, uniform_filter1d

from desa.preprocess.numeric import MAD_TO_SIGMA
from desa.types import LightCurve

Array = NDArray[np.float64]

BIN_DAYS = 1.0 / 24.0
"""Samples are averaged to about this."""

CLIP = 5.0
"""Robust standard deviations beyond which samples (flares, eclipses) are cut."""

SLOWEST_TREND_DAYS = 25.0
"""Standard deviation of the smoothing that takes the trends out of long light curves; of a shorter one it is
`TREND_SHARE` of its length."""

TREND_SHARE = 1.0 / 6.0

SHORTEST_DAYS = 0.15
LONGEST_SHARE = 0.9
"""The axis ends at this share of the light curve's length."""

OCTAVE = 40
"""Points of the axis in an octave of periods."""

SMOOTH_POINTS = 2.0
"""Standard deviation of the ACF's smoothing on the axis: 3.5 % of the period."""

LEAST_PAIRS = 0.05
"""ACF lags with fewer valid pairs than this share of the valid samples are 0."""

OVERSAMPLING = 5
LEAST_SAMPLES = 50


@dataclass(frozen=True, eq=False)
class Series:
    """Averaged samples of a light curve.

    Parameters
    ----------
    flux
        (N,) mean 0 and standard deviation 1, 0 in gaps.
    good
        (N,) bool.
    step
        Days between them.
    """

    flux: Array
    good: NDArray[np.bool_]
    step: float

    @property
    def span(self) -> float:
        """Days from the first to the last sample."""
        return len(self.flux) * self.step

    @property
    def time(self) -> Array:
        """(N,) days from the first sample."""
        return np.asarray(self.step * np.arange(len(self.flux)), dtype=np.float64)


def series_of(curve: LightCurve) -> Series | None:
    """The samples of a light curve about an hour apart, clipped; None where they are few or constant."""
    width = max(1, round(BIN_DAYS / curve.cadence_days))
    size = len(curve) // width * width
    rows = np.asarray(curve.flux[:size], dtype=np.float64).reshape(-1, width)
    count = np.isfinite(rows).sum(axis=1)
    good = count > 0
    if good.sum() < LEAST_SAMPLES:
        return None
    flux = np.where(np.isfinite(rows), rows, 0.0).sum(axis=1) / np.maximum(count, 1)
    centred = flux - np.median(flux[good])
    sigma = MAD_TO_SIGMA * np.median(np.abs(centred[good])) or float(centred[good].std())
    return standardised(np.clip(centred, -CLIP * sigma, CLIP * sigma), good, width * curve.cadence_days)


def standardised(flux: Array, good: NDArray[np.bool_], step: float) -> Series | None:
    """Mean 0 and standard deviation 1 over the good samples; None for a constant."""
    spread = float(flux[good].std())
    if not spread > 0:
        return None
    return Series(np.where(good, (flux - flux[good].mean()) / spread, 0.0), good, step)


def without_trend(series: Series) -> Series | None:
    """The series less its smoothed self, so that drifts slower than the periods sought do not count."""
    sigma = min(TREND_SHARE * series.span, SLOWEST_TREND_DAYS) / series.step
    weight = smoothed(series.good.astype(np.float64), sigma)
    trend = smoothed(series.flux, sigma) / np.maximum(weight, 1e-3)
    return standardised(np.where(series.good, series.flux - trend, 0.0), series.good, series.step)


def smoothed(values: Array, sigma: float) -> Array:
    """Values smoothed nearly as by a Gaussian: three running means, whose cost does not grow with `sigma`."""
    width = 2 * round(0.5 * (np.sqrt(4.0 * sigma**2 + 1.0) - 1.0)) + 1
    for _ in range(3):
        values = uniform_filter1d(values, min(width, len(values)), mode="constant")
    return values


def masked_acf(series: Series) -> Array:
    """(N,) mean product of the valid pairs at each lag, 1 at lag 0; 0 where pairs are few."""
    size = next_fast_len(2 * len(series.flux), real=True)

    def products(values: Array) -> Array:
        power = np.abs(rfft(values, size)) ** 2
        return np.asarray(irfft(power, size)[: len(values)])

    pairs = np.round(products(series.good.astype(np.float64)))
    acf = products(series.flux) / np.maximum(pairs, 1.0)
    return np.where(pairs >= LEAST_PAIRS * series.good.sum(), acf / acf[0], 0.0)


def period_axis(span: float, step: float) -> Array:
    """Periods in days, `OCTAVE` an octave, from `SHORTEST_DAYS` to `LONGEST_SHARE` of the span."""
    low = max(SHORTEST_DAYS, 3.0 * step)
    points = max(2, int(OCTAVE * np.log2(max(LONGEST_SHARE * span / low, 1.1))))
    return np.asarray(low * 2.0 ** (np.arange(points) / OCTAVE))


def on_axis(acf: Array, step: float, periods: Array) -> Array:
    """The ACF smoothed on the axis of log periods."""
    values = np.interp(periods / step, np.arange(len(acf)), gaussian_filter1d(acf, 1.0))
    return np.asarray(gaussian_filter1d(values, SMOOTH_POINTS))


@dataclass(frozen=True, eq=False)
class Periodogram:
    """Lomb-Scargle power (Scargle 1982), 0 to 1, at `frequency` (per day) and pooled onto a period axis."""

    frequency: Array
    power: Array
    pooled: Array

    def peak_near(self, period: float, share: float) -> float:
        """The period of the highest power within a share of a period; the period itself where none is."""
        low, high = np.searchsorted(self.frequency, [1 / (period * (1 + share)), 1 / (period * (1 - share))])
        if high <= low:
            return period
        best = int(low) + int(np.argmax(self.power[low:high]))
        return float(1.0 / (self.frequency[best] + self._shift(best)))

    def _shift(self, best: int) -> float:
        """Of a peak's top from its highest sample, by a parabola."""
        if not 0 < best < len(self.power) - 1:
            return 0.0
        left, top, right = self.power[best - 1 : best + 2]
        bend = left - 2 * top + right
        step = float(self.frequency[1] - self.frequency[0])
        return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) * step if bend < 0 else 0.0


def lomb_scargle(series: Series, periods: Array) -> Periodogram:
    """The periodogram of a series; `pooled` is the highest power about each period of the axis."""
    # The samples lie on a grid, so transforms give every sum over the good ones.
    size = next_fast_len(OVERSAMPLING * len(series.flux))
    low, high = (
        int(np.clip(size * series.step / period, 1, size // 2)) for period in (periods[-1], periods[0])
    )
    places = np.arange(low, max(high, low + 2))
    frequency = places / (size * series.step)
    flux = fft(series.flux, size)[places]
    double = fft(series.good.astype(np.float64), size)[2 * places % size]
    # About the phase where sines and cosines are orthogonal (Scargle 1982, eq. 10), `double` is real.
    turned = flux * np.exp(-0.5j * np.angle(double))
    count, size_of_double = float(series.good.sum()), np.abs(double)
    cosine, sine = (0.5 * (count + sign * size_of_double) for sign in (1.0, -1.0))
    power = turned.real**2 / np.maximum(cosine, 1.0) + turned.imag**2 / np.maximum(sine, 1.0)
    power = np.clip(power / max(float((series.flux**2).sum()), 1e-12), 0.0, 1.0)
    # Where the axis is coarser than the frequencies, the highest of those in a point's reach.
    half = 2.0 ** (0.5 / OCTAVE)
    first = np.searchsorted(frequency, 1.0 / (periods * half))
    last = np.searchsorted(frequency, half / periods)
    pooled = np.interp(1.0 / periods, frequency, power)
    for place in np.flatnonzero(last > first):
        pooled[place] = max(pooled[place], power[first[place] : last[place]].max())
    return Periodogram(frequency, power, pooled)


def local_peaks(values: Array, reach: int = 3) -> NDArray[np.int64]:
    """Indices of the values that are highest within `reach` on both sides, ends left out."""
    highest = (values == maximum_filter1d(values, 2 * reach + 1, mode="nearest")) & (values > 0)
    highest[[0, -1]] = False
    return np.flatnonzero(highest)
