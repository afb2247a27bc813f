"""MIST isochrones: what a star of given metallicity, age and phase (or mass) is like.

The table (`scripts/build_isochrones.py`) holds MIST models with v/v_crit = 0.4 (Choi et al. 2016, ApJ 823,
102; Dotter 2016, ApJS 222, 8) on a grid of [Fe/H], log age and equivalent evolutionary phase (EEP). At a
fixed EEP stars of neighbouring ages and metallicities are alike, so everything is linear between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TAMS, RGB_TIP, ZAHB, TAHB = 454, 605, 631, 707
"""EEPs: end of the main sequence, tip of the red giant branch, start and end of core helium burning."""

LOG_G_SUN: Final = 4.438
TEFF_SUN: Final = 5772.0
CONTRACTED: Final = 0.7
"""log10 of an age in Gyr at which all stars of the table have reached the main sequence."""


@dataclass(frozen=True)
class IsochronePoint:
    """A star on an isochrone: solar masses and radii, K, dex, log10 solar luminosities."""

    initial_mass: float
    mass: float
    teff: float
    log_g: float
    radius: float
    log_l: float
    eep: float


def _point(numbers: FloatArray, eep: float) -> IsochronePoint:
    initial_mass, mass, log_teff, log_l = (float(x) for x in numbers)
    log_t = log_teff - np.log10(TEFF_SUN)
    return IsochronePoint(
        initial_mass=float(initial_mass),
        mass=float(mass),
        teff=float(10.0**log_teff),
        log_g=float(LOG_G_SUN + np.log10(mass) + 4.0 * log_t - log_l),
        radius=float(10.0 ** (0.5 * log_l - 2.0 * log_t)),
        log_l=float(log_l),
        eep=float(eep),
    )


class Isochrones:
    """Interpolation in the table.

    Parameters
    ----------
    arrays
        An opened npz file (or mapping) as `scripts/build_isochrones.py` writes it.

    Attributes
    ----------
    fe_h, log_age, eep
        Axes; log_age is log10 of Gyr.
    values
        (fe_h, log_age, eep, 4): initial mass, mass, log Teff, log L; NaN where there is no star.
    """

    def __init__(self, arrays: Any) -> None:
        self.fe_h: FloatArray = arrays["axis_fe_h"].astype(np.float64)
        self.log_age: FloatArray = arrays["axis_log_age"].astype(np.float64) - 9.0
        mass = arrays["initial_mass"].astype(np.float64)
        self.eep: FloatArray = int(arrays["first_eep"]) + np.arange(mass.shape[2], dtype=np.float64)
        left, log_teff, log_l = (_expanded(arrays, name) for name in ("mass_left", "log_teff", "log_l"))
        self.values = np.stack([mass, mass * left, log_teff, log_l], axis=-1)

    def _curve(self, fe_h: float, log_age: float) -> FloatArray:
        """(eep, 4): one isochrone, linear between the four around it."""
        i, u = _place(self.fe_h, fe_h)
        j, v = _place(self.log_age, log_age)
        low = (1 - v) * self.values[i, j] + v * self.values[i, j + 1]
        high = (1 - v) * self.values[i + 1, j] + v * self.values[i + 1, j + 1]
        # MIST ends at 0.6 solar masses for [Fe/H] = +0.5; smaller stars are taken from below.
        high = np.where(np.isfinite(high), high, low)
        return np.asarray((1 - u) * low + u * high)

    def at_phase(self, fe_h: float, log_age: float, eep: float) -> IsochronePoint | None:
        """The star in a phase; None if the isochrone has none there."""
        i, u = _place(self.fe_h, fe_h)
        j, v = _place(self.log_age, log_age)
        k, w = _place(self.eep, eep)
        cube = self.values[i : i + 2, j : j + 2, k : k + 2]
        weights = np.array([1 - u, u])[:, None, None] * np.array([1 - v, v])[:, None] * np.array([1 - w, w])
        found = np.where(weights[..., None] > 0, weights[..., None] * cube, 0.0).sum(axis=(0, 1, 2))
        return _point(found, eep) if np.isfinite(found).all() else None

    def at_mass(self, fe_h: float, log_age: float, mass: float) -> IsochronePoint | None:
        """The star of an initial mass; None if it is dead or below the table (about 0.1 solar masses).

        A small star that is still contracting is taken as it will be on the main sequence.
        """
        curve = self._curve(fe_h, log_age)
        good = np.isfinite(curve).all(axis=1)
        masses = np.maximum.accumulate(curve[good, 0])
        if len(masses) and mass < masses[0] and log_age < CONTRACTED:
            return self.at_mass(fe_h, CONTRACTED, mass)
        if not len(masses) or not masses[0] <= mass <= masses[-1]:
            return None
        columns = [np.interp(mass, masses, curve[good, c]) for c in range(4)]
        return _point(np.array(columns), float(np.interp(mass, masses, self.eep[good])))


def _expanded(arrays: Any, name: str) -> FloatArray:
    low, high = arrays[f"range_{name}"]
    steps = arrays[name].astype(np.float64)
    return np.where(steps < 65535, low + (high - low) * steps / 65534, np.nan)


def _place(axis: FloatArray, value: float) -> tuple[int, float]:
    """(index, fraction) of a value on an axis, moved to its ends if outside."""
    clipped = min(max(value, axis[0]), axis[-1])
    index = min(int(np.searchsorted(axis, clipped, side="right")) - 1, len(axis) - 2)
    return index, float((clipped - axis[index]) / (axis[index + 1] - axis[index]))


@cache
def load_isochrones() -> Isochrones:
    """The table shipped with desa (read once a process)."""
    path = resources.files("desa.simulate") / "data" / "isochrones.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
        return Isochrones(dict(arrays))
