"""Spotted stars in real light curves: gaps stay, the signal has the size and the period that are stated."""

from __future__ import annotations

import numpy as np
import pytest

from desa.preprocess.period_candidates import candidates_of
from desa.simulate.injection import inject, noise_of, piece_of
from desa.types import KEPLER_CADENCE_DAYS, LightCurve


def quiet(days: float = 90.0, seed: int = 0) -> LightCurve:
    rng = np.random.default_rng(seed)
    flux = (1 + 2e-4 * rng.standard_normal(round(days / KEPLER_CADENCE_DAYS))).astype(np.float32)
    flux[1000:1200] = np.nan
    return LightCurve(flux, np.full_like(flux, np.nan), start_bkjd=100.0, star_id="KIC 1", mission="Kepler")


def test_gaps_and_the_star_stay() -> None:
    curve = quiet()
    found = inject(curve, np.random.default_rng(1))
    np.testing.assert_array_equal(found.curve.valid, curve.valid)
    assert found.curve.star_id == "KIC 1"
    assert found.curve.meta["injected_prot"] == found.prot


@pytest.mark.parametrize("size", [1.0, 10.0])
def test_the_signal_is_as_strong_as_asked(size: float) -> None:
    curve = quiet()
    found = inject(curve, np.random.default_rng(2), prot=8.0, size=size)
    signal = (found.curve.flux / curve.flux)[curve.valid] - 1
    assert signal.std() == pytest.approx(size * noise_of(curve), rel=1e-2)


@pytest.mark.parametrize("seed", range(6))
def test_the_stated_period_is_the_one_that_is_seen(seed: int) -> None:
    found = inject(quiet(seed=seed), np.random.default_rng(seed), prot=7.0, size=15.0)
    assert found.prot >= 7.0
    periods = candidates_of(found.curve).periods
    assert np.min(np.abs(periods / found.prot - 1)) < 0.06


def test_the_same_seed_injects_the_same() -> None:
    first, second = (inject(quiet(), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.curve.flux, second.curve.flux)


def test_a_piece_begins_and_ends_with_good_samples_at_its_own_time() -> None:
    curve = quiet()
    part = piece_of(curve, 20.0, np.random.default_rng(3))
    assert 18.0 < len(part) * part.cadence_days <= 20.1
    assert np.isfinite(part.flux[[0, -1]]).all()
    start = round((part.start_bkjd - curve.start_bkjd) / curve.cadence_days)
    np.testing.assert_array_equal(part.flux, curve.flux[start : start + len(part)])
    assert piece_of(curve, 500.0, np.random.default_rng(3)) is curve
