"""Interstellar extinction by the law of Cardelli, Clayton & Mathis (1989, ApJ 345, 245)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike, NDArray

_A_OPTICAL: Final = (1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
_B_OPTICAL: Final = (0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)


def extinction_curve(wave: ArrayLike, rv: float = 3.1) -> NDArray[np.float64]:
    """A(wavelength) / A(V), between 3030 Angstrom and 3.3 micron (eqs. 1 to 3 of the paper).

    Parameters
    ----------
    wave
        Angstrom.
    rv
        A(V) / E(B-V).
    """
    x = 1e4 / np.asarray(wave, dtype=np.float64)
    if np.any((x < 0.3) | (x > 3.3)):
        raise ValueError("the extinction law holds between 3030 and 33333 Angstrom")
    infrared = x**1.61
    y = x - 1.82
    a = np.where(x < 1.1, 0.574 * infrared, polyval(y, _A_OPTICAL))
    b = np.where(x < 1.1, -0.527 * infrared, polyval(y, _B_OPTICAL))
    return np.asarray(a + b / rv)


def redden(flux: ArrayLike, wave: ArrayLike, av: float, rv: float = 3.1) -> NDArray[np.float64]:
    """Flux behind `av` magnitudes of extinction in V."""
    return np.asarray(np.asarray(flux) * np.power(10.0, -0.4 * av * extinction_curve(wave, rv)))
