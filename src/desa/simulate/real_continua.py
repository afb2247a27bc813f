"""Mock spectra for pre-training: the emulator's lines on the continua, noise and masks of real spectra.

No label of a real star is used. An observed spectrum, drawn at random, gives its continuum, its bad
pixels, its redshift and its noise; the lines are of a model with labels drawn independently of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from desa.io.lamost import LAMOST_LOG_WAVELENGTH_STEP
from desa.real.data import LabelledSpectra
from desa.simulate.broadening import GRID_RESOLUTION, PADDED, cropped, extend, sigma_pixels
from desa.simulate.emulator import load_emulator

Array = NDArray[np.float64]

RESOLUTION = (1600.0, 2000.0)
"""Range of the instrument's R = wavelength / FWHM."""

VELOCITY_ERROR = 0.07
"""Standard deviation of the error of z, in pixels (69 km/s)."""


@dataclass(frozen=True, eq=False)
class MockSpectra:
    """Mock spectra in the observed frame, with their true labels.

    Parameters
    ----------
    flux, ivar
        (B, P).
    z
        (B,) the redshift a pipeline would give: the true one but for its error.
    labels
        (B, 4): Teff [K], log g, [Fe/H], [alpha/Fe].
    """

    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    z: Array
    labels: Array


def upper_envelope(flux: NDArray[np.float32], good: NDArray[np.bool_]) -> Array:
    """Smooth curve (N, P) along the top of spectra: a stand-in for their continuum."""
    place = np.arange(flux.shape[1])
    filled = np.stack(
        [np.interp(place, place[ok], row[ok]) for row, ok in zip(flux.astype(float), good, strict=True)]
    )
    top = maximum_filter1d(gaussian_filter1d(filled, 3.0, axis=1), 81, axis=1)
    return np.asarray(gaussian_filter1d(np.maximum(gaussian_filter1d(top, 60.0, axis=1), 0.05), 30.0, axis=1))


def draw_labels(rng: np.random.Generator, count: int) -> Array:
    """Labels (count, 4): half about the Sun's, half all over the emulator's grid (3900-8000 K)."""
    emulator = load_emulator()
    teff = 4000.0 * np.exp(rng.uniform(0.0, np.log(2.0), count))
    teff = np.clip(np.where(rng.random(count) < 0.5, rng.normal(5800.0, 500.0, count), teff), 3900.0, 7990.0)
    low, high = (
        emulator.clip(np.column_stack([teff, np.full(count, edge), np.zeros((count, 2))]))[:, 1]
        for edge in (-10.0, 10.0)
    )
    log_g = np.where(rng.random(count) < 0.6, rng.normal(4.25, 0.25, count), rng.uniform(low, high))
    fe_h = np.where(rng.random(count) < 0.6, rng.normal(-0.2, 0.3, count), rng.uniform(-2.1, 0.5, count))
    trend = np.clip(-0.25 * fe_h + rng.normal(0.0, 0.07, count), -0.05, 0.45)
    alpha_fe = np.where(rng.random(count) < 0.3, rng.uniform(-0.05, 0.45, count), trend)
    return emulator.clip(np.column_stack([teff, log_g, fe_h, alpha_fe]))


class MockMaker:
    """Batches of mock spectra on the continua of given real ones.

    Parameters
    ----------
    spectra
        The real spectra; of them only flux, ivar and z are looked at.
    """

    def __init__(self, spectra: LabelledSpectra) -> None:
        self.good = spectra.ivar > 0
        self.z = np.nan_to_num(spectra.z)
        self.continuum = upper_envelope(spectra.flux, self.good)
        self.noise = self._relative_noise(spectra)

    def _relative_noise(self, spectra: LabelledSpectra) -> Array:
        """(N, P) noise over continuum, smooth over the bad pixels."""
        noise = 1.0 / (np.sqrt(np.where(self.good, spectra.ivar, 1.0)) * self.continuum)
        place = np.arange(noise.shape[1])
        return np.stack(
            [np.interp(place, place[ok], row[ok]) for row, ok in zip(noise, self.good, strict=True)]
        )

    def batch(self, seed: int, size: int) -> MockSpectra:
        """The batch of a seed."""
        rng = np.random.default_rng(seed)
        labels = draw_labels(rng, size)
        donor = rng.integers(0, len(self.z), size)
        lines = self._observed_lines(rng, labels, self.z[donor])
        pixels = lines.shape[1]
        warp = np.polynomial.chebyshev.chebvander(np.linspace(-1.0, 1.0, pixels), 5)
        continuum = self.continuum[donor] * (1.0 + rng.normal(0.0, 0.02, (size, 6)) @ warp.T)
        noise = self.noise[donor] * np.exp(rng.normal(0.0, 0.4, (size, 1)))
        sigma = np.maximum(np.sqrt(np.clip(lines, 0.05, None)) * continuum * noise, 1e-6)
        flux = lines * continuum + sigma * rng.standard_normal(lines.shape)
        ivar = self.good[donor] / sigma**2
        return MockSpectra(flux.astype(np.float32), ivar.astype(np.float32), self.z[donor], labels)

    def _observed_lines(self, rng: np.random.Generator, labels: Array, z: Array) -> Array:
        """Transmission (B, P): broadened by instrument and rotation, shifted by z and its error."""
        size = len(labels)
        variance = sigma_pixels(rng.uniform(*RESOLUTION, size)) ** 2 - sigma_pixels(GRID_RESOLUTION) ** 2
        hot = np.clip((labels[:, 0] - 6000.0) / 1500.0, 0.0, 1.0)
        rotation = np.abs(rng.standard_normal(size)) * (0.1 + 1.3 * hot)
        rotation += np.where(rng.random(size) < 0.15, rng.uniform(0.0, 0.6, size), 0.0)
        shift = rng.normal(0.0, VELOCITY_ERROR, size) + np.log10(1.0 + z) / LAMOST_LOG_WAVELENGTH_STEP
        frequency = np.fft.rfftfreq(PADDED)
        blur = np.exp(-2.0 * np.pi**2 * frequency**2 * (variance + rotation**2)[:, None])
        transfer = blur * np.exp(-2j * np.pi * frequency * shift[:, None])
        lines = load_emulator().transmission(labels).astype(np.float64)
        moved = np.fft.irfft(np.fft.rfft(extend(lines), axis=1) * transfer, n=PADDED, axis=1)
        return cropped(moved, lines.shape[1])
