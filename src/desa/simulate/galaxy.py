"""Which stars Kepler's target list holds: star formation, metals, masses, distances, and the selection.

A star is drawn in one go from weights on the isochrones' grid: born(age, [Fe/H]) x initial mass function x
volume in which Kepler would have picked it. Between the grid's nodes the density is linear.

* Two discs. Thin: star formation over 10 Gyr, slightly growing towards today (Mor et al. 2019, A&A 624,
  L1, in outline), mean [Fe/H] falling and its spread growing with age as
  in the solar neighbourhood (Casagrande et al. 2011, A&A 530, A138); scale height growing with age. Thick: 8
  to 12 Gyr, [Fe/H] about -0.5, scale height 900 pc, 6 % of the local stars (Juric et al. 2008, ApJ 673, 864).
* [alpha/Fe]: the two sequences of Hayden et al. (2015, ApJ 808, 132).
* Masses: Kroupa (2001, MNRAS 322, 231).
* Kepler's field at b = 13.5 degrees; extinction 0.7 mag / kpc in the plane with a scale height of 150 pc
  (Brown et al. 2011, AJ 142, 112, took 1 mag / kpc; Gaia-era maps find less).
* Selection by Kepler magnitude: nearly complete to 14, then preferring dwarfs (Batalha et al. 2010, ApJ 713,
  L109; Wolniewicz et al. 2021, AJ 161, 231), and nearly nothing beyond 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from desa.simulate.isochrones import RGB_TIP, ZAHB, IsochronePoint, Isochrones, load_isochrones
from desa.simulate.photometry import absolute_magnitudes

FloatArray = NDArray[np.float64]

SIN_B: Final = float(np.sin(np.radians(13.5)))
THICK_SHARE: Final = 0.06
THICK_HEIGHT: Final = 900.0
DUST: Final = (0.7e-3, 150.0)
"""A_V per pc in the plane, and the dust's scale height in pc."""
KP_OVER_AV: Final = 0.86
GIANT_LOG_G: Final = 3.5
MIN_MASS: Final = 0.15

SELECTION_KP: Final = (7.0, 12.0, 13.0, 14.0, 14.5, 15.0, 15.9, 16.0, 16.1, 17.5, 18.0)
SELECTED_DWARFS: Final = (0.9, 0.95, 0.95, 0.90, 0.72, 0.62, 0.55, 0.30, 0.015, 0.005, 0.0)
SELECTED_GIANTS: Final = (0.9, 0.92, 0.85, 0.50, 0.30, 0.16, 0.10, 0.05, 0.002, 0.000, 0.0)
"""Share of the stars at a Kepler magnitude that were targets."""

_DISTANCES: Final = np.geomspace(15.0, 12000.0, 400)
_MAGNITUDES: Final = np.arange(-5.0, 13.01, 0.25)
_HEIGHTS: Final = (120.0, 180.0, 250.0, 330.0, THICK_HEIGHT)


@dataclass(frozen=True)
class Draw:
    """A star drawn from the population; age in Gyr, distance in pc, A_V in magnitudes."""

    point: IsochronePoint
    age: float
    fe_h: float
    alpha_fe: float
    thick: bool
    distance: float
    av: float


def scale_height(age: ArrayLike) -> FloatArray:
    """Scale height in pc of thin-disc stars of an age in Gyr."""
    return np.asarray(110.0 + 200.0 * np.clip(np.asarray(age) / 8.0, 0.0, 1.2) ** 0.8)


def mean_extinction(distance: ArrayLike) -> FloatArray:
    """A_V in magnitudes at a distance in pc, towards the middle of Kepler's field."""
    per_pc, height = DUST
    return np.asarray(per_pc * height / SIN_B * -np.expm1(-np.asarray(distance) * SIN_B / height))


def kroupa(mass: ArrayLike) -> FloatArray:
    """Initial mass function dN/dM, not normalised."""
    m = np.asarray(mass)
    return np.asarray(np.where(m < 0.5, m**-1.3, 0.5 * m**-2.3))


def _gauss(x: FloatArray, mean: FloatArray | float, sigma: FloatArray | float) -> FloatArray:
    return np.asarray(np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)))


def born(fe_h: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Stars born in the thin and thick disc per Gyr and dex, not normalised."""
    mean = 0.03 - 0.014 * age
    spread = 0.13 + 0.012 * age
    thin = np.where(age < 10.0, 0.13 * np.exp(-age / 13.0), 0.0) * _gauss(fe_h, mean, spread)
    thick = THICK_SHARE * _gauss(age, 10.0, 1.0) * _gauss(fe_h, -0.5, 0.25)
    return thin, thick


class Population:
    """Weights on the isochrones' grid, and distances by magnitude."""

    def __init__(self, isochrones: Isochrones) -> None:
        self.isochrones = isochrones
        self._thin_share: FloatArray
        self._volumes, self._quantiles = _volumes()
        weights = self._weights()
        self._cumulative = np.cumsum(weights.ravel()) / weights.sum()
        self._shape = weights.shape

    def _weights(self) -> FloatArray:
        iso = self.isochrones
        mass, current, log_teff, log_l = np.moveaxis(iso.values, -1, 0)
        with np.errstate(invalid="ignore"):
            steps = np.gradient(np.maximum.accumulate(np.nan_to_num(mass), axis=2), axis=2)
            numbers = np.where(np.isfinite(log_l) & (mass > MIN_MASS), kroupa(mass) * steps, 0.0)
        flash = (iso.eep > RGB_TIP) & (iso.eep < ZAHB)
        numbers = np.where(flash, 0.0, np.maximum(np.nan_to_num(numbers), 0.0))
        log_g = np.log10(current) + 4 * log_teff - log_l - 10.607
        fe_h = np.broadcast_to(iso.fe_h[:, None, None], mass.shape)
        good = numbers > 0
        kp = np.full(mass.shape, np.nan)
        bands = absolute_magnitudes(log_l[good], 10 ** log_teff[good], log_g[good], fe_h[good])
        kp[good] = bands["kp"]
        age = 10**iso.log_age
        thin, thick = born(iso.fe_h[:, None], age[None, :])
        cell = np.gradient(iso.fe_h)[:, None] * (np.gradient(iso.log_age) * age)[None, :]
        giant = (log_g < GIANT_LOG_G).astype(int)
        height = np.broadcast_to(scale_height(age)[None, :, None], mass.shape)
        volume = np.zeros((2, *mass.shape))
        volume[0, good] = self._volume(kp[good], height[good], giant[good])
        volume[1, good] = self._volume(kp[good], np.full(good.sum(), THICK_HEIGHT), giant[good])
        parts = np.stack([thin * cell, thick * cell])[..., None] * numbers * volume
        total = np.asarray(parts.sum(axis=0))
        self._thin_share = parts[0] / np.maximum(total, 1e-300)
        return total

    def _volume(self, kp: FloatArray, height: FloatArray, giant: NDArray[np.int_]) -> FloatArray:
        rows = np.abs(np.asarray(_HEIGHTS)[:, None] - height[None, :]).argmin(axis=0)
        cells = np.clip(np.rint((kp - _MAGNITUDES[0]) / 0.25).astype(int), 0, len(_MAGNITUDES) - 1)
        return np.asarray(self._volumes[giant, rows, cells])

    def draw(self, rng: np.random.Generator) -> Draw:
        """One star of the target list."""
        cell = int(np.searchsorted(self._cumulative, rng.random()))
        i, j, k = np.unravel_index(cell, self._shape)
        thick = bool(rng.random() > self._thin_share[i, j, k])
        u, v, w = rng.triangular(-1, 0, 1), rng.triangular(-1, 0, 1), rng.uniform(-0.5, 0.5)
        iso = self.isochrones
        fe_h, log_age = _between(iso.fe_h, int(i), u), _between(iso.log_age, int(j), v)
        point = iso.at_phase(fe_h, log_age, iso.eep[k] + w)
        if point is None:
            fe_h, log_age = float(iso.fe_h[i]), float(iso.log_age[j])
            point = iso.at_phase(fe_h, log_age, iso.eep[k])
        if point is None:
            raise ValueError("a cell without a star has a weight")
        age = 10**log_age
        distance = self._distance(point, fe_h, THICK_HEIGHT if thick else float(scale_height(age)), rng)
        av = float(mean_extinction(distance)) * float(np.exp(0.25 * rng.standard_normal()))
        return Draw(point, age, fe_h, _alpha(fe_h, age, thick, rng), thick, distance, av)

    def _distance(self, star: IsochronePoint, fe_h: float, height: float, rng: np.random.Generator) -> float:
        kp = absolute_magnitudes(star.log_l, star.teff, star.log_g, fe_h)["kp"]
        giant = int(star.log_g < GIANT_LOG_G)
        row = int(np.argmin(np.abs(np.asarray(_HEIGHTS) - height)))
        cell = int(np.clip(np.rint((float(kp) - _MAGNITUDES[0]) / 0.25), 0, len(_MAGNITUDES) - 1))
        shift = 10 ** (0.2 * (_MAGNITUDES[cell] - float(kp)))
        return float(shift * np.interp(rng.random(), self._quantiles[giant, row, cell], _DISTANCES))


def _between(axis: FloatArray, index: int, offset: float) -> float:
    """Value `offset` (-1..1) of the way from a node of the axis to its neighbour, within the axis."""
    neighbour = min(max(index + (1 if offset > 0 else -1), 0), len(axis) - 1)
    return float(axis[index] + abs(offset) * (axis[neighbour] - axis[index]))


def _alpha(fe_h: float, age: float, thick: bool, rng: np.random.Generator) -> float:
    mean = 0.25 - 0.10 * (fe_h + 0.5) if thick else 0.01 - 0.12 * min(fe_h, 0.2) + 0.008 * (age - 4)
    return float(np.clip(mean + 0.025 * rng.standard_normal(), -0.1, 0.4))


def _volumes() -> tuple[FloatArray, FloatArray]:
    """(class, height, magnitude) selected volume, and (..., distance) its cumulative distribution."""
    d = _DISTANCES
    apparent = _MAGNITUDES[:, None] + 5 * np.log10(d / 10.0) + KP_OVER_AV * mean_extinction(d)
    shape = (2, len(_HEIGHTS), len(_MAGNITUDES))
    volume, quantiles = np.zeros(shape), np.zeros((*shape, len(d)))
    for c, share in enumerate((SELECTED_DWARFS, SELECTED_GIANTS)):
        chosen = np.interp(apparent, SELECTION_KP, share, left=share[0], right=0.0)
        for h, height in enumerate(_HEIGHTS):
            density = np.exp(-d * SIN_B / height) * d**3 * chosen
            sums = np.cumsum(density, axis=1)
            volume[c, h] = sums[:, -1]
            quantiles[c, h] = sums / np.maximum(sums[:, -1:], 1e-300)
    return volume, quantiles


@cache
def load_population() -> Population:
    """The population that `desa.simulate.population.draw_star` draws from (made once a process)."""
    return Population(load_isochrones())
