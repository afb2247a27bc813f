"""Rotational modulation by spots that grow and decay.

Each spot lives in its own window of time; only there its foreshortened, limb-darkened deficit is computed, on
a grid of some 30 points a rotation, which a spline carries to the cadences. Around a spot lie faculae, bright
towards the limb, which count in inactive stars (Shapiro et al. 2016, A&A 589, A46). Surfaces shear by about
0.055 rad/d, more in hotter stars (Reinhold & Gizon 2015, A&A 583, A65; Barnes et al. 2005, MNRAS 357, L1).
Spots live longer where they are larger and stars cooler (Giles et al. 2017, MNRAS 472, 1618). The emergence
follows an activity cycle of 2 to 15 years, and the latitudes drift towards the equator with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

FloatArray = NDArray[np.float64]

POINTS_PER_TURN: Final = 30
LIMB_DARKENING: Final = 0.6
SPH_PER_SPOT: Final = 0.178
"""Standard deviation within five turns, over root of the number of spots, of spots of unit area seen at
random inclinations: measured on simulations."""


@dataclass(frozen=True)
class SpotSettings:
    """How a star is spotted.

    Parameters
    ----------
    prot
        Equatorial period, days.
    inclination
        Degrees; 90 is equator-on.
    log_sph
        log10 of the wanted photometric activity in ppm.
    lifetime
        Days.
    shear
        Pole lags the equator by this much, rad/d.
    number
        Mean number of spots at a time.
    highest_latitude
        Degrees.
    faculae
        Brightening towards the limb over the spots' deficit.
    cycle
        Length of the activity cycle, days.
    cycle_depth
        0 to 1: how much of the emergence the cycle modulates.
    """

    prot: float
    inclination: float
    log_sph: float
    lifetime: float
    shear: float
    number: float
    highest_latitude: float
    faculae: float
    cycle: float
    cycle_depth: float


def draw_settings(
    teff: float, prot: float, inclination: float, log_sph: float, rng: np.random.Generator
) -> SpotSettings:
    """Spot settings of a star of a temperature [K], period [d] and activity."""
    lifetime = 10 ** (1.50 + 0.35 * (log_sph - 3.0) - (teff - 5500.0) / 5000.0 + 0.15 * rng.standard_normal())
    shear = (
        0.055 * float(np.clip((teff / 5500.0) ** 4, 0.4, 3.0)) * float(np.exp(0.3 * rng.standard_normal()))
    )
    active = float(np.clip((log_sph - 2.0) / 2.0, 0.0, 1.0))
    return SpotSettings(
        prot=prot,
        inclination=inclination,
        log_sph=log_sph,
        lifetime=float(np.clip(lifetime, 8.0, 300.0)),
        shear=min(shear, 0.35 * 2 * np.pi / prot),
        number=float(rng.uniform(4.0, 14.0)),
        highest_latitude=35.0 + 30.0 * active,
        faculae=1.1 * (1.0 - active),
        cycle=float(rng.uniform(700.0, 5500.0)),
        cycle_depth=float(rng.uniform(0.2, 0.9) * (1.0 - 0.6 * active)),
    )


def _emergences(s: SpotSettings, start: float, stop: float, rng: np.random.Generator) -> FloatArray:
    """Times of greatest size of the spots that matter between two times."""
    low, high = start - 2.0 * s.lifetime, stop + s.lifetime
    mean = s.number * (high - low) / s.lifetime
    times = rng.uniform(low, high, int(rng.poisson(mean)))
    rate = 1.0 - 0.5 * s.cycle_depth * (1.0 - np.cos(2 * np.pi * (times / s.cycle + rng.random())))
    return np.asarray(np.sort(times[rng.random(len(times)) < rate]))


def modulation(time: FloatArray, settings: SpotSettings, rng: np.random.Generator) -> FloatArray:
    """Relative flux (L,), about 0, of the spots and faculae; `time` (L,) in days, ascending.

    The mean level is left in: more spots make the star fainter.
    """
    s = settings
    step = max(s.prot / POINTS_PER_TURN, float(time[1] - time[0]))
    step = min(step, 0.5)
    grid = np.arange(time[0] - 2 * step, time[-1] + 3 * step, step)
    peaks = _emergences(s, float(grid[0]), float(grid[-1]), rng)
    if not len(peaks):
        return np.zeros_like(time)
    n = len(peaks)
    drift = np.cos(np.pi * np.mod(peaks / s.cycle, 1.0)) * 0.3
    latitude = np.radians(s.highest_latitude) * np.clip(rng.random(n) ** 0.7 + drift, 0.05, 1.0)
    latitude *= rng.choice([-1.0, 1.0], n)
    longitude = rng.uniform(0, 2 * np.pi, n)
    area = rng.lognormal(-0.125, 0.5, n) * 10**s.log_sph * 1e-6 / (SPH_PER_SPOT * np.sqrt(s.number))
    rise, decay = 0.20 * s.lifetime, 0.45 * s.lifetime
    before, after = (int(np.ceil(2.6 * width / step)) for width in (rise, decay))
    place = (
        np.floor((peaks - grid[0]) / step).astype(np.int64)[:, None] + np.arange(-before, after + 1)[None, :]
    )
    since = (grid[0] + step * place) - peaks[:, None]
    size = np.exp(-0.5 * (since / np.where(since < 0, rise, decay)) ** 2)
    turn = 2 * np.pi / s.prot - s.shear * np.sin(latitude) ** 2
    tilt = np.radians(s.inclination)
    angle = longitude[:, None] + turn[:, None] * since
    mu = (np.sin(latitude) * np.cos(tilt))[:, None] + (np.cos(latitude) * np.sin(tilt))[:, None] * np.cos(
        angle
    )
    mu = np.maximum(mu, 0.0)
    limb = 1.0 - LIMB_DARKENING * (1.0 - mu)
    deficit = area[:, None] * size * mu * (limb - s.faculae * (1.0 - mu))
    inside = (place >= 0) & (place < len(grid))
    total = np.bincount(place[inside], weights=deficit[inside], minlength=len(grid))
    if step <= 1.01 * float(time[1] - time[0]):
        return np.asarray(-np.interp(time, grid, total))
    return np.asarray(-CubicSpline(grid, total)(time))
