"""Eclipses, ellipsoidal variation, beaming and reflection of binaries, and transits.

All are strictly periodic: one turn is computed on a grid that is dense in the eclipses, and the light curve
is read off it, averaged over each half hour. An occulted part of a disc counts with the brightness (linear
limb darkening) at the middle of the overlap, which is exact for small bodies and total eclipses and good to
a few per cent of the depth between. Tides: the leading term of Morris & Naftilan (1993, ApJ 419, 344) times
the cube of the inverse distance, so eccentric orbits have heartbeats. Beaming: Loeb & Gaudi (2003, ApJ 588,
L117).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.simulate.binaries import Companion, true_anomaly, velocity_amplitude
from desa.simulate.planets import Planet
from desa.types import KEPLER_CADENCE_DAYS, SPEED_OF_LIGHT

FloatArray = NDArray[np.float64]

LIMB_DARKENING: Final = 0.55
GRAVITY_DARKENING: Final = 0.35
REFLECTION: Final = 0.25
POINTS_IN_ECLIPSE: Final = 400
POINTS_OUTSIDE: Final = 400
SUBSAMPLES: Final = 5


@dataclass(frozen=True)
class Body:
    """A star of the pair: solar masses and radii, and its share of the light."""

    mass: float
    radius: float
    light: float


def overlap(z: FloatArray, p: float) -> FloatArray:
    """Share of a disc of radius 1 that a disc of radius `p` covers, centres `z` apart."""
    z = np.asarray(z, dtype=np.float64)
    inside = z <= abs(1.0 - p)
    part = (z < 1.0 + p) & ~inside
    area = np.where(inside, min(p * p, 1.0), 0.0)
    s = z[part]
    a = np.arccos(np.clip((s**2 + 1 - p**2) / (2 * s), -1, 1))
    b = np.arccos(np.clip((s**2 + p**2 - 1) / (2 * s * p), -1, 1))
    root = np.sqrt(np.maximum((1 + p - s) * (s + p - 1) * (s - p + 1) * (s + p + 1), 0.0))
    area[part] = (a + p**2 * b - 0.5 * root) / np.pi
    return area


def blocked(z: FloatArray, p: float, u: float = LIMB_DARKENING) -> FloatArray:
    """Share of a limb-darkened disc's light that a disc of radius `p` blocks."""
    area = overlap(z, p)
    middle = 0.5 * (np.maximum(z - p, -1.0) + np.minimum(z + p, 1.0))
    mu = np.sqrt(np.maximum(1.0 - np.minimum(np.abs(middle), 1.0) ** 2, 0.0))
    brightness = (1.0 - u * (1.0 - mu)) / (1.0 - u / 3.0)
    return np.asarray(area * (1.0 + (brightness - 1.0) * (1.0 - area)))


def _conjunction(omega: float, e: float, sign: float) -> tuple[float, float]:
    """(mean anomaly in turns, distance over the axis) where the primary is behind (1) or in front (-1)."""
    anomaly = sign * np.pi / 2 - omega
    eccentric = 2 * np.arctan2(np.sqrt(1 - e) * np.sin(anomaly / 2), np.sqrt(1 + e) * np.cos(anomaly / 2))
    return float((eccentric - e * np.sin(eccentric)) / (2 * np.pi)) % 1.0, float(1 - e * np.cos(eccentric))


def phase_grid(companion: Companion, radius: float) -> FloatArray:
    """Mean anomalies in turns, ascending within 0..1, dense around both conjunctions."""
    orbit = companion.orbit
    parts = [np.linspace(0.0, 1.0, POINTS_OUTSIDE)]
    for sign in (1.0, -1.0):
        centre, distance = _conjunction(np.radians(orbit.omega), orbit.eccentricity, sign)
        reach = (radius + companion.radius) / orbit.separation
        speed = np.sqrt(1 - orbit.eccentricity**2) / distance
        half = min(0.25, 1.3 * np.arcsin(min(reach / distance, 1.0)) * distance / speed / (2 * np.pi) + 1e-4)
        parts.append(np.mod(centre + np.linspace(-half, half, POINTS_IN_ECLIPSE), 1.0))
    return np.unique(np.concatenate(parts))


def binary_turn(phase: FloatArray, star: Body, companion: Companion) -> FloatArray:
    """Relative flux (N,) of a pair at mean anomalies in turns; 1 on average out of eclipse.

    `star.light` is the primary's share of all the light.
    """
    orbit = companion.orbit
    other = Body(companion.mass, companion.radius, 1.0 - star.light)
    anomaly = true_anomaly(2 * np.pi * phase, orbit.eccentricity)
    distance = (1 - orbit.eccentricity**2) / (1 + orbit.eccentricity * np.cos(anomaly))
    argument = anomaly + np.radians(orbit.omega)
    tilt = np.radians(orbit.inclination)
    towards = np.sin(argument) * np.sin(tilt)
    apart = orbit.separation * distance * np.sqrt(np.maximum(1.0 - towards**2, 0.0))
    flux = np.ones_like(phase)
    # The argument is the primary's: its companion is in front where the sine is positive.
    for body, front, here in ((star, other, towards > 0), (other, star, towards < 0)):
        hidden = blocked(apart / body.radius, front.radius / body.radius)
        flux -= body.light * np.where(here, hidden, 0.0)
        flux += body.light * _tide(body, front, orbit.separation * distance, argument, tilt)
    speed = velocity_amplitude(orbit, star.mass, companion.mass) * (
        np.cos(argument) + orbit.eccentricity * np.cos(np.radians(orbit.omega))
    )
    flux -= 4.0 * (star.light - other.light * star.mass / other.mass) * speed / SPEED_OF_LIGHT
    for body, front, side in ((other, star, -1.0), (star, other, 1.0)):
        lit = REFLECTION * front.light * (body.radius / (orbit.separation * distance)) ** 2
        flux += 0.5 * lit * (1.0 + side * towards * 1.0)
    return flux


def _tide(body: Body, other: Body, distance: FloatArray, argument: FloatArray, tilt: float) -> FloatArray:
    u, g = LIMB_DARKENING, GRAVITY_DARKENING
    strength = 0.15 * (15 + u) * (1 + g) / (3 - u) * other.mass / body.mass
    shape = (body.radius / distance) ** 3
    return np.asarray(strength * shape * np.sin(tilt) ** 2 * np.cos(2 * (argument - np.pi / 2)) * -1.0)


def _read(time: FloatArray, period: float, phase0: float, grid: FloatArray, turn: FloatArray) -> FloatArray:
    """The turn at times, averaged over each cadence."""
    total = np.zeros_like(time)
    for k in range(SUBSAMPLES):
        offset = ((k + 0.5) / SUBSAMPLES - 0.5) * KEPLER_CADENCE_DAYS
        phase = (time + offset) / period + phase0
        total += np.interp(phase - np.floor(phase), grid, turn, period=1.0)
    return total / SUBSAMPLES


def binary_flux(time: FloatArray, mass: float, radius: float, companion: Companion) -> FloatArray:
    """Relative flux (L,) of a binary, with the primary's mass and radius in solar units."""
    grid = phase_grid(companion, radius)
    star = Body(mass, radius, 1.0 / (1.0 + companion.kp_ratio))
    turn = binary_turn(grid, star, companion)
    return _read(time, companion.orbit.period, companion.orbit.phase, grid, turn)


def varies(companion: Companion, radius: float) -> bool:
    """Whether a pair's orbit changes its light by more than some parts per million."""
    orbit = companion.orbit
    closest = orbit.separation * (1 - orbit.eccentricity)
    tide = (max(radius, companion.radius) / closest) ** 3
    reach = (radius + companion.radius) / closest
    return tide > 3e-6 or abs(np.cos(np.radians(orbit.inclination))) < reach


def transit_flux(time: FloatArray, radius: float, planet: Planet) -> FloatArray:
    """Relative flux (L,) behind a planet on a circular orbit; `radius` of the star in solar radii."""
    reach = (radius + planet.radius) / planet.separation
    half = min(1.2 * np.arcsin(min(reach, 1.0)) / (2 * np.pi) + 1e-5, 0.25)
    inside = np.linspace(-half, half, POINTS_IN_ECLIPSE)
    angle = 2 * np.pi * inside
    across = planet.separation * np.sin(angle)
    down = planet.impact * radius * np.cos(angle)
    turn = 1.0 - blocked(np.hypot(across, down) / radius, planet.radius / radius)
    return _read(time, planet.period, planet.phase, inside, turn)
