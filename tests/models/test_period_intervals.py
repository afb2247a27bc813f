"""Intervals of periods hold in each kind of light curve, sharp where a star's density is."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from desa.models.period_answer import AXIS, STEP, PeriodAnswers
from desa.models.period_intervals import (
    LEAST,
    PeriodCalibration,
    calibrate_periods,
    centrality,
    period_intervals,
)

QUIET, NOISY = "Kepler, up to 200 d", "TESS"


def answers_of(centre: np.ndarray, width: np.ndarray) -> PeriodAnswers:
    """Gaussian densities over log10 period."""
    density = np.exp(-0.5 * ((AXIS - centre[:, None]) / width[:, None]) ** 2)
    density /= density.sum(1, keepdims=True) * STEP
    nothing = np.zeros(len(centre))
    return PeriodAnswers(centre.copy(), nothing, np.zeros((len(centre), 5)), density, nothing)


def stars(count: int, seed: int) -> tuple[PeriodAnswers, np.ndarray, list[str]]:
    """Half with errors as their density says, half with errors three times as large."""
    rng = np.random.default_rng(seed)
    kinds = [QUIET, NOISY] * (count // 2)
    truth, width = rng.uniform(0.0, 1.4, count), rng.uniform(0.01, 0.05, count)
    larger = np.where(np.array(kinds) == NOISY, 3.0, 1.0)
    return answers_of(truth + larger * width * rng.normal(size=count), width), truth, kinds


def test_they_hold_in_each_kind_and_keep_sharp_stars_sharp() -> None:
    found, truth, kinds = stars(1200, 0)
    calibration = calibrate_periods(centrality(found, truth), kinds)
    fresh, truth, kinds = stars(1200, 1)
    bounds = period_intervals(fresh, kinds, calibration)
    for coverage, (low, high) in bounds.items():
        for kind in (QUIET, NOISY):
            rows = np.array(kinds) == kind
            share = np.mean((low <= truth)[rows] & (truth <= high)[rows])
            assert abs(share - coverage) < 3 * np.sqrt(2 * coverage * (1 - coverage) / rows.sum())
    width = bounds[0.68][1] - bounds[0.68][0]
    own = 1.0 / fresh.density.max(1)
    assert np.corrcoef(width[::2], own[::2])[0, 1] > 0.95
    assert np.all(bounds[0.9][0] <= bounds[0.68][0])
    assert np.all(bounds[0.9][1] >= bounds[0.68][1])


def test_few_stars_are_pooled_with_their_mission_and_then_with_all() -> None:
    central = np.concatenate([np.full(LEAST, 0.2), np.full(5, 0.9), np.full(3, 0.5)])
    kinds = [QUIET] * LEAST + ["Kepler, longer"] * 5 + ["K2"] * 3
    found = calibrate_periods(central, kinds)
    assert found.of("Kepler, longer") == found.shares["Kepler"]
    assert found.of("K2") == found.shares[""]
    assert found.counts == {"": LEAST + 8, "Kepler": LEAST + 5, QUIET: LEAST}


def test_a_star_without_an_answer_has_no_interval() -> None:
    found, truth, kinds = stars(4, 0)
    found.log_period[1] = np.nan
    calibration = calibrate_periods(centrality(found, truth), kinds)
    assert np.isnan(centrality(found, truth)[1])
    low, high = period_intervals(found, kinds, calibration)[0.9]
    assert np.isnan(low[1]) and np.isnan(high[1]) and np.isfinite(low[0])


def test_stored_calibrations_must_fit() -> None:
    with pytest.raises(ValidationError, match="a share for each coverage"):
        PeriodCalibration(coverages=[0.68, 0.9], shares={"": [0.5]}, counts={})
