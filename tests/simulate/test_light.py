"""Spots, oscillations, eclipses, flares, Kepler's noise: what the light curves are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.timeseries import LombScargle
from hypothesis import given
from hypothesis import strategies as st

from desa.simulate import eclipses, flares, granulation, kepler_noise, spots
from desa.simulate.binaries import Companion, Orbit, semi_major_axis
from desa.simulate.calendar import DEAD_MODULE_CADENCE, draw_coverage, load_calendar
from desa.simulate.eclipses import binary_flux, blocked, overlap, transit_flux
from desa.simulate.granulation import Oscillator
from desa.simulate.planets import Planet
from desa.simulate.population import scaling_dnu, scaling_numax
from desa.simulate.pulsators import pulsation
from desa.simulate.spots import SpotSettings
from desa.types import KEPLER_CADENCE_DAYS

YEAR = np.arange(17_880) * KEPLER_CADENCE_DAYS


def spotted(prot: float, **changes: float) -> SpotSettings:
    values = {"inclination": 75.0, "log_sph": 3.5, "lifetime": 6 * prot, "shear": 0.0, "number": 4.0}
    values |= {"highest_latitude": 30.0, "faculae": 0.0, "cycle": 3000.0, "cycle_depth": 0.0}
    return SpotSettings(prot=prot, **(values | changes))


@pytest.mark.parametrize("prot", [1.3, 6.0, 17.0])
def test_the_period_comes_back(prot: float) -> None:
    """By Lomb-Scargle and by the autocorrelation, neither of which the simulator uses."""
    flux = spots.modulation(YEAR, spotted(prot), np.random.default_rng(1))[::4]
    time = YEAR[::4]
    frequency = np.linspace(0.2 / prot, 3 / prot, 3000)
    power = LombScargle(time, flux).power(frequency)
    strongest = 1 / frequency[np.argmax(power)]
    assert min(abs(strongest / prot - 1), abs(strongest * 2 / prot - 1)) < 0.08
    centred = flux - flux.mean()
    n = len(centred)
    acf = np.fft.irfft(np.abs(np.fft.rfft(centred, 2 * n)) ** 2)[:n] / np.arange(n, 0, -1)
    lags = np.arange(n) * (time[1] - time[0])
    window = (lags > 0.7 * prot) & (lags < 1.4 * prot)
    assert lags[window][np.argmax(acf[window])] == pytest.approx(prot, rel=0.06)


def test_spots_are_as_active_as_wanted() -> None:
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        prot, log_sph = float(10 ** rng.uniform(0.2, 1.3)), float(rng.uniform(2.2, 4.0))
        inclination = float(np.degrees(np.arccos(rng.random())))
        settings = spots.draw_settings(5200.0, prot, inclination, log_sph, rng)
        flux = spots.modulation(YEAR, settings, rng)
        window = int(5 * prot / KEPLER_CADENCE_DAYS)
        pieces = flux[: len(flux) // window * window].reshape(-1, window)
        found.append(np.log10(1e6 * pieces.std(axis=1).mean()) - log_sph)
    assert np.median(found) == pytest.approx(0.0, abs=0.1)
    assert np.std(found) < 0.3


def test_nothing_rotates_seen_from_the_pole() -> None:
    flux = spots.modulation(YEAR, spotted(3.0, inclination=0.0, lifetime=100.0), np.random.default_rng(2))
    step = round(1.5 / KEPLER_CADENCE_DAYS)
    assert np.std(flux[step:] - flux[:-step]) < 0.15 * np.std(flux)


def test_shear_broadens_the_peak() -> None:
    def width(shear: float) -> float:
        settings = spotted(5.0, shear=shear, lifetime=40.0, highest_latitude=60.0)
        flux = spots.modulation(YEAR, settings, np.random.default_rng(3))
        frequency = np.linspace(0.15, 0.22, 400)
        power = LombScargle(YEAR[::8], flux[::8]).power(frequency)
        mean = np.sum(frequency * power) / power.sum()
        return float(np.sqrt(np.sum((frequency - mean) ** 2 * power) / power.sum()))

    assert width(0.15) > 1.2 * width(0.0)


def test_noise_has_the_power_it_was_given() -> None:
    """Parseval: the variance is the integral of the power density."""
    frequency = granulation.frequencies_of(20_000)
    power = 40.0 / (1 + (frequency / 30.0) ** 2)
    draws = [
        granulation.noise_from_power(20_000, None, power, np.random.default_rng(seed)).var()
        for seed in range(20)
    ]
    assert np.mean(draws) == pytest.approx(power.sum() * frequency[1], rel=0.03)


def giant(mass: float, radius: float, teff: float, helium: bool) -> Oscillator:
    log_g = 4.438 + np.log10(mass / radius**2)
    numax, dnu = scaling_numax(mass, radius, teff), scaling_dnu(mass, radius)
    return Oscillator(numax, dnu, teff, log_g, helium)


@pytest.mark.parametrize(("mass", "radius", "helium"), [(1.2, 10.5, True), (1.3, 6.0, False)])
def test_seismology_comes_back(mass: float, radius: float, helium: bool) -> None:
    """numax and Delta nu by lightkurve's two-dimensional autocorrelation."""
    lightkurve = pytest.importorskip("lightkurve")
    star = giant(mass, radius, 4850.0, helium)
    length = 40_000
    rng = np.random.default_rng(4)
    flux = 1 + 1e-6 * (
        granulation.noise_from_power(length, star, None, rng) + 30 * rng.standard_normal(length)
    )
    curve = lightkurve.LightCurve(time=np.arange(length) * KEPLER_CADENCE_DAYS, flux=flux)
    periodogram = curve.to_periodogram(normalization="psd", minimum_frequency=5, maximum_frequency=280)
    found = periodogram.flatten().to_seismology()
    assert found.estimate_numax().value == pytest.approx(star.numax, rel=0.15)
    assert found.estimate_deltanu(numax=star.numax).value == pytest.approx(star.dnu, rel=0.05)


def test_a_clump_star_is_as_noisy_as_real_ones() -> None:
    star = giant(1.2, 10.5, 4850.0, True)
    noise = granulation.noise_from_power(40_000, star, None, np.random.default_rng(5))
    assert 300 < noise.std() < 700


def test_modes_above_the_nyquist_frequency_fold_back() -> None:
    star = giant(1.2, 2.9, 5400.0, False)
    assert 283.2 < star.numax < 560
    step = granulation.NYQUIST / 20_000
    # Hot stars granulate in this model, but do not oscillate.
    still = replace(star, teff=7000.0)
    power, quiet = (
        granulation.stellar_power(20_000, step, which, np.random.default_rng(6)) for which in (star, still)
    )
    mean = np.average(np.arange(20_000) * step, weights=power - quiet)
    true = np.linspace(granulation.NYQUIST, 2 * granulation.NYQUIST, 2000)
    damped = np.exp(-0.5 * ((true - star.numax) / 61.0) ** 2) * np.sinc(true * 1e-6 * 1765.5) ** 2
    expected = np.average(2 * granulation.NYQUIST - true, weights=damped)
    assert expected < 180
    assert mean == pytest.approx(expected, rel=0.15)


@given(z=st.floats(0, 3), p=st.floats(0.02, 3))
def test_overlap_of_discs(z: float, p: float) -> None:
    area = float(overlap(np.array([z]), p)[0])
    assert 0.0 <= area <= min(1.0, p * p) + 1e-12
    # The shared area is the same from either disc.
    other = float(overlap(np.array([z / p]), 1 / p)[0]) * p * p
    assert area == pytest.approx(other, abs=1e-9)


def test_overlap_by_counting_points() -> None:
    points = np.random.default_rng(7).uniform(-1, 1, (400_000, 2))
    points = points[np.hypot(*points.T) < 1]
    for z, p in ((0.3, 0.5), (0.9, 0.4), (1.2, 1.1), (0.2, 1.5)):
        inside = np.hypot(points[:, 0] - z, points[:, 1]) < p
        assert float(overlap(np.array([z]), p)[0]) == pytest.approx(inside.mean(), abs=0.004)


def test_blocked_light_by_counting_points() -> None:
    points = np.random.default_rng(8).uniform(-1, 1, (400_000, 2))
    r = np.hypot(*points.T)
    points, r = points[r < 1], r[r < 1]
    light = 1 - eclipses.LIMB_DARKENING * (1 - np.sqrt(1 - r**2))
    for z, p in ((0.0, 0.1), (0.6, 0.1), (0.5, 0.6), (0.9, 0.9), (0.0, 1.5)):
        hidden = light[np.hypot(points[:, 0] - z, points[:, 1]) < p].sum() / light.sum()
        assert float(blocked(np.array([z]), p)[0]) == pytest.approx(hidden, abs=0.03 * p + 0.002)


def pair(period: float, eccentricity: float = 0.0, inclination: float = 90.0) -> Companion:
    orbit = Orbit(period, eccentricity, inclination, 40.0, 0.3, semi_major_axis(period, 1.7))
    return Companion(0.7, 0.7, 4400.0, 4.6, 0.66, -0.85, 0.12, orbit, 0.0)


def test_keplers_third_law_in_the_eclipses() -> None:
    """Edge-on, circular: half an eclipse takes P / 2 pi asin((R1 + R2) / a), with a from P and the masses."""
    for period in (2.5, 8.0, 30.0):
        time = np.arange(0, 40, 0.002)
        flux = binary_flux(time, 1.0, 1.0, pair(period))
        phase = np.mod(time / period + 0.3, 1.0)
        deepest = phase[np.argmin(flux)]
        distance = np.abs(np.mod(phase - deepest + 0.5, 1.0) - 0.5)
        level = np.median(flux[(distance > 0.08) & (distance < 0.12)])
        halfwidth = distance[(flux < level - 0.002) & (distance < 0.1)].max() * period
        axis = 4.2083 * (period**2 * 1.7) ** (1 / 3)
        contact = period / (2 * np.pi) * np.arcsin(1.66 / axis)
        assert halfwidth == pytest.approx(contact, abs=KEPLER_CADENCE_DAYS)


def test_depths_of_both_eclipses() -> None:
    time = np.arange(0, 30, KEPLER_CADENCE_DAYS)
    flux = binary_flux(time, 1.0, 1.0, pair(6.0))
    total = 1 / (1 + 0.12)
    assert 1 - flux.min() == pytest.approx(total * 0.66**2 * 1.19, rel=0.08)
    phase = np.mod(time / 6.0 + 0.3, 1.0)
    first = phase[np.argmin(flux)]
    second = np.abs(np.mod(phase - first, 1.0) - 0.5) < 0.005
    assert 1 - flux[second].min() == pytest.approx(0.12 * total, abs=0.01)


def test_ellipsoidal_variation_has_half_the_period() -> None:
    companion = pair(1.2, inclination=40.0)
    time = np.arange(0, 60, KEPLER_CADENCE_DAYS)
    flux = binary_flux(time, 1.0, 1.0, companion)
    frequency = np.linspace(0.3, 3, 2000)
    power = LombScargle(time, flux).power(frequency)
    assert frequency[np.argmax(power)] == pytest.approx(2 / 1.2, rel=0.01)


def test_a_transit_is_as_deep_as_the_planet_is_large() -> None:
    planet = Planet(10.0, 0.1, 20.0, 0.0, 0.5)
    flux = transit_flux(np.arange(0, 40, 0.01), 1.0, planet)
    assert 1 - flux.min() == pytest.approx(0.01 * 1.22, rel=0.05)
    assert np.mean(flux < 0.9999) == pytest.approx((1.1 / 20.0) / np.pi, rel=0.15)


def test_flares_only_add() -> None:
    flux = flares.flares(YEAR, 3500.0, 0.05, np.random.default_rng(9))
    assert flux.min() == 0.0
    assert flux.max() > 0.003
    assert not flares.flares(YEAR, 6500.0, 0.05, np.random.default_rng(9)).any()


@pytest.mark.parametrize(("kind", "low", "high"), [("gamma Dor", 0.2, 5.0), ("delta Sct", 3.0, 24.5)])
def test_pulsators(kind: str, low: float, high: float) -> None:
    flux = pulsation(YEAR, kind, 7200.0, 4.0, np.random.default_rng(10))
    spectrum = np.abs(np.fft.rfft(flux))
    strongest = np.argmax(spectrum) / (len(flux) * KEPLER_CADENCE_DAYS)
    assert low < strongest < high
    assert 1e-5 < flux.std() < 0.05


def test_white_noise_of_kepler() -> None:
    # Jenkins et al. (2010): a star of magnitude 12 has a lower envelope of about 55 ppm a half hour.
    assert kepler_noise.white_noise(12.0) == pytest.approx(54.3, rel=0.02)
    assert kepler_noise.white_noise(15.0) > 4 * kepler_noise.white_noise(12.0)


def test_outliers_are_as_many_as_in_real_stars() -> None:
    rng = np.random.default_rng(11)
    for kepmag, far in ((12.0, (2e-4, 1.2e-3)), (15.5, (2e-5, 5e-4))):
        noise = rng.standard_normal(200_000) + kepler_noise.outliers(200_000, kepmag, rng)
        assert 0.001 < np.mean(noise > 4) < 0.004
        assert np.mean(noise < -4) < 0.001
        assert far[0] < np.mean(noise > 7) < far[1]


def test_a_half_lost_quarter_stays_flat() -> None:
    good = np.arange(4400) < 1000
    rng = np.random.default_rng(12)
    after = kepler_noise.without_trend(1 + 1e-4 * rng.standard_normal(4400), good)
    assert after[good].std() < 1.2e-4


def test_pdc_takes_slow_changes_and_leaves_fast_ones() -> None:
    x = np.arange(4400) / 4400
    good = np.ones(4400, dtype=bool)
    for cycles, kept in ((0.3, (0.1, 0.5)), (20.0, (0.95, 1.05))):
        before = 1 + 1e-3 * np.sin(2 * np.pi * cycles * x)
        after = kepler_noise.without_trend(before, good)
        assert kept[0] < after.std() / before.std() < kept[1]


def test_the_calendar_is_the_missions() -> None:
    calendar = load_calendar()
    assert calendar.quarters[9].tolist() == [9, 34237, 39004]
    assert len(calendar.quality) == 72531 - 568 + 1
    observed = calendar.quarter >= 0
    assert 0.05 < calendar.lost[observed].mean() < 0.1
    assert calendar.time(slice(0, 1))[0] == pytest.approx(120.54, abs=0.02)


def test_coverage() -> None:
    coverages = [draw_coverage(np.random.default_rng(seed)) for seed in range(2000)]
    assert all(c.quarters for c in coverages)
    assert np.mean([len(c.quarters) >= 17 for c in coverages]) > 0.55
    assert 0.02 < np.mean([c.cut_quarter_4 for c in coverages]) < 0.07
    assert load_calendar().quarters[4][2] > DEAD_MODULE_CADENCE
