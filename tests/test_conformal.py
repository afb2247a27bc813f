"""Calibrated intervals cover what they promise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from desa.conformal import calibrate, conformal_quantile, empirical_coverage, interpolate_quantiles, intervals

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def _normal_quantiles(centre: np.ndarray, width: float) -> np.ndarray:
    from scipy.stats import norm

    return centre[:, None, None] + width * norm.ppf(QUANTILES)[None, None, :]


def test_rank_has_the_finite_sample_term() -> None:
    scores = np.arange(1.0, 10.0)  # n = 9: ceil(10 x 0.9) = 9th smallest, ceil(10 x 0.5) = 5th
    assert conformal_quantile(scores, 0.9) == 9.0
    assert conformal_quantile(scores, 0.5) == 5.0
    assert math.isinf(conformal_quantile(scores[:8], 0.9))


def test_interpolation_is_exact_for_a_normal() -> None:
    predicted = _normal_quantiles(np.zeros(3), 2.0)
    from scipy.stats import norm

    found = interpolate_quantiles(predicted, QUANTILES, [0.05, 0.16, 0.84, 0.95])
    assert np.allclose(found, 2.0 * norm.ppf([0.05, 0.16, 0.84, 0.95]))


@pytest.mark.parametrize("width", [0.2, 1.0, 4.0])
def test_coverage_of_a_wrong_model_is_right_after_calibration(width: float) -> None:
    """A model ten times too sure or too humble is put right; without the offsets it is not."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=4000)
    centre = truth + rng.normal(size=4000)
    predicted = _normal_quantiles(centre, width)
    calibration = calibrate(predicted[:2000], truth[:2000, None], QUANTILES)
    json.dumps(calibration, allow_nan=False)
    for nominal, (low, high) in intervals(predicted[2000:], calibration).items():
        share, error, count = empirical_coverage(low[:, 0], high[:, 0], truth[2000:])
        assert count == 2000
        assert abs(share - nominal) < 4 * error + 0.02
    if width != 1.0:
        bare = {**calibration, "offsets": [[0.0], [0.0]]}
        low, high = intervals(predicted[2000:], bare)[0.9]
        assert abs(empirical_coverage(low[:, 0], high[:, 0], truth[2000:])[0] - 0.9) > 0.05


def test_missing_labels_count_nothing() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(500, 2))
    predicted = np.stack(
        [_normal_quantiles(truth[:, k] + rng.normal(size=500), 0.5)[:, 0] for k in (0, 1)], 1
    )
    holes = truth.copy()
    holes[::2, 1] = np.nan
    with_holes = calibrate(predicted, holes, QUANTILES)
    without = calibrate(predicted[1::2], truth[1::2], QUANTILES)
    assert with_holes["counts"] == [500, 250]
    assert [row[1] for row in with_holes["offsets"]] == [row[1] for row in without["offsets"]]


def test_too_few_stars_give_an_infinite_interval() -> None:
    predicted = _normal_quantiles(np.zeros(5), 1.0)
    calibration = calibrate(predicted, np.zeros((5, 1)), QUANTILES)
    assert calibration["offsets"][1] == [None]
    low, high = intervals(predicted, calibration)[0.9]
    assert np.all(np.isinf(low))
    assert np.all(np.isinf(high))


def test_offset_equals_the_formula_by_hand() -> None:
    """Scores and rank written out by hand for one label."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=99)
    predicted = _normal_quantiles(truth + rng.normal(size=99), 0.7)
    low, high = interpolate_quantiles(predicted[:, 0], QUANTILES, [0.05, 0.95]).T
    scores = sorted(max(a - y, y - b) for a, b, y in zip(low, high, truth, strict=True))
    assert calibrate(predicted, truth[:, None], QUANTILES)["offsets"][1][0] == pytest.approx(scores[89])
