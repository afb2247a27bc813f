"""How fast stars rotate at their age, and how active that makes them.

* Dwarfs of 3800 to 6200 K: the slow sequence of Bouma, Palumbo & Hillenbrand (2023, ApJL 947, L3) up to 4
  Gyr, then Skumanich's square root of age; young stars may still be fast rotators.
* Braking stops where the Rossby number reaches that of the Sun times 0.91 (van Saders et al. 2016, Nature
  529, 181; Saunders et al. 2024, ApJ 962, 138).
* Above the Kraft break equatorial velocities are Maxwellian (Royer et al. 2007, A&A 463, 671; Kraft 1967,
  ApJ 150, 551).
* Subgiants and giants slow down as they expand; 2 % of the giants are fast (Ceillier et al. 2017, A&A 605,
  A111). Close binaries rotate with their orbit (Lurie et al. 2017, AJ 154, 250).
* Convective turnover times: Cranmer & Saar (2011, ApJ 741, 54, eq. 36). Photometric activity Sph against
  Rossby number: running medians of Santos et al. (2019, ApJS 244, 21; 2021, ApJS 255, 17). R'HK: Mamajek &
  Hillenbrand (2008, ApJ 687, 1264), on Noyes' Rossby number.

Set on real data: Sph, and periods from 5400 to 6600 K (medians within a third of Santos'; McQuillan's are
shorter). Not checked against the papers' texts: the critical Rossby number, the velocities above the break,
the giants.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.simulate.binaries import Companion
from desa.simulate.isochrones import TAMS, IsochronePoint

FloatArray = NDArray[np.float64]

KRAFT_TEFF: Final = 6400.0
CRITICAL_ROSSBY: Final = 1.80
"""0.91 times the Sun's 25.4 d over its turnover time of 12.9 d."""
KM_S_PER_RADIUS_DAY: Final = 50.58
"""Equatorial velocity in km/s of 1 solar radius turning once a day."""

WARM_FALL: Final = 700.0
"""K in which the slow sequence's period falls by e above 6200 K; set by medians of Santos et al. (2021)."""
SPREAD_TEFF: Final = (5400.0, 5900.0, 6300.0)
SPREAD: Final = (0.10, 0.20, 0.40)
"""Spread of ln P about the slow sequence: warm stars brake late, and differ at birth. Set by the 16th and
84th percentiles of Santos et al. (2021) from 5400 to 6600 K."""

SPH_ROSSBY: Final = (0.02, 0.10, 0.25, 0.50, 0.70, 0.90, 1.15, 1.45, 1.80, 2.30, 4.0)
SPH_TEFF: Final = (3500.0, 4050.0, 4550.0, 5050.0, 5500.0, 5900.0, 6300.0, 6800.0)
LOG_SPH: Final = (
    (3.95, 3.84, 3.28, 3.09, 3.20, 3.18, 3.00, 2.85, 2.70, 2.50, 2.2),
    (4.05, 3.99, 3.30, 3.06, 3.22, 3.00, 2.82, 2.68, 2.45, 2.25, 2.0),
    (4.15, 4.10, 3.44, 3.24, 3.27, 3.08, 2.82, 2.60, 2.40, 2.15, 1.9),
    (4.10, 3.95, 3.65, 3.45, 3.45, 3.22, 2.85, 2.52, 2.25, 2.05, 1.8),
    (3.95, 3.80, 3.66, 3.48, 3.52, 3.25, 2.80, 2.38, 2.10, 1.90, 1.7),
    (3.60, 3.50, 3.30, 3.20, 3.10, 2.85, 2.45, 2.10, 1.90, 1.80, 1.6),
    (3.20, 3.00, 2.85, 2.70, 2.55, 2.40, 2.22, 2.05, 1.95, 1.85, 1.7),
    (2.90, 2.80, 2.80, 2.75, 2.65, 2.55, 2.45, 2.35, 2.25, 2.10, 1.8),
)
"""log10 Sph [ppm], rows by Teff, columns by Rossby number; below the catalogues' medians
where these hold only the more active of the stars."""


@dataclass(frozen=True)
class Rotation:
    """Rotation and activity of a star.

    Parameters
    ----------
    prot
        Equatorial period in days.
    inclination
        Of the spin axis, degrees; 90 is equator-on.
    vsini
        km/s.
    rossby
        Period over convective turnover time (large for hot stars).
    log_sph
        log10 of the photometric activity in ppm.
    log_r_hk
        log10 R'HK; NaN for stars without a chromosphere (hot ones).
    synchronised
        Whether a companion holds it to the orbit.
    """

    prot: float
    inclination: float
    vsini: float
    rossby: float
    log_sph: float
    log_r_hk: float
    synchronised: bool


@cache
def _gyrochrones() -> tuple[FloatArray, FloatArray, FloatArray]:
    path = resources.files("desa.simulate") / "data" / "gyrochrones.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
        teff, log_age, prot = (
            arrays[name].astype(np.float64) for name in ("axis_teff", "axis_log_age", "prot")
        )
    return teff, log_age, prot


def slow_sequence(teff: float, age: float) -> float:
    """Period in days of a slow rotator of an age in Gyr, without weakened braking; 3300 to 6700 K.

    Beyond the table's ages it goes with the square root of age; below 3800 K periods grow as the turnover
    time does, above 6200 K they fall to the break.
    """
    axis, log_ages, table = _gyrochrones()
    inside = min(max(teff, axis[0]), axis[-1])
    log_age = np.log10(age)
    column = [np.interp(min(max(log_age, log_ages[0]), log_ages[-1]), log_ages, row) for row in table]
    prot = float(np.interp(inside, axis, column)) * 10 ** (0.5 * max(log_age - log_ages[-1], 0.0))
    prot *= 10 ** (0.5 * min(log_age - log_ages[0], 0.0))
    if teff < axis[0]:
        prot *= (turnover_time(teff) / turnover_time(axis[0])) ** 0.8
    return float(prot * np.exp(-max(teff - axis[-1], 0.0) / WARM_FALL))


def turnover_time(teff: float) -> float:
    """Convective turnover time in days (Cranmer & Saar 2011), 3300 to 7000 K."""
    t = min(max(teff, 3300.0), 7000.0)
    return float(314.24 * np.exp(-(t / 1952.5) - (t / 6250.0) ** 18) + 0.002)


def braked_period(teff: float, age: float) -> float:
    """Slow sequence with weakened braking: the period stays once the Rossby number is critical."""
    return min(slow_sequence(teff, age), CRITICAL_ROSSBY * turnover_time(teff))


def _dwarf_period(teff: float, radius: float, age: float, rng: np.random.Generator) -> float:
    if teff > KRAFT_TEFF + 100.0 * rng.standard_normal():
        return _hot_period(teff, radius, rng)
    spread = float(np.interp(teff, SPREAD_TEFF, SPREAD))
    slow = braked_period(teff, age) * float(np.exp(spread * rng.standard_normal()))
    fast_until = float(np.interp(teff, (3300, 3800, 4500, 5500, 6200), (1.5, 0.5, 0.22, 0.12, 0.08)))
    if rng.random() < 0.5 * np.exp(-age / fast_until):
        return float(np.exp(rng.uniform(np.log(0.3), np.log(max(slow, 0.5)))))
    return slow


def _hot_period(teff: float, radius: float, rng: np.random.Generator) -> float:
    mean = float(np.interp(teff, (6100, 6400, 6600, 6900, 7200, 8000, 10000), (6, 8, 13, 38, 70, 125, 150)))
    speed = mean / 1.596 * float(np.linalg.norm(rng.standard_normal(3)))
    return max(KM_S_PER_RADIUS_DAY * radius / max(speed, 2.0), 0.25)


def _evolved_period(star: IsochronePoint, age: float, rng: np.random.Generator) -> float:
    if star.log_g < 3.5 and rng.random() < 0.02:
        return KM_S_PER_RADIUS_DAY * star.radius / float(rng.uniform(5.0, 40.0))
    mass = star.initial_mass
    if star.log_g < 3.5 and star.teff < 5300.0:
        speed = (1.4 if mass < 1.8 else 3.5) * float(np.exp(0.45 * rng.standard_normal()))
        return KM_S_PER_RADIUS_DAY * star.radius / speed
    radius = mass**0.8
    if mass > 1.2:
        born = _hot_period(float(np.interp(mass, (1.2, 1.6, 2.5), (6250, 7300, 9500))), radius * 1.3, rng)
    else:
        born = braked_period(float(np.interp(mass, (0.7, 1.0, 1.2), (4600, 5770, 6200))), min(age, 6.0))
    grown = star.radius / (1.3 * radius)
    slowed = born * max(grown, 1.0) ** 1.3 * float(np.exp(0.25 * rng.standard_normal()))
    braked = 0.4 if star.teff < 5300.0 else 0.0
    slowest = KM_S_PER_RADIUS_DAY * star.radius / 0.7
    return float(min(slowed * (1 + braked), slowest))


def log_sph(teff: float, rossby: float) -> float:
    """Median log10 Sph [ppm] of dwarfs of a temperature and Rossby number."""
    rows = [np.interp(np.log(max(rossby, 1e-3)), np.log(SPH_ROSSBY), row) for row in LOG_SPH]
    return float(np.interp(teff, SPH_TEFF, rows))


def log_r_hk(teff: float, rossby: float) -> float:
    """Chromospheric activity of a star with a convection zone (Mamajek & Hillenbrand 2008, eq. 5 and 7), NaN
    above 6700 K.

    Their Rossby number is 1.14 times this one in the Sun.
    """
    if teff > 6700.0:
        return float("nan")
    ro = 1.14 * rossby
    value = -4.23 - 1.451 * (ro - 0.233) if ro < 0.32 else -4.522 - 0.337 * (ro - 0.814)
    return float(np.clip(value, -5.15, -3.95))


def draw_rotation(
    star: IsochronePoint, age: float, companion: Companion | None, rng: np.random.Generator
) -> Rotation:
    """Rotation and activity of a star of an age in Gyr."""
    evolved = star.eep > TAMS
    prot = _evolved_period(star, age, rng) if evolved else _dwarf_period(star.teff, star.radius, age, rng)
    inclination = float(np.degrees(np.arccos(rng.random())))
    synchronised = companion is not None and companion.orbit.period < (40.0 if evolved else 10.0)
    if companion is not None and synchronised:
        orbit = companion.orbit
        prot = orbit.period * (1 - orbit.eccentricity) ** 1.5 * float(np.exp(0.03 * rng.standard_normal()))
        inclination = orbit.inclination
    rossby = prot / turnover_time(star.teff)
    sph = log_sph(star.teff, rossby) + 0.33 * rng.standard_normal()
    if star.log_g < 3.5:
        sph = min(sph, 2.0 + 0.3 * rng.standard_normal()) if prot > 30 else sph
    activity = log_r_hk(star.teff, rossby)
    return Rotation(
        prot=float(prot),
        inclination=inclination,
        vsini=float(KM_S_PER_RADIUS_DAY * star.radius / prot * np.sin(np.radians(inclination))),
        rossby=float(rossby),
        log_sph=float(np.clip(sph, 1.2, 4.9)),
        log_r_hk=float(np.clip(activity + 0.06 * rng.standard_normal(), -5.2, -3.85)),
        synchronised=synchronised,
    )
