"""Companions: how many stars have one, on which orbit, and what Gaia's astrometry sees of it.

Shares by primary mass: Duchene & Kraus (2013, ARA&A 51, 269). Periods: log-normal, mean log P/d 5.03 and
sigma 2.28 for F to K dwarfs (Raghavan et al. 2010, ApJS 190, 1), shorter and narrower below 0.6 solar masses
(Winters et al. 2019, AJ 157, 216). Mass ratios: flat from 0.1 to 1 with a tenth of twins above 0.95; orbits
circular below 8 days, else eccentric up to what tides leave (Moe & Di Stefano 2017, ApJS 230, 15).

Checked: the shares (Duchene & Kraus's table: 26 +- 3 % at 0.1-0.5 solar masses, 44 +- 2 % at 0.7-1.3, half
or more at 1.5-5; Raghavan et al.'s abstract: 56 +- 2 % single; between the masses they are interpolated).
Tokovinin (2014, AJ 147, 87) finds a shorter median period, 100 yr (log P/d 4.56), and a spread of 2.4. Not
checked against the papers' texts: the parameters of the periods, the twins' share, the eccentricities, and
all numbers of M dwarfs. Triples are left out: each star has one companion at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from desa.simulate.isochrones import IsochronePoint, load_isochrones

SUN_RADII_PER_AU: Final = 215.032
MULTIPLICITY: Final = ((0.1, 0.22), (0.4, 0.27), (0.7, 0.40), (1.0, 0.46), (1.5, 0.55), (3.0, 0.62))
"""Mass of the primary in solar masses, share of the stars that have a companion."""
KEPLER_BLEND: Final = 4.0
GAIA_BLEND: Final = 0.6
"""Separation in arcsec below which Kepler (and LAMOST's fibre), and Gaia, see one source."""


@dataclass(frozen=True)
class Orbit:
    """A Keplerian orbit.

    Parameters
    ----------
    period
        Days.
    eccentricity, inclination, omega
        Inclination in degrees, 90 edge-on; argument of the primary's periastron in degrees.
    phase
        Mean anomaly at BKJD 0, in turns.
    separation
        Semi-major axis in solar radii.
    """

    period: float
    eccentricity: float
    inclination: float
    omega: float
    phase: float
    separation: float


@dataclass(frozen=True)
class Companion:
    """The second star of a binary.

    Parameters
    ----------
    mass_ratio
        Of the initial masses.
    mass, teff, log_g, radius, log_l
        Solar units, K, dex.
    kp_ratio
        Its share of the primary's flux in Kepler's band.
    orbit
        The orbit.
    angle
        Projected separation in arcsec.
    """

    mass_ratio: float
    mass: float
    teff: float
    log_g: float
    radius: float
    log_l: float
    kp_ratio: float
    orbit: Orbit
    angle: float


def multiplicity(mass: float) -> float:
    """Share of stars of a mass that have a companion."""
    masses, shares = zip(*MULTIPLICITY, strict=True)
    return float(np.interp(mass, masses, shares))


def semi_major_axis(period: float, total_mass: float) -> float:
    """Solar radii, from Kepler's third law; period in days, mass in solar masses."""
    return float(SUN_RADII_PER_AU * ((period / 365.25) ** 2 * total_mass) ** (1.0 / 3.0))


def roche_radius(mass_ratio: float) -> float:
    """Radius of the Roche lobe over the separation (Eggleton 1983, ApJ 268, 368); the star's mass over the
    other's.
    """
    q = mass_ratio ** (1.0 / 3.0)
    return float(0.49 * q**2 / (0.6 * q**2 + np.log1p(q)))


def draw_mass_ratio(rng: np.random.Generator) -> float:
    """Companion mass over primary mass."""
    return float(rng.uniform(0.95, 1.0) if rng.random() < 0.1 else rng.uniform(0.1, 1.0))


def draw_orbit(mass: float, total: float, rng: np.random.Generator) -> Orbit:
    """An orbit of a binary with a primary of `mass`, isotropically oriented."""
    mean, sigma = (5.03, 2.28) if mass > 0.6 else (4.1, 1.7)
    log_period = mean + sigma * rng.standard_normal()
    while not -0.6 < log_period < 9.0:
        log_period = mean + sigma * rng.standard_normal()
    period = float(10.0**log_period)
    highest = 1.0 - (period / 2.0) ** (-2.0 / 3.0) if period > 2.0 else 0.0
    eccentricity = 0.0 if period < 8.0 else float(rng.uniform(0.0, min(highest, 0.9)))
    return Orbit(
        period=period,
        eccentricity=eccentricity,
        inclination=float(np.degrees(np.arccos(rng.random()))),
        omega=float(rng.uniform(0.0, 360.0)),
        phase=float(rng.random()),
        separation=semi_major_axis(period, total),
    )


def draw_companion(
    primary: IsochronePoint,
    fe_h: float,
    log_age: float,
    distance: float,
    rng: np.random.Generator,
) -> tuple[IsochronePoint, float, Orbit, float] | None:
    """(star, mass ratio, orbit, angle in arcsec) of a companion of the same age and metals.

    None if the primary is single: most are, some companions are below the table's masses (they give no
    light), and orbits in which a star would overflow its Roche lobe have merged.
    """
    if rng.random() > multiplicity(primary.initial_mass):
        return None
    ratio = draw_mass_ratio(rng)
    star = load_isochrones().at_mass(fe_h, log_age, ratio * primary.initial_mass)
    orbit = draw_orbit(primary.mass, primary.mass + (star.mass if star else 0.1), rng)
    if star is None:
        return None
    closest = orbit.separation * (1.0 - orbit.eccentricity)
    for one, other in ((primary, star), (star, primary)):
        if one.radius > 0.95 * closest * roche_radius(one.mass / other.mass):
            return None
    turn = rng.uniform(0.0, 2 * np.pi)
    tilt = np.hypot(np.cos(turn), np.sin(turn) * np.cos(np.radians(orbit.inclination)))
    return star, ratio, orbit, float(orbit.separation / SUN_RADII_PER_AU * tilt / distance)


def kind_of(companion: Companion, primary_radius: float, velocity: float, dwarf: bool) -> str:
    """The way the binary would be found first.

    Parameters
    ----------
    companion
        The companion.
    primary_radius
        Solar radii.
    velocity
        Semi-amplitude of the primary's radial velocity in km/s.
    dwarf
        Whether the primary is on the main sequence.

    Returns
    -------
    str
        ``"eclipsing"``, ``"ellipsoidal"`` (period below 3 d), ``"sb2"`` or ``"sb1"`` (more than 10 km/s),
        ``"photometric"`` (on the main sequence, unresolved, a mass ratio above 0.6), ``"wide"``.
    """
    orbit = companion.orbit
    if eclipses(orbit, primary_radius, companion.radius):
        return "eclipsing"
    if orbit.period < 3.0 and primary_radius / orbit.separation > 0.1:
        return "ellipsoidal"
    if velocity > 10.0:
        return "sb2" if companion.kp_ratio > 0.1 else "sb1"
    if dwarf and companion.angle < GAIA_BLEND and companion.mass_ratio > 0.6:
        return "photometric"
    return "wide"


def eclipses(orbit: Orbit, radius: float, companion_radius: float) -> bool:
    """Whether the discs overlap at one conjunction at least."""
    omega, e = np.radians(orbit.omega), orbit.eccentricity
    across = orbit.separation * np.cos(np.radians(orbit.inclination)) * (1 - e**2)
    distances = (across / (1 + e * np.sin(omega)), across / (1 - e * np.sin(omega)))
    return bool(min(distances) < radius + companion_radius)


def velocity_amplitude(orbit: Orbit, mass: float, companion_mass: float) -> float:
    """Semi-amplitude K1 of the primary's radial velocity in km/s."""
    speed = 50.58 * orbit.separation / orbit.period / np.sqrt(1 - orbit.eccentricity**2)
    return float(speed * companion_mass / (mass + companion_mass) * np.sin(np.radians(orbit.inclination)))


def radial_velocities(orbit: Orbit, mass: float, companion_mass: float, bkjd: float) -> tuple[float, float]:
    """Velocities of both stars relative to the centre of mass in km/s, at a time in BKJD."""
    anomaly = true_anomaly(2 * np.pi * (bkjd / orbit.period + orbit.phase), orbit.eccentricity)
    omega = np.radians(orbit.omega)
    shape = float(np.cos(anomaly + omega) + orbit.eccentricity * np.cos(omega))
    k1 = velocity_amplitude(orbit, mass, companion_mass)
    return k1 * shape, -k1 * mass / companion_mass * shape


def true_anomaly(mean_anomaly: np.ndarray | float, eccentricity: float) -> np.ndarray:
    """True anomaly in radians, by Newton's method on Kepler's equation."""
    mean = np.mod(np.asarray(mean_anomaly, dtype=np.float64) + np.pi, 2 * np.pi) - np.pi
    e = eccentricity
    eccentric = (
        mean + e * np.sin(mean) / (1 - np.sin(mean + e) + np.sin(mean)) if e < 0.8 else np.pi * np.sign(mean)
    )
    for _ in range(12 if e > 0.6 else 6):
        eccentric = eccentric - (eccentric - e * np.sin(eccentric) - mean) / (1 - e * np.cos(eccentric))
    return np.asarray(
        2 * np.arctan2(np.sqrt(1 + e) * np.sin(eccentric / 2), np.sqrt(1 - e) * np.cos(eccentric / 2))
    )


def draw_ruwe(companion: Companion | None, distance: float, g: float, rng: np.random.Generator) -> float:
    """Gaia's renormalised unit weight error: near 1, raised where the photocentre wobbles within 34 months
    or two stars are half resolved (Belokurov et al. 2020, MNRAS 496, 1922).
    """
    base = float(1.0 + 0.03 * rng.standard_normal() + rng.exponential(0.03))
    if companion is None:
        return base
    orbit, light, ratio = companion.orbit, companion.kp_ratio, companion.mass_ratio
    noise = 0.12 + 0.1 * 10 ** (0.2 * (max(g, 13.0) - 16.0))
    axis_mas = orbit.separation / SUN_RADII_PER_AU / distance * 1000.0
    wobble = axis_mas * abs(ratio / (1 + ratio) - light / (1 + light))
    baseline = 34 * 30.4
    seen = 1.0 if orbit.period < baseline else (baseline / orbit.period) ** 2
    excess = 0.5 * wobble * seen / noise
    if 0.12 < companion.angle < 1.2:
        excess += (
            3.0
            * min(light, 1.0)
            * float(rng.lognormal(0.0, 0.7))
            * np.exp(-((companion.angle - 0.4) ** 2) / 0.1)
        )
    return float(np.hypot(base, excess))
