"""What the readers of spectra share: which pixels can be used, which redshift is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.errors import DamagedFile
from desa.io.damage import MAX_OVER_MEDIAN, check_possible, stuck

Pixels = NDArray[np.float32]

MIN_GOOD = 0.2
"""Least share of good pixels; the emptiest real file at hand has 0.48."""

FASTEST_STAR = 0.01
"""Redshift that no star has."""


def usable_pixels(
    path: str | Path, flux: Pixels, ivar: Pixels, masked: NDArray[np.bool_]
) -> tuple[Pixels, Pixels]:
    """Flux, finite everywhere, and inverse variance, 0 where a pixel is bad.

    Parameters
    ----------
    path
        Named in errors.
    flux, ivar
        (N,) as they are in the file.
    masked
        (N,) pixels that the survey calls bad.

    Raises
    ------
    DamagedFile
        If fewer than `MIN_GOOD` of the pixels are good, hold no flux, or too many hold impossible values.
    """
    sane = _below_limit(np.abs(flux), ivar > 0)
    measured = np.isfinite(flux) & (ivar > 0) & ~masked
    possible = sane & _below_limit(ivar, ivar > 0)
    check_possible(path, possible[measured])
    good = possible & measured
    if measured.any() and np.ptp(flux[measured]) > 0:  # else all are the same, which is said below
        good &= ~stuck(flux)
    if good.mean() < MIN_GOOD:
        raise DamagedFile(path, f"only {int(good.sum())} good pixels of {len(good)}")
    values = flux[good]
    if not values.max() > 0 or values.min() == values.max():
        raise DamagedFile(path, "no flux, or the same in all pixels")
    return np.where(sane, flux, np.float32(0)), np.where(good, ivar, np.float32(0))


def _below_limit(values: Pixels, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Finite values that no damaged byte has blown up."""
    finite = np.isfinite(values)
    typical = np.median(values[finite & measured]) if np.any(finite & measured) else 0.0
    return finite & (values <= MAX_OVER_MEDIAN * typical)


def is_star(object_class: str) -> bool:
    """Whether a survey's pipeline calls an object a star, or says nothing."""
    return object_class in ("STAR", "")


def redshift(z: float, object_class: str) -> float:
    """A redshift where it is one: a star slower than 3000 km/s, or another object's; -9999 is none."""
    possible = abs(z) < FASTEST_STAR if is_star(object_class) else -0.1 < z < 20
    return z if possible else float("nan")
