"""Chromospheric filling of line cores, which the LTE grid lacks.

The measure of activity is R'HK, the surface flux that the chromosphere adds to Ca II H and K over sigma
Teff^4 (Noyes et al. 1984, ApJ 279, 763). log R'HK is about -5.1 in the quietest dwarfs, -4.9 in the Sun,
-4.3 in the Pleiades, -4.0 at saturation. The other lines get the share of it that simultaneous observations
of active stars show within a factor of two (Martinez-Arnaiz et al. 2011, MNRAS 414, 2629): H-alpha as much
as K, and each of the calcium triplet a quarter of K.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.types import SPEED_OF_LIGHT

STEFAN_BOLTZMANN: Final = 5.670374e-5
"""erg / s / cm2 / K^4."""

LINES: Final[tuple[tuple[str, float, float, float], ...]] = (
    ("Ca II K", 3934.777, 0.55, 25.0),
    ("Ca II H", 3969.591, 0.45, 25.0),
    ("H alpha", 6564.614, 0.55, 30.0),
    ("Ca II 8498", 8500.36, 0.12, 25.0),
    ("Ca II 8542", 8544.44, 0.14, 25.0),
    ("Ca II 8662", 8664.52, 0.13, 25.0),
)
"""Name, vacuum wavelength [Angstrom], flux over that of H + K, Gaussian sigma of the emission [km/s]."""


def chromospheric_flux(wave: NDArray[np.float64], teff: float, log_r_hk: float) -> NDArray[np.float64]:
    """Surface flux (N,) that the chromosphere adds, erg / s / cm2 / Angstrom; zeros if `log_r_hk` is NaN.

    Parameters
    ----------
    wave
        (N,) vacuum Angstrom, rest frame, constant step in log wavelength.
    teff
        K.
    log_r_hk
        log10 R'HK.
    """
    added = np.zeros_like(wave)
    if not np.isfinite(log_r_hk):
        return added
    total = STEFAN_BOLTZMANN * teff**4 * 10.0**log_r_hk
    width_of_pixel = wave[1] / wave[0] - 1.0
    for _, centre, share, sigma in LINES:
        # Not narrower than the grid's own resolution of 2500, so that the sampled profile keeps its flux.
        s = centre * max(sigma / SPEED_OF_LIGHT, 0.74 * width_of_pixel)
        near = slice(*np.searchsorted(wave, (centre - 6 * s, centre + 6 * s)))
        profile = np.exp(-0.5 * ((wave[near] - centre) / s) ** 2)
        added[near] += share * total * profile / (s * np.sqrt(2.0 * np.pi))
    return added
