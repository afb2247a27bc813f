"""Candidate rotation periods: the true one is among them, gaps have no say, empty light curves have none."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.timeseries import LombScargle

from desa.preprocess.period_candidates import CURVE_FEATURES, OWN_FEATURES, candidates_of, refine
from desa.preprocess.period_candidates import _view as view_of
from desa.preprocess.periodogram import (
    lomb_scargle,
    masked_acf,
    period_axis,
    series_of,
    smoothed,
    standardised,
)
from desa.types import KEPLER_CADENCE_DAYS, LightCurve


def spotted(
    period: float, days: float, *, seed: int = 0, noise: float = 3e-4, half: float = 0.0
) -> LightCurve:
    """A sine of a period, another of half the period, noise, and a fifth of the samples lost."""
    rng = np.random.default_rng(seed)
    time = np.arange(0.0, days, KEPLER_CADENCE_DAYS)
    angle = 2 * np.pi * time / period
    flux = 1 + 1e-3 * np.sin(angle) + half * 1e-3 * np.cos(2 * angle) + noise * rng.standard_normal(len(time))
    flux[rng.random(len(time)) < 0.2] = np.nan
    flux[len(flux) // 3 : len(flux) // 3 + 300] = np.nan
    flux[[0, -1]] = 1.0
    return LightCurve(flux.astype(np.float32), np.full(len(flux), np.nan, dtype=np.float32))


@pytest.mark.parametrize(
    ("period", "days"), [(0.4, 27.0), (3.3, 27.0), (11.0, 90.0), (31.0, 90.0), (25.0, 1400.0)]
)
def test_the_true_period_is_a_candidate_whatever_the_length(period: float, days: float) -> None:
    found = candidates_of(spotted(period, days))
    assert np.min(np.abs(found.periods / period - 1)) < 0.03
    assert found.features.shape == (len(found.periods), OWN_FEATURES)
    assert found.curve.shape == (CURVE_FEATURES,)
    assert np.isfinite(found.features).all()
    assert np.isfinite(found.curve).all()


def test_two_dips_a_turn_still_propose_the_turn_and_its_half() -> None:
    periods = candidates_of(spotted(12.0, 90.0, half=2.0)).periods
    assert np.min(np.abs(periods / 12.0 - 1)) < 0.03
    assert np.min(np.abs(periods / 6.0 - 1)) < 0.03


def test_no_candidate_is_given_twice() -> None:
    periods = np.sort(candidates_of(spotted(9.0, 90.0)).periods)
    assert len(periods) > 3
    assert len(np.unique(np.round(periods, 6))) == len(periods)


@pytest.mark.parametrize("flux", [np.ones(4000), np.full(4000, np.nan), np.ones(5)])
def test_a_constant_an_empty_and_a_short_light_curve_have_no_candidates(flux: np.ndarray) -> None:
    flux = flux.astype(np.float32)
    found = candidates_of(LightCurve(flux, np.full_like(flux, np.nan)))
    assert found.features.shape == (0, OWN_FEATURES)
    assert np.isfinite(found.curve).all()


def test_a_scale_of_the_variability_changes_nothing() -> None:
    curve = spotted(9.0, 60.0)
    larger = LightCurve((1 + 4 * (curve.flux - 1)).astype(np.float32), curve.flux_err)
    first, second = candidates_of(curve), candidates_of(larger)
    np.testing.assert_allclose(first.periods, second.periods, rtol=1e-3)


def test_the_periodogram_is_lomb_scargles() -> None:
    """The transform's sums are the definition's, gaps and all."""
    series = series_of(spotted(7.3, 60.0))
    assert series is not None
    found = lomb_scargle(series, period_axis(series.span, series.step))
    oracle = LombScargle(
        series.time[series.good], series.flux[series.good], center_data=False, fit_mean=False
    )
    np.testing.assert_allclose(found.power, oracle.power(found.frequency, method="slow"), atol=1e-9)
    assert found.peak_near(7.0, 0.1) == pytest.approx(7.3, rel=5e-3)


def test_the_acf_is_the_mean_product_of_valid_pairs() -> None:
    rng = np.random.default_rng(1)
    good = rng.random(300) < 0.7
    series = standardised(rng.standard_normal(300), good, 1.0)
    assert series is not None
    acf = masked_acf(series)
    for lag in (1, 7, 50):
        pairs = good[:-lag] & good[lag:]
        assert acf[lag] == pytest.approx((series.flux[:-lag] * series.flux[lag:])[pairs].mean(), abs=1e-9)


def test_refining_undoes_the_shortening_of_a_decaying_acf() -> None:
    """Peaks of exp(-lag / 15 d) cos(2 pi lag / 10 d) lie short of the multiples of 10 d by the same lag."""
    series = series_of(spotted(10.0, 90.0))
    assert series is not None
    view = view_of(series, period_axis(series.span, series.step))
    lag = series.step * np.arange(len(view.acf))
    decaying = type(view)(
        series, np.exp(-lag / 15.0) * np.cos(2 * np.pi * lag / 10.0), view.smooth, view.periodogram
    )
    first = float(lag[180 + np.argmax(decaying.acf[180:300])])
    assert first < 9.9
    assert refine(10.2, decaying) == pytest.approx(10.0, rel=5e-3)


@pytest.mark.parametrize("sigma", [4.0, 10.0, 60.0])
def test_smoothing_has_the_width_that_was_asked_for(sigma: float) -> None:
    impulse = np.zeros(2001)
    impulse[1000] = 1.0
    spread = np.sqrt((smoothed(impulse, sigma) * (np.arange(2001) - 1000.0) ** 2).sum())
    assert spread == pytest.approx(sigma, rel=0.15)
