"""Candidate rotation periods of a light curve, and what speaks for each.

Candidates are the peaks of ACF and Lomb-Scargle periodogram, of the light curve as it is and without its
trend, with their halves and doubles: on real Kepler and K2 stars nearly all of an ACF's error is a wrong
choice among these (Breton et al. 2021, A&A 647, A125, choose among them too).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from desa.preprocess.periodogram import (
    OCTAVE,
    Periodogram,
    Series,
    local_peaks,
    lomb_scargle,
    masked_acf,
    on_axis,
    period_axis,
    series_of,
    smoothed,
    without_trend,
)
from desa.types import LightCurve

Array = NDArray[np.float64]

MOST = 32
"""Candidates of a light curve."""

PEAKS = 6
"""Of ACF and periodogram each that are candidates; the highest `RELATED` with their halves and doubles."""

RELATED = 4
SAME = 0.025
"""Candidates closer than this share are one."""

SHORTEST_DAYS = 0.2
LONGEST = 0.75
"""The longest candidate, as a share of the light curve's length."""

REFINE = 0.08
"""Share within which a peak is looked for when a candidate is refined."""

MULTIPLES = 5
"""ACF peaks that a period is refined on."""

PHASES = 16
RATIOS = (1.0, 0.5, 2.0, 1.5, 3.0)
"""ACF and periodogram are looked at at these multiples of a candidate."""

VIEW_FEATURES = 2 * len(RATIOS) + 6
OWN_FEATURES = 2 * VIEW_FEATURES + 3 + 6 + 8
CURVE_FEATURES = 17
MISSIONS = ("K2", "TESS")
MISSION_PLACE = 3
"""Of the first of them among the features of a light curve."""

LONG_DAYS = 200.0
"""Kepler light curves longer than this are a kind of their own."""

KINDS = (*MISSIONS, f"Kepler, up to {LONG_DAYS:.0f} d", "Kepler, longer")


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate periods of one light curve.

    Parameters
    ----------
    periods
        (K,) days, refined.
    features
        (K, OWN_FEATURES) float32 of each.
    curve
        (CURVE_FEATURES,) float32 of the light curve.
    span
        Days.
    """

    periods: Array
    features: NDArray[np.float32]
    curve: NDArray[np.float32]
    span: float

    @property
    def kind(self) -> str:
        """One of `KINDS`: mission and, for Kepler's, length."""
        for place, mission in enumerate(MISSIONS, MISSION_PLACE):
            if self.curve[place] > 0:
                return mission
        return KINDS[-1] if self.span > LONG_DAYS else KINDS[-2]


@dataclass(frozen=True, eq=False)
class View:
    """A series with its ACF by lag and on the axis, and its periodogram."""

    series: Series
    acf: Array
    smooth: Array
    periodogram: Periodogram


def _view(series: Series, axis: Array) -> View:
    acf = masked_acf(series)
    return View(series, acf, on_axis(acf, series.step, axis), lomb_scargle(series, axis))


def candidates_of(curve: LightCurve) -> Candidates:
    """Candidates of a light curve of any length, gaps as gaps; none where it is constant or too short."""
    series = series_of(curve)
    flat = None if series is None else without_trend(series)
    if series is None or flat is None:
        return _nothing(curve)
    axis = period_axis(series.span, series.step)
    views = [_view(series, axis), _view(flat, axis)]
    periods = _proposed(views, axis)
    if not len(periods):
        return _nothing(curve)
    refined = np.array([refine(period, views[1]) for period in periods])
    own = [_view_features(view, axis, refined) for view in views]
    features = np.concatenate([*own, _folded(views[1].series, refined), _relations(views, axis, refined)], 1)
    whole = _curve_features(curve, views)
    return Candidates(refined, features.astype(np.float32), whole.astype(np.float32), series.span)


def _nothing(curve: LightCurve) -> Candidates:
    empty, whole = np.zeros((0, OWN_FEATURES), np.float32), np.zeros(CURVE_FEATURES, np.float32)
    whole[MISSION_PLACE : MISSION_PLACE + len(MISSIONS)] = [curve.mission == name for name in MISSIONS]
    return Candidates(np.zeros(0), empty, whole, len(curve) * curve.cadence_days)


def _peaks(view: View, axis: Array) -> tuple[Array, Array]:
    """Periods of the peaks of ACF, by prominence, and periodogram, by power; the highest first."""
    acf = local_peaks(view.smooth)
    height = np.array([_prominence(view.smooth, place) for place in acf])
    acf = acf[np.argsort(-height)[:PEAKS]] if len(acf) else acf
    power = local_peaks(view.periodogram.pooled)
    power = power[np.argsort(-view.periodogram.pooled[power])[:PEAKS]]
    return axis[acf], np.array([view.periodogram.peak_near(p, 0.02) for p in axis[power]])


def _prominence(values: Array, place: int) -> float:
    """Height of a peak over the lowest value within an octave, on the side where that is higher."""
    left = values[max(0, place - OCTAVE) : place + 1].min()
    right = values[place : place + OCTAVE + 1].min()
    return float(values[place] - max(left, right))


def _proposed(views: list[View], axis: Array) -> Array:
    """Candidates, those that ACF or periodogram put forward first."""
    found: list[float] = []
    related: list[float] = []
    for view in views:
        for peaks in _peaks(view, axis):
            found += peaks.tolist()
            related += [factor * period for period in peaks[:RELATED].tolist() for factor in (0.5, 2.0)]
    longest = LONGEST * views[0].series.span
    kept: list[float] = []
    for period in [*found, *related]:
        if SHORTEST_DAYS <= period <= longest and all(abs(period / other - 1) > SAME for other in kept):
            kept.append(period)
    return np.array(kept[:MOST])


def refine(period: float, view: View) -> float:
    """A candidate's period from the ACF's peaks at it and its multiples.

    The peaks of a decaying ACF all lie short by about the same lag, so the period is the slope of a line
    through them and only where there is one peak its own lag.
    """
    step = view.series.step
    ends = int(min(len(view.acf), (MULTIPLES + 1) * period / step))
    smooth = smoothed(view.acf[:ends], 0.05 * period / step)
    lags: list[float] = []
    for multiple in range(1, MULTIPLES + 1):
        expected = period if not lags else lags[-1] + (lags[-1] - lags[-2] if len(lags) > 1 else period)
        low, high = (int(np.ceil((expected + sign * REFINE * period) / step)) for sign in (-1, 1))
        if low < 1 or high + 1 >= len(smooth) or high - low < 2 or multiple * period > 0.5 * view.series.span:
            break
        top = low + int(np.argmax(smooth[low:high]))
        if smooth[top] <= 0 or not smooth[top - 1] < smooth[top] >= smooth[top + 1]:
            break
        left, middle, right = smooth[top - 1 : top + 2]
        lags.append(step * (top + 0.5 * (left - right) / (left - 2 * middle + right)))
    if not lags:
        return period
    if len(lags) < 3:
        return lags[-1] / len(lags)
    slope = float(np.polyfit(np.arange(len(lags)), lags, 1)[0])
    return slope if abs(slope / lags[0] - 1) < REFINE else lags[0]


def _at(values: Array, axis: Array, periods: Array) -> Array:
    """Values on the axis at periods, 0 beyond its ends."""
    place = np.log2(periods / axis[0]) * OCTAVE
    return np.asarray(np.interp(place, np.arange(len(axis)), values, left=0.0, right=0.0))


def _view_features(view: View, axis: Array, periods: Array) -> Array:
    """(K, VIEW_FEATURES) ACF and root of the power at multiples of each period, and how high it is."""
    amplitude = np.sqrt(view.periodogram.pooled)
    reach = maximum_filter1d(amplitude, 5)
    near = maximum_filter1d(view.smooth, 7)
    acf = [_at(view.smooth, axis, ratio * periods) for ratio in RATIOS]
    power = [_at(reach, axis, ratio * periods) for ratio in RATIOS]
    place = np.clip(np.round(np.log2(periods / axis[0]) * OCTAVE).astype(int), 0, len(axis) - 1)
    prominence = np.array([_prominence(view.smooth, p) for p in place])
    nearest = near[place]
    best_acf = max(float(view.smooth[OCTAVE // 2 :].max(initial=0.0)), 1e-3)
    best_power = max(float(amplitude.max()), 1e-3)
    trough = np.minimum(_at(view.smooth, axis, 0.5 * periods), _at(view.smooth, axis, 0.707 * periods))
    more = [
        prominence,
        nearest - acf[0],
        acf[0] / best_acf,
        power[0] / best_power,
        np.sqrt(power[0] ** 2 + power[1] ** 2 + _at(reach, axis, periods / 3.0) ** 2),
        acf[0] - trough,
    ]
    return np.stack([*acf, *power, *more], axis=1)


def _folded(series: Series, periods: Array) -> Array:
    """(K, 3 + 3) variance that the phase explains at P, P/2, 2P; how alike both halves' shapes are."""
    time, flux = series.time[series.good], series.flux[series.good]
    middle = len(time) // 2
    found = np.zeros((len(periods), 6))
    for row, period in enumerate(periods):
        for column, factor in enumerate((1.0, 0.5, 2.0)):
            phase = (time / (factor * period) % 1.0 * PHASES).astype(np.int64) % PHASES
            totals, counts = np.zeros((2, PHASES)), np.zeros((2, PHASES))
            for half, part in enumerate((slice(0, middle), slice(middle, None))):
                counts[half] = np.bincount(phase[part], minlength=PHASES)
                totals[half] = np.bincount(phase[part], flux[part], PHASES)
            whole = totals.sum(0) ** 2 / np.maximum(counts.sum(0), 1.0)
            first, second = totals / np.maximum(counts, 1.0)
            size = np.sqrt((first**2).sum() * (second**2).sum())
            found[row, column] = whole.sum() / len(flux)
            found[row, 3 + column] = (first * second).sum() / size if size > 0 else 0.0
    return found


def _relations(views: list[View], axis: Array, periods: Array) -> Array:
    """(K, 3 + 8) its place on the axes of days, of turns and of samples; how it lies to the highest peaks."""
    span, step = views[0].series.span, views[0].series.step
    found = [np.log10(periods) - 1.0, np.log10(span / periods) - 1.0, np.log10(periods / step) - 2.0]
    for view in views:
        for peaks in _peaks(view, axis):
            best = np.log2(periods / peaks[0]) if len(peaks) else np.full(len(periods), 3.0)
            found += [np.clip(best, -3, 3) / 3.0, np.exp(-0.5 * (best / 0.1) ** 2)]
    return np.stack(found, axis=1)


def _curve_features(curve: LightCurve, views: list[View]) -> Array:
    """(CURVE_FEATURES,) of the light curve: mission, length, noise, and how periodic it is."""
    series, flat = (view.series for view in views)
    both = series.good[1:] & series.good[:-1]
    rough = [float(np.diff(s.flux)[both].std()) if both.any() else 1.0 for s in (series, flat)]
    days = [round(lag / series.step) for lag in (0.25, 1.0, 3.0)]
    shape = series.flux[series.good]
    facts = [
        np.log10(series.span) - 2.0,
        np.log10(series.step) + 1.4,
        float(series.good.mean()),
        *(float(curve.mission == mission) for mission in MISSIONS),
        *(np.log10(value + 1e-3) + 1.0 for value in rough),
        float((shape**3).mean()),
        np.log10(float((shape**4).mean()) + 1e-3),
        *(views[1].acf[lag] if lag < len(views[1].acf) else 0.0 for lag in days),
        *(float(np.sqrt(view.periodogram.pooled.max())) for view in views),
        *(
            max((_prominence(view.smooth, p) for p in local_peaks(view.smooth)), default=0.0)
            for view in views
        ),
        len(local_peaks(views[1].smooth)) / 10.0,
    ]
    return np.nan_to_num(np.array(facts, dtype=np.float64))
