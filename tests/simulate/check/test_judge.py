"""The judges' arithmetic, the features of a quarter, and the numbers beside figures."""

import numpy as np
import pytest

from desa.simulate.check.judge import judged
from desa.simulate.check.numbers import compared, distance
from desa.simulate.check.quarter_features import NAMES, quarter_features
from desa.simulate.check.quarters import mock_pool, quarter_of, without
from desa.simulate.lightcurves import simulate_lightcurve
from desa.simulate.population import stream
from desa.types import KEPLER_CADENCE_DAYS, LightCurve


def test_judges_find_the_column_that_tells() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((300, 4))
    is_mock, group = np.arange(300) % 3 > 0, np.arange(300) // 3
    nothing, _ = judged(features, is_mock, group, "logistic")
    assert abs(nothing.auc - 0.5) < 4 * nothing.error
    features[:, 2] += 2.5 * is_mock
    for kind in ("logistic", "boosting on features"):
        found, losses = judged(features, is_mock, group, kind, range(4))
        assert found.auc > 0.9
        assert int(np.argmax(losses)) == 2
    with pytest.raises(ValueError, match="must be one of"):
        judged(features, is_mock, group, "oracle")


def test_features_say_what_is_there() -> None:
    time = np.arange(4000) * KEPLER_CADENCE_DAYS
    rng = np.random.default_rng(2)
    flux = 1 + 2e-3 * np.sin(2 * np.pi * time / 3.0) + 1e-4 * rng.standard_normal(4000)
    flux[1000:1100] = np.nan
    curve = LightCurve(
        flux=flux.astype(np.float32), flux_err=np.full(4000, 1e-4, np.float32), first_cadence=0,
        start_bkjd=0.0, cadence_days=KEPLER_CADENCE_DAYS,
    )  # fmt: skip
    found = dict(zip(NAMES, quarter_features(curve), strict=True))
    assert len(found) == len(NAMES)
    assert 10 ** found["noise a cadence"] == pytest.approx(100, rel=0.1)
    assert 10 ** found["spread"] == pytest.approx(2e3 / np.sqrt(2), rel=0.05)
    assert 10 ** found["power at 0.2-0.6 /d"] > 10 * 10 ** found["power at 2-6 /d"]
    assert found["share of lost cadences"] == pytest.approx(0.025)
    assert 10 ** found["longest gap"] == pytest.approx(101)


def test_ratios_with_errors() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(10, 1, 400), rng.normal(10, 1, 400)
    same, more = compared("x", one, other), compared("x", 1.5 * one, other)
    assert abs(same.ratio - 1) < 4 * same.error < 0.1
    assert "larger by" in more.words
    assert compared("x", one[:3], other).words == "too few stars"
    value, error = distance(one, one + 5)
    assert value > 0.9 > 0.1 > error


def test_a_mock_quarter_is_cut_and_evened() -> None:
    star = mock_pool(3)[0]
    curve = simulate_lightcurve(star, stream(0, star.index, 1), [4, 5])
    cut = quarter_of(curve)
    assert cut is not None
    number, one = cut
    assert number in (4, 5)
    assert np.nanmedian(one.flux) == pytest.approx(1, abs=1e-6)
    lost = np.zeros(6000, dtype=bool)
    lost[1000:1200] = True
    less = without(one, number, lost)
    assert np.isfinite(one.flux).sum() - np.isfinite(less.flux).sum() > 100
