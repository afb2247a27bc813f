"""Planets that transit.

Numbers, periods and sizes follow Kepler's occurrence rates in outline (Petigura et al. 2018, AJ 155, 89; Hsu
et al. 2019, AJ 158, 109): 0.9 planets a dwarf within 300 days and above 1 Earth radius, one in a hundred hot
Jupiters; a random inclination, common to a star's planets within 2 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from desa.simulate.binaries import Companion, semi_major_axis
from desa.simulate.isochrones import IsochronePoint

EARTH_RADIUS: Final = 0.009168
"""Solar radii."""
MEAN_NUMBER: Final = 0.9


@dataclass(frozen=True)
class Planet:
    """A transiting planet: days, solar radii, impact parameter, phase at BKJD 0 in turns."""

    period: float
    radius: float
    separation: float
    impact: float
    phase: float


def _radius(period: float, rng: np.random.Generator) -> float:
    """Earth radii: two humps beside the gap at 1.8, and a few giants."""
    kind = rng.random()
    if kind < (0.02 if period < 10 else 0.08):
        return float(rng.uniform(5.0, 14.0))
    centre = 1.35 if kind < 0.5 else 2.4
    return float(centre * np.exp(0.16 * rng.standard_normal()))


def draw_planets(
    star: IsochronePoint, companion: Companion | None, rng: np.random.Generator
) -> tuple[Planet, ...]:
    """The transiting planets of a star; giants and close binaries have none."""
    number = int(rng.poisson(MEAN_NUMBER))
    tilt = np.degrees(np.arccos(rng.random()))
    if star.log_g < 3.8 or (companion is not None and companion.orbit.period < 1e4):
        return ()
    found = []
    for _ in range(number):
        period = float(10 ** rng.triangular(0.0, 2.2, 2.5))
        radius = _radius(period, rng) * EARTH_RADIUS
        separation = semi_major_axis(period, star.mass)
        impact = separation / star.radius * np.cos(np.radians(tilt + rng.normal(0.0, 1.5)))
        phase = float(rng.random())
        if abs(impact) < 1.0 + radius / star.radius and separation > 2 * star.radius:
            found.append(Planet(period, radius, separation, float(abs(impact)), phase))
    return tuple(found)
