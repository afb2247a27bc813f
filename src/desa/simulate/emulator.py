"""Model spectra at any stellar labels, from the components that `scripts/build_emulator.py` made.

The grid is 1121 line-by-line LTE spectra (Turbospectrum; Plez 2012, ascl:1205.004; Gerber et al. 2023,
A&A 669, A43) at R = 2500 on LAMOST's pixels. The transmission (flux over continuum), the log continuum and
the log flux in 20 Angstrom bins ("SED") are each a mean, principal components, and coefficients that are a
cubic polynomial of (5040 K / Teff, log g, [Fe/H], [alpha/Fe]) plus a Matern-3/2 kernel on its residuals.

Held-out error (8-fold cross-validation over the grid, printed by the script): transmission above 4000
Angstrom 0.12 % rms in the median (0.08 % above 4800 K, 0.25 % below), 0.56 % at the 90th percentile, 0.24 %
in the median below 4000 Angstrom; continuum 0.4 % in the median, 1.2 % at the 90th percentile; SED the same.

Known faults of the grid: LTE, plane-parallel and without a chromosphere; no VO, CaH, FeH; one isotope stands
for all TiO; missing weak lines make the flux 7-11 % too high below 4500 Angstrom in the Sun; [C/N] of giants
says nothing about mass; above 8000 K there is no model, so hotter stars get the spectrum at 8000 K.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

POLYNOMIAL_DEGREE: Final = 3
KERNEL_SCALES: Final = (1.0, 0.6, 0.8, 0.4)
KERNEL_LENGTH: Final = 2.5


def standardised(labels: ArrayLike, mean: ArrayLike, scale: ArrayLike) -> FloatArray:
    """Coordinates (B, 4) in which spectra vary smoothly, from labels (B, 4): Teff, log g, [Fe/H],
    [alpha/Fe].
    """
    values = np.asarray(labels, dtype=np.float64)
    coordinates = np.column_stack([5040.0 / values[:, 0], values[:, 1:4]])
    return np.asarray((coordinates - np.asarray(mean)) / np.asarray(scale))


@cache
def _exponents() -> tuple[tuple[int, ...], ...]:
    every = itertools.product(range(POLYNOMIAL_DEGREE + 1), repeat=4)
    return tuple(e for e in every if sum(e) <= POLYNOMIAL_DEGREE)


def polynomial_terms(x: FloatArray) -> FloatArray:
    """All 35 monomials up to the third degree, (B, 35), of standardised coordinates (B, 4)."""
    powers = x[:, None, :] ** np.arange(POLYNOMIAL_DEGREE + 1, dtype=np.float64)[None, :, None]
    return np.stack(
        [
            powers[:, a, 0] * powers[:, b, 1] * powers[:, c, 2] * powers[:, d, 3]
            for a, b, c, d in _exponents()
        ],
        axis=1,
    )


def matern(x: FloatArray, y: FloatArray) -> FloatArray:
    """Matern-3/2 kernel (1 + r) exp(-r), (B, N), r = sqrt(3) x distance / `KERNEL_LENGTH` between (B,
    4) and (N, 4).
    """
    a, b = x * np.asarray(KERNEL_SCALES), y * np.asarray(KERNEL_SCALES)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2.0 * a @ b.T
    r = np.sqrt(3.0 * np.maximum(squared, 0.0)) / KERNEL_LENGTH
    return np.asarray((1.0 + r) * np.exp(-r))


@dataclass(frozen=True, eq=False)
class Components:
    """Mean (P,), components (K, P) and the regression to their coefficients: polynomial (35, K),
    kernel (N, K).
    """

    mean: NDArray[np.float32]
    vectors: NDArray[np.float32]
    polynomial: NDArray[np.float64]
    kernel: NDArray[np.float64]

    def evaluate(self, terms: FloatArray, similarities: FloatArray) -> NDArray[np.float32]:
        """Values (B, P)."""
        coefficients = terms @ self.polynomial + similarities @ self.kernel
        return np.asarray(self.mean + coefficients.astype(np.float32) @ self.vectors)

    @classmethod
    def from_arrays(cls, arrays: Any, prefix: str) -> Components:
        """Read the four arrays named `prefix`_mean, ... out of an npz file."""
        return cls(
            arrays[f"{prefix}_mean"].astype(np.float32),
            arrays[f"{prefix}_vectors"].astype(np.float32),
            arrays[f"{prefix}_polynomial"].astype(np.float64),
            arrays[f"{prefix}_kernel"].astype(np.float64),
        )


class SpectrumEmulator:
    """Spectra at R = 2500 (Gaussian), rest frame, vacuum, for Teff 3500-8000 K, dwarfs to giants.

    Labels are rows of Teff [K], log g [dex, cgs], [Fe/H] and [alpha/Fe] [dex]. Labels off the grid are moved
    to its edge: see `clip`.

    Parameters
    ----------
    arrays
        An opened npz file (or mapping) as `scripts/build_emulator.py` writes it.

    Attributes
    ----------
    wave
        (3909,) vacuum Angstrom: LAMOST's pixels, 10**(3.5682 + 1e-4 i).
    sed_edges
        (370,) edges of the SED's bins in vacuum Angstrom, 3260-10640.
    """

    def __init__(self, arrays: Any) -> None:
        self.wave: FloatArray = arrays["wave"].astype(np.float64)
        self.sed_edges: FloatArray = arrays["sed_edges"].astype(np.float64)
        self._mean = arrays["coordinate_mean"].astype(np.float64)
        self._scale = arrays["coordinate_scale"].astype(np.float64)
        self._nodes = standardised(arrays["labels"].astype(np.float64), self._mean, self._scale)
        self._low = arrays["labels"].astype(np.float64).min(0)
        self._high = arrays["labels"].astype(np.float64).max(0)
        self._bounds = arrays["log_g_bounds"].astype(np.float64)
        self._transmission = Components.from_arrays(arrays, "transmission")
        self._continuum = Components.from_arrays(arrays, "continuum")
        self._sed = Components.from_arrays(arrays, "sed")

    def clip(self, labels: ArrayLike) -> FloatArray:
        """Labels (B, 4) moved into the grid: its box, and the range of log g that it holds at each Teff."""
        values = np.clip(np.atleast_2d(np.asarray(labels, dtype=np.float64)), self._low, self._high)
        teff, low, high = self._bounds
        values[:, 1] = np.clip(
            values[:, 1], np.interp(values[:, 0], teff, low), np.interp(values[:, 0], teff, high)
        )
        return values

    def inside(self, labels: ArrayLike) -> NDArray[np.bool_]:
        """(B,) True where the labels need no clipping."""
        values = np.atleast_2d(np.asarray(labels, dtype=np.float64))
        return np.asarray(np.all(np.isclose(values, self.clip(values)), axis=1))

    def transmission(self, labels: ArrayLike) -> NDArray[np.float32]:
        """Flux over continuum, (B, 3909), between 0 and 1."""
        return np.clip(self._transmission.evaluate(*self._weights(labels)), 0.0, 1.0)

    def continuum(self, labels: ArrayLike) -> NDArray[np.float32]:
        """Surface flux without lines, (B, 3909), erg / s / cm2 / Angstrom."""
        return np.exp(self._continuum.evaluate(*self._weights(labels)))

    def flux(self, labels: ArrayLike) -> NDArray[np.float32]:
        """Surface flux, (B, 3909), erg / s / cm2 / Angstrom;
        its integral over all wavelengths is sigma Teff^4.
        """
        weights = self._weights(labels)
        lines = np.clip(self._transmission.evaluate(*weights), 0.0, 1.0)
        return lines * np.exp(self._continuum.evaluate(*weights))

    def sed(self, labels: ArrayLike) -> NDArray[np.float32]:
        """Mean surface flux in the bins of `sed_edges`, (B, 369), erg / s / cm2 / Angstrom."""
        return np.exp(self._sed.evaluate(*self._weights(labels)))

    def _weights(self, labels: ArrayLike) -> tuple[FloatArray, FloatArray]:
        x = standardised(self.clip(labels), self._mean, self._scale)
        return polynomial_terms(x), matern(x, self._nodes)


@cache
def load_emulator() -> SpectrumEmulator:
    """The emulator shipped with desa (read once a process)."""
    path = resources.files("desa.simulate") / "data" / "spectrum_emulator.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
        return SpectrumEmulator(dict(arrays))
