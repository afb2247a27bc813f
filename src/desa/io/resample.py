"""Any spectrum onto a grid of constant step in log10 wavelength."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from desa.types import Spectrum, SpectrumGrid

MIN_COVERED = 0.99
"""Least share of a pixel that good pixels of the source must cover."""

Array = NDArray[np.float64]


def resampled(spectrum: Spectrum, grid: SpectrumGrid) -> Spectrum:
    """A spectrum on another grid; pixels that it does not cover are bad."""
    flux, ivar = onto_grid(
        spectrum.wavelength, spectrum.flux.astype(np.float64), spectrum.ivar.astype(np.float64), grid
    )
    return replace(
        spectrum,
        flux=flux.astype(np.float32),
        ivar=ivar.astype(np.float32),
        log_wavelength_start=grid.start,
        log_wavelength_step=grid.step,
        or_mask=None,
    )


def fitting(spectrum: Spectrum, grid: SpectrumGrid, resample: bool = False) -> Spectrum:
    """A spectrum as a model that reads a grid may have it.

    Parameters
    ----------
    spectrum
        Given back as it is where the grid holds its pixels.
    grid
        What the model was trained on.
    resample
        Resample other spectra instead of refusing them.

    Raises
    ------
    ModelError
        If the spectrum is on another grid, and `resample` is not set.
    """
    if resample and not grid.holds(spectrum.grid):
        return resampled(spectrum, grid)
    grid.check(spectrum)
    return spectrum


def onto_grid(wavelength: Array, flux: Array, ivar: Array, grid: SpectrumGrid) -> tuple[Array, Array]:
    """Mean flux density and inverse variance in each pixel of a grid.

    A source pixel counts by the share of it that lies in the target (Carnall 2017, arXiv:1705.05165). The
    variance of a mean over pixels of width w with errors s is sum(w^2 s^2) / W^2 over target width W. Where
    the source's pixels are wider than the target's, they are split, each piece with as much less
    information, so that the information of the whole stays what it was.

    Parameters
    ----------
    wavelength
        (M,) Angstrom, in any order.
    flux, ivar
        (M,); ``ivar`` 0 where bad.
    grid
        The new pixels.

    Returns
    -------
    tuple
        Flux and ``ivar``, (size,) each; ``ivar`` 0 where less than `MIN_COVERED` of the pixel has good data.
    """
    finite = np.isfinite(wavelength) & (wavelength > 0)
    order = np.flatnonzero(finite)[np.argsort(wavelength[finite], kind="stable")]
    order = order[np.diff(wavelength[order], prepend=-np.inf) > 0]
    if len(order) < 2:
        return np.zeros(grid.size), np.zeros(grid.size)
    flux, ivar = flux[order], ivar[order]
    good = _informative(ivar)
    source = _edges(np.log(wavelength[order]))
    target = _edges(np.log(10.0) * (grid.start + np.arange(grid.size) * grid.step))
    widths = np.diff(source)
    with np.errstate(all="ignore"):
        variance = np.where(good, 1 / ivar, 0)
        covered = _integral(source, good.astype(np.float64), target)
        mean = _integral(source, np.where(good, flux, 0), target) / covered
        spread = _integral(source, np.where(good, variance * widths, 0), target) / covered**2
        usable = (covered >= MIN_COVERED * np.diff(target)) & (spread > 0)
        return np.where(usable, mean, 0), np.where(usable, 1 / spread, 0)


def _informative(ivar: Array) -> NDArray[np.bool_]:
    """Pixels that say anything beside the others; the rest would drown the running sums in rounding."""
    positive = ivar[ivar > 0]
    return ivar > 1e-8 * np.median(positive) if len(positive) else np.zeros(len(ivar), dtype=bool)


def _edges(centres: Array) -> Array:
    """Edges of pixels (N + 1,) halfway between their centres (N,)."""
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _integral(edges: Array, values: Array, target: Array) -> Array:
    """Integral over each target pixel of a function that is constant in each source pixel, 0 outside."""
    running = np.concatenate([[0.0], np.cumsum(values * np.diff(edges))])
    return np.diff(np.interp(target, edges, running))
