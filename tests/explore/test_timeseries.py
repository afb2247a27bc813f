from __future__ import annotations

import numpy as np
import pytest

from desa.explore.star import lightcurve_of
from desa.explore.table import ExploreTable
from desa.explore.timeseries import (
    autocorrelation,
    detrended,
    flux_ppt,
    grid_of,
    periodogram,
    quarter_starts,
)
from desa.simulate.calendar import load_calendar
from desa.types import KEPLER_CADENCE_DAYS, LightCurve

PERIOD = 7.3
STEP = KEPLER_CADENCE_DAYS


def curve_of(
    flux: np.ndarray, first: int = 0, mission: str = "Kepler", start: float | None = None
) -> LightCurve:
    calendar = load_calendar()
    begin = calendar.time_offset + STEP * first if start is None else start
    return LightCurve(
        flux=flux.astype(np.float32),
        flux_err=np.full(len(flux), np.nan, np.float32),
        start_bkjd=begin,
        mission=mission,
    )


def jumping(quarters: tuple[int, ...] = (3, 4, 5, 6)) -> tuple[LightCurve, list[int]]:
    """A sine of 2 ppt under jumps and slopes of each quarter, and where the quarters begin."""
    calendar = load_calendar()
    first, last = calendar.quarters[quarters[0], 1], calendar.quarters[quarters[-1], 2]
    flux = np.full(last + 1 - first, np.nan)
    starts = []
    for place, quarter in enumerate(quarters):
        begin, end = calendar.quarters[quarter, 1] - first, calendar.quarters[quarter, 2] + 1 - first
        starts.append(int(begin))
        where = np.arange(begin, end)
        slope = (-1) ** place * 4e-3 * np.linspace(-1, 1, len(where))
        flux[where] = 1 + 2e-3 * np.sin(2 * np.pi * where * STEP / PERIOD) + (-1) ** place * 8e-3 + slope
    return curve_of(flux, int(first)), starts


def test_kepler_quarters_are_the_missions() -> None:
    curve, starts = jumping()
    assert quarter_starts(curve) == starts
    assert quarter_starts(curve_of(np.ones(50), 1)) == [0]


def test_other_missions_begin_anew_after_a_gap() -> None:
    flux = np.ones(2000)
    flux[500:510] = np.nan
    flux[1000:1300] = np.nan
    assert quarter_starts(curve_of(flux, mission="TESS")) == [0, 1300]
    assert quarter_starts(curve_of(flux, start=np.nan)) == [0, 1300]


def test_the_acf_knows_quarter_jumps() -> None:
    curve, _ = jumping()
    lag = STEP * np.arange(len(autocorrelation(flux_ppt(curve), STEP)))
    raw = autocorrelation(flux_ppt(curve), STEP)
    level = autocorrelation(detrended(curve, "quarters"), STEP)
    near = (lag > 5) & (lag < 10)
    assert lag[near][np.argmax(level[near])] == pytest.approx(PERIOD, abs=0.1)
    assert level[near].max() > 0.95
    assert level[(lag > 3) & (lag < 4.3)].min() < -0.9
    assert raw[lag < 4.3].min() > 0.5  # the jumps hide the turn


def test_the_acf_does_not_fall_with_the_pairs_that_are_left() -> None:
    where = np.arange(6000)
    flux = 1 + 1e-3 * np.sin(2 * np.pi * where * STEP / 2.5)
    flux[1000:2000] = np.nan
    acf = autocorrelation(flux_ppt(curve_of(flux)), STEP)
    assert acf[0] == pytest.approx(1, abs=1e-4)
    for turns in (1, 5, 20):
        assert acf[round(turns * 2.5 / STEP)] == pytest.approx(1, abs=0.05)


def test_the_acf_of_the_tiny_survey_peaks_at_the_rotation_period(table: ExploreTable) -> None:
    curve = lightcurve_of(table, 10)
    assert curve is not None
    flux = flux_ppt(curve)
    acf = autocorrelation(flux, curve.cadence_days)
    lag = np.arange(len(acf)) * curve.cadence_days
    near = (lag > 3) & (lag < 7)
    assert lag[near][np.argmax(acf[near])] == pytest.approx(5.0, abs=0.2)
    assert np.isnan(flux[200:260]).all()
    assert np.nanmax(flux) == pytest.approx(3.5, abs=0.7)


def test_a_running_median_leaves_what_is_quick() -> None:
    where = np.arange(4000)
    slow, quick = 5e-3 * np.sin(2 * np.pi * where * STEP / 60), np.zeros(4000)
    quick[::200] = -2e-3
    found = detrended(curve_of(1 + slow + quick), "median", 3.0)
    assert np.abs(found[quick == 0]).max() < 0.1
    assert found[200:-200][quick[200:-200] < 0] == pytest.approx(-2, abs=0.1)


def test_gaps_stay_gaps_and_short_quarters_lose_their_mean() -> None:
    flux = np.full(30, np.nan)
    flux[[0, 3, 29]] = [1, 1.001, 1.002]
    for how in ("none", "quarters", "median"):
        assert np.isnan(detrended(curve_of(flux), how)).tolist() == np.isnan(flux).tolist()
    assert np.nanmean(detrended(curve_of(flux), "quarters")) == pytest.approx(0, abs=1e-3)


def test_the_periodogram_peaks_at_the_period() -> None:
    curve, _ = jumping()
    grid = grid_of(curve)
    frequency = grid.start + grid.step * np.arange(grid.count)
    power = periodogram(detrended(curve, "quarters"), curve)
    assert len(power) == grid.count
    assert 1 / frequency[np.argmax(power)] == pytest.approx(PERIOD, rel=0.005)
    assert power.max() == pytest.approx(1, abs=0.05)
    assert frequency[-1] == pytest.approx(0.5 / STEP, rel=0.01)
    assert np.isnan(periodogram(np.ones(100, np.float32), curve_of(np.ones(100)))).all()


def test_short_curves() -> None:
    assert len(autocorrelation(np.ones(1, np.float32), STEP)) == 0
    assert grid_of(curve_of(np.ones(1))).count >= 2
