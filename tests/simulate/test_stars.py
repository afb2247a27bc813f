"""Isochrones, population, binaries, rotation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desa.simulate import binaries, rotation
from desa.simulate.binaries import Orbit, radial_velocities, semi_major_axis, true_anomaly
from desa.simulate.isochrones import load_isochrones
from desa.simulate.photometry import absolute_magnitudes
from desa.simulate.population import StarParameters, draw_star, scaling_dnu, scaling_numax

N = 1500


@pytest.fixture(scope="module")
def stars() -> Sequence[StarParameters]:
    return [draw_star(3, index) for index in range(N)]


def column(stars: Sequence[StarParameters], name: str) -> np.ndarray:
    return np.array([getattr(star, name) for star in stars], dtype=np.float64)


def test_the_sun() -> None:
    sun = load_isochrones().at_mass(0.0, np.log10(4.57), 1.0)
    assert sun is not None
    assert sun.teff == pytest.approx(5772, abs=80)
    assert sun.log_l == pytest.approx(0.0, abs=0.05)
    assert sun.log_g == pytest.approx(4.438, abs=0.03)
    assert sun.radius == pytest.approx(1.0, abs=0.03)


@given(mass=st.floats(0.2, 1.5), fe_h=st.floats(-1.0, 0.4), age=st.floats(0.1, 1.8))
def test_an_isochrone_is_consistent(mass: float, fe_h: float, age: float) -> None:
    star = load_isochrones().at_mass(fe_h, np.log10(age), mass)
    assert star is not None
    assert star.log_l == pytest.approx(2 * np.log10(star.radius) + 4 * np.log10(star.teff / 5772), abs=1e-6)
    assert star.log_g == pytest.approx(4.438 + np.log10(star.mass / star.radius**2), abs=1e-6)
    again = load_isochrones().at_phase(fe_h, np.log10(age), star.eep)
    if age > 1.0 and mass > 0.7:
        assert again is not None
        assert again.initial_mass == pytest.approx(mass, rel=1e-3)


def test_massive_stars_are_dead() -> None:
    assert load_isochrones().at_mass(0.0, 1.0, 2.0) is None


def test_the_mixture_is_keplers(stars: Sequence[StarParameters]) -> None:
    giants = column(stars, "log_g") < 3.5
    assert 0.12 < giants.mean() < 0.20
    clump = np.array([star.cmd_class == "red_clump" for star in stars])
    assert np.median(column(stars, "log_g")[clump]) == pytest.approx(2.45, abs=0.1)
    assert np.median(column(stars, "m_g")[clump]) == pytest.approx(0.45, abs=0.2)
    assert np.quantile(column(stars, "kepmag"), 0.97) < 16.2
    assert 5500 < np.median(column(stars, "teff")) < 6000
    binary = np.array([star.companion is not None for star in stars])
    assert 0.35 < binary.mean() < 0.55
    ruwe = column(stars, "ruwe")
    assert (ruwe[~binary] > 1.4).mean() < 0.01
    assert (ruwe[binary] > 1.4).mean() > 0.05


def test_colours_follow_temperature(stars: Sequence[StarParameters]) -> None:
    single = np.array([star.companion is None and star.log_g > 4 for star in stars])
    teff, colour = column(stars, "teff")[single], column(stars, "bp_rp")[single]
    order = np.argsort(teff)
    assert np.corrcoef(np.argsort(np.argsort(teff)), np.argsort(np.argsort(-colour)))[0, 1] > 0.97
    # Pecaut & Mamajek (2013): a G2 dwarf of 5770 K has BP-RP 0.82, a K5 of 4440 K 1.43.
    assert np.interp(5770, teff[order], colour[order]) == pytest.approx(0.80, abs=0.06)
    assert np.interp(4440, teff[order], colour[order]) == pytest.approx(1.42, abs=0.15)


def test_a_star_is_its_numbers_alone() -> None:
    first = [repr(draw_star(9, index)) for index in (4, 0, 2)]
    assert first == [repr(draw_star(9, 4)), repr(draw_star(9, 0)), repr(draw_star(9, 2))]
    assert repr(draw_star(8, 4)) != first[0]


def test_a_pair_is_brighter_than_its_parts(stars: Sequence[StarParameters]) -> None:
    close = [s for s in stars if s.companion is not None and s.companion.angle < binaries.GAIA_BLEND]
    for star in close[:50]:
        alone = float(absolute_magnitudes(star.log_l, star.teff, star.log_g, star.fe_h)["g"])
        assert star.m_g <= alone
        assert star.m_g >= alone - 0.76 or star.companion.log_l > star.log_l


def test_no_star_overflows(stars: Sequence[StarParameters]) -> None:
    for star in stars:
        if star.companion is not None:
            orbit = star.companion.orbit
            closest = orbit.separation * (1 - orbit.eccentricity)
            assert star.radius < closest * binaries.roche_radius(star.mass / star.companion.mass)


@given(
    period=st.floats(0.3, 1e4), eccentricity=st.floats(0, 0.9), phase=st.floats(0, 1), mass=st.floats(0.2, 3)
)
def test_keplers_laws(period: float, eccentricity: float, phase: float, mass: float) -> None:
    anomaly = float(true_anomaly(2 * np.pi * phase, eccentricity))
    eccentric = 2 * np.arctan2(
        np.sqrt(1 - eccentricity) * np.sin(anomaly / 2), np.sqrt(1 + eccentricity) * np.cos(anomaly / 2)
    )
    mean = (eccentric - eccentricity * np.sin(eccentric)) / (2 * np.pi)
    assert np.cos(2 * np.pi * (mean - phase)) == pytest.approx(1.0, abs=1e-8)
    axis = semi_major_axis(period, mass) * 6.957e8
    gravity = 1.32712440018e20 * mass
    assert (2 * np.pi * np.sqrt(axis**3 / gravity)) / 86400 == pytest.approx(period, rel=1e-3)


def test_velocities_of_the_earth() -> None:
    orbit = Orbit(365.25, 0.0, 90.0, 0.0, 0.0, semi_major_axis(365.25, 1.0))
    own, earths = radial_velocities(orbit, 1.0, 3.003e-6, 0.0)
    assert own == pytest.approx(8.945e-5, rel=0.01)
    assert abs(earths) == pytest.approx(29.78, rel=0.01)


def test_rotation_of_known_stars() -> None:
    # The Sun, and Praesepe (0.67 Gyr): 6.0, 8.9, 11.2 and 15 d at 6050, 5600, 5000 and 4200 K.
    assert rotation.braked_period(5772, 4.57) == pytest.approx(25.4, rel=0.15)
    for teff, prot in ((6050, 6.0), (5600, 8.9), (5000, 10.3), (4200, 13.5)):
        assert rotation.braked_period(teff, 0.67) == pytest.approx(prot, rel=0.2)
    assert rotation.turnover_time(5772) == pytest.approx(12.9, abs=0.2)
    assert rotation.braked_period(6000, 8.0) == rotation.braked_period(6000, 11.0)
    assert rotation.log_r_hk(5772, 25.4 / 12.9) == pytest.approx(-4.95, abs=0.08)


def test_vsini(stars: Sequence[StarParameters]) -> None:
    for star in stars[:200]:
        r = star.rotation
        speed = 2 * np.pi * star.radius * 695_700 / (r.prot * 86400)
        assert r.vsini == pytest.approx(speed * np.sin(np.radians(r.inclination)), rel=1e-3)


def test_rotation_beyond_the_break(stars: Sequence[StarParameters]) -> None:
    teff = column(stars, "teff")
    prot = np.array([star.rotation.prot for star in stars])
    dwarf = column(stars, "log_g") > 4
    assert np.median(prot[dwarf & (teff > 6700)]) < 4
    assert np.median(prot[dwarf & (teff < 5500)]) > 15


def test_scaling_relations() -> None:
    assert scaling_numax(1.0, 1.0, 5777.0) == pytest.approx(3090)
    assert scaling_dnu(1.0, 1.0) == pytest.approx(135.1)
    assert scaling_numax(1.1, 11.0, 4800.0) == pytest.approx(30.8, rel=0.02)
