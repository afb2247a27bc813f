"""Gaia, Kepler and V magnitudes of stars, from MIST's bolometric corrections.

The table (`scripts/build_photometry.py`) is synthetic photometry of the MIST models (Choi et al. 2016, ApJ
823, 102; Dotter 2016, ApJS 222, 8): Gaia EDR3 G, BP, RP, Kepler Kp and Bessell V in the Vega system, with
extinction.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RegularGridInterpolator

FloatArray = NDArray[np.float64]

SUN_M_BOL: Final = 4.74
"""Absolute bolometric magnitude of the Sun (IAU 2015 Resolution B2)."""


class BolometricCorrections:
    """Linear interpolation in log Teff, log g, [Fe/H] and A_V; values off the table are moved to its edge.

    Parameters
    ----------
    arrays
        An opened npz file (or mapping) as `scripts/build_photometry.py` writes it.

    Attributes
    ----------
    bands
        ``("g", "bp", "rp", "kp", "v")``.
    """

    def __init__(self, arrays: Any) -> None:
        axes = [arrays[f"axis_{name}"].astype(np.float64) for name in ("teff", "log_g", "fe_h", "av")]
        axes[0] = np.log10(axes[0])
        self.bands: tuple[str, ...] = tuple(str(band) for band in arrays["bands"])
        self._low = np.array([a[0] for a in axes])
        self._high = np.array([a[-1] for a in axes])
        self._table = RegularGridInterpolator(axes, arrays["corrections"].astype(np.float64))

    def __call__(
        self, teff: ArrayLike, log_g: ArrayLike, fe_h: ArrayLike, av: ArrayLike = 0.0
    ) -> dict[str, FloatArray]:
        """Corrections by band, of the arguments' common shape: M_band = M_bol - correction,
        reddened by `av`.
        """
        columns = np.broadcast_arrays(np.log10(np.asarray(teff, dtype=np.float64)), log_g, fe_h, av)
        points = np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=-1)
        values = self._table(np.clip(points, self._low, self._high)).reshape(*points.shape[:-1], -1)
        return {band: values[..., i] for i, band in enumerate(self.bands)}


@cache
def load_bolometric_corrections() -> BolometricCorrections:
    """The table shipped with desa (read once a process)."""
    path = resources.files("desa.simulate") / "data" / "bolometric_corrections.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
        return BolometricCorrections(dict(arrays))


def absolute_magnitudes(
    log_l: ArrayLike, teff: ArrayLike, log_g: ArrayLike, fe_h: ArrayLike, av: ArrayLike = 0.0
) -> dict[str, FloatArray]:
    """Absolute magnitudes by band (keys g bp rp kp v), dimmed by `av` magnitudes of extinction in V.

    Parameters
    ----------
    log_l
        log10 of the luminosity in solar ones.
    teff, log_g, fe_h
        K and dex.
    av
        Magnitudes; 0 gives the intrinsic M_G and colours.
    """
    bolometric = SUN_M_BOL - 2.5 * np.asarray(log_l, dtype=np.float64)
    corrections = load_bolometric_corrections()(teff, log_g, fe_h, av)
    return {band: np.asarray(bolometric - value) for band, value in corrections.items()}


def combined_magnitude(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Magnitude of two sources seen as one; NaN in `second` means that there is none."""
    one = np.power(10.0, -0.4 * np.asarray(first, dtype=np.float64))
    two = np.power(10.0, -0.4 * np.asarray(second, dtype=np.float64))
    return np.asarray(-2.5 * np.log10(one + np.where(np.isfinite(two), two, 0.0)))
