"""Intervals hold group by group, where one offset for all holds on average only."""

from __future__ import annotations

import json

import numpy as np
from scipy.stats import norm

from desa.conformal import intervals
from desa.conformal_groups import calibrate_by_group, group_offsets
from desa.models.storage import Calibration

LEVELS = (0.05, 0.16, 0.5, 0.84, 0.95)
LABELS = ("teff", "log_g", "fe_h")


def _stars(seed: int, count: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors grow to low S/N and for giants, which the predicted quantiles do not know."""
    rng = np.random.default_rng(seed)
    snr = rng.uniform(10, 150, count)
    median = np.stack(
        [rng.uniform(4500, 7500, count), rng.uniform(2, 4.6, count), rng.normal(-0.3, 0.4, count)], 1
    )
    size = np.array([60.0, 0.1, 0.06])
    true = size * (np.where(snr < 30, 3.0, 0.7) * np.where(median[:, 1] < 3, 2.0, 1.0))[:, None]
    truth = median + true * rng.normal(size=median.shape)
    return median[..., None] + size[:, None] * norm.ppf(LEVELS), truth, snr


def test_every_group_is_covered() -> None:
    predicted, truth, snr = _stars(1)
    calibration = calibrate_by_group(predicted, truth, LEVELS, LABELS, snr)
    stored = Calibration.model_validate(json.loads(json.dumps(calibration))).model_dump()
    predicted, truth, snr = _stars(2)
    given = intervals(predicted, stored, group_offsets(predicted, stored, snr))
    alone = intervals(predicted, stored)
    giants = predicted[:, 1, 2] < 3
    for coverage in (0.68, 0.9):
        wrong = []
        for group in (snr < 30, snr > 50, giants, ~giants):
            for found, bad in ((given, []), (alone, wrong)):
                low, high = found[coverage]
                share = ((low <= truth) & (truth <= high))[group].mean(axis=0)
                bad.append(np.abs(share - coverage).max())
                if found is given:
                    assert bad[-1] < 0.06
        assert max(wrong) > 0.1


def test_unknown_signal_to_noise_counts_as_faint() -> None:
    predicted, truth, snr = _stars(1)
    calibration = calibrate_by_group(predicted, truth, LEVELS, LABELS, snr)
    unknown = group_offsets(predicted[:5], calibration, None)[0.9]
    assert np.array_equal(unknown, group_offsets(predicted[:5], calibration, np.full(5, 11.0))[0.9])
    assert (unknown > group_offsets(predicted[:5], calibration, np.full(5, 140.0))[0.9]).all()


def test_few_stars_have_one_offset_for_all() -> None:
    predicted, truth, snr = _stars(1, 300)
    calibration = calibrate_by_group(predicted, truth, LEVELS, LABELS, snr)
    assert "axes" not in calibration
    assert group_offsets(predicted, calibration, snr) == {}
