"""What the telescope, the sky and the pipeline do to a spectrum, on LAMOST's grid, one function an effect."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from desa.simulate.instrument import BACKGROUND_AT_SNR_1, BANDS, WAVE, Instrument
from desa.types import LAMOST_PIXELS

FloatArray = NDArray[np.float64]

NOISE_KERNEL: Final = (0.155, 0.976, 0.155)
"""Resampling couples neighbours: lag-1 correlation 0.30, measured by sixth differences of real files."""


def resolution(rng: np.random.Generator) -> FloatArray:
    """R = wavelength / FWHM, (3909,): near 1800,
    with its own slope in each arm and a level of its own fibre.
    """
    level = 1800.0 * np.exp(0.05 * rng.standard_normal())
    blue = np.clip((WAVE - 3700.0) / 2200.0, 0.0, 1.0)
    red = np.clip((WAVE - 5900.0) / 3200.0, 0.0, 1.0)
    slopes = 0.10 + 0.04 * rng.standard_normal(2)
    arm = 1.0 / (1.0 + np.exp(-(WAVE - 5850.0) / 40.0))
    shape = (1 - arm) * (1 + slopes[0] * (blue - 0.5)) + arm * (1 + slopes[1] * (red - 0.5))
    return np.asarray(np.clip(level * shape, 1300.0, 2450.0))


def flux_calibration(rng: np.random.Generator) -> FloatArray:
    """Factor (3909,) by which the flux calibration is wrong: smooth, with a step and bump where arms join."""
    x = np.linspace(-1.0, 1.0, LAMOST_PIXELS)
    smooth = np.polynomial.legendre.legval(
        x, [0.0, *(0.06 * rng.standard_normal(6) / np.arange(1, 7) ** 0.5)]
    )
    join = rng.uniform(5700.0, 5950.0)
    step = 0.02 * rng.standard_normal() * np.tanh((WAVE - join) / rng.uniform(10.0, 60.0))
    bump = 0.02 * rng.standard_normal() * np.exp(-0.5 * ((WAVE - join) / rng.uniform(20.0, 70.0)) ** 2)
    return np.asarray(np.exp(smooth + step + bump))


def inverse_variance(
    flux: FloatArray, snr_g: float, instrument: Instrument, rng: np.random.Generator
) -> FloatArray:
    """Inverse variance (3909,) of a noise-free spectrum that is to have S/N_g `snr_g`.

    Variance = (photons of the star + background) / response squared; the background is flat but for the sky
    lines that the response holds.
    """
    response = instrument.response(snr_g, rng)
    background = BACKGROUND_AT_SNR_1 / max(snr_g, 1.0) * np.exp(0.5 * rng.standard_normal())
    level = np.maximum(flux, 1e-6 * float(np.max(flux)))
    ivar = response * WAVE / (level + background * _pseudo_continuum(level))
    return np.asarray(ivar * (snr_g / band_snr(flux, ivar)["g"]) ** 2)


def _pseudo_continuum(flux: FloatArray) -> FloatArray:
    """Slow upper envelope (N,): 80th percentiles of 64-pixel blocks, joined by straight lines."""
    edges = np.arange(0, len(flux) + 1, 64)
    centres = (edges[:-1] + edges[1:]) / 2
    blocks = flux[: edges[-1]].reshape(len(centres), 64)
    return np.asarray(np.interp(np.arange(len(flux)), centres, np.percentile(blocks, 80, axis=1)))


def band_snr(flux: FloatArray, ivar: FloatArray) -> dict[str, float]:
    """S/N a pixel by band as the headers' SNRU..SNRZ give it, keys u g r i z;
    NaN for a band without good pixels.
    """
    snr = np.where(ivar > 0, flux * np.sqrt(np.maximum(ivar, 0.0)), np.nan)
    wave = WAVE[: len(flux)]
    result = {}
    for band, (low, high, ratio) in BANDS.items():
        values = snr[(wave > low) & (wave < high)]
        values = values[np.isfinite(values)]
        result[band] = float(np.median(values) / ratio) if len(values) else float("nan")
    return result


def noise(ivar: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Gaussian noise (N,) of variance 1 / ivar, coupled between neighbouring pixels by `NOISE_KERNEL`."""
    kernel = np.asarray(NOISE_KERNEL)
    white = correlate1d(rng.standard_normal(len(ivar)), kernel / np.sqrt((kernel**2).sum()), mode="wrap")
    return np.asarray(white / np.sqrt(ivar))


def sky_residuals(ivar: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Residuals (N,) of imperfect sky subtraction, where the noise itself shows the sky lines."""
    sigma = 1.0 / np.sqrt(ivar)
    local = np.interp(
        np.arange(len(ivar)),
        np.arange(32, len(ivar), 64),
        [np.median(sigma[i : i + 64]) for i in range(0, len(ivar) - 63, 64)],
    )
    excess = np.maximum(sigma - 1.3 * local, 0.0)
    amplitude = 0.5 * rng.standard_normal()
    return np.asarray(amplitude * excess * (WAVE[: len(ivar)] > 5500.0))


def mark_bad_pixels(
    flux: FloatArray, ivar: FloatArray, instrument: Instrument, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, NDArray[np.int32], NDArray[np.int32]]:
    """Flux, ivar, and-mask and or-mask with bad runs put in: ivar is 0 there, bit 0 is raised in some of
    them.

    As in the real files: the and-mask is a part of the or-mask, both a part of ivar = 0; a seventh of the
    bad pixels have zero flux, others hold what is left of a cosmic ray.
    """
    flux, ivar = flux.copy(), ivar.copy()
    and_mask = np.zeros(len(flux), dtype=np.int32)
    or_mask = np.zeros(len(flux), dtype=np.int32)
    sigma = 1.0 / np.sqrt(ivar)
    for run in instrument.bad_pixels(rng):
        ivar[run] = 0.0
        kind = rng.random()
        or_mask[run] = int(kind < 0.49)
        and_mask[run] = int(kind < 0.23)
        if kind < 0.14:
            flux[run] = 0.0
        elif kind > 0.6:
            flux[run] += rng.exponential(8.0) * sigma[run] * rng.random(len(sigma[run]))
    return flux, ivar, and_mask, or_mask


def unmasked_cosmic_rays(flux: FloatArray, ivar: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Flux with the few narrow spikes that the pipeline misses."""
    flux = flux.copy()
    for centre in rng.integers(2, len(flux) - 2, rng.poisson(0.7)):
        height = (5.0 + rng.exponential(10.0)) / np.sqrt(max(float(ivar[centre]), 1e-12))
        flux[centre - 1 : centre + 2] += height * np.array([0.4, 1.0, 0.4])
    return flux


def redshift_error(snr_g: float, teff: float) -> float:
    """Standard error of the pipeline's Z: 3 km/s at best, more for faint and for hot stars."""
    broad = np.clip((teff - 6000.0) / 3000.0, 0.0, 1.0)
    km_s = np.hypot(3.0 + 3.0 * broad, (60.0 + 60.0 * broad) / max(snr_g, 1.0))
    return float(km_s / 299_792.458)
