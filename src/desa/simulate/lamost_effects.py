"""What the telescope, the sky and the pipeline do to a spectrum, on LAMOST's grid, one function an effect."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from desa.io.lamost import LAMOST_PIXELS
from desa.simulate.instrument import BACKGROUND_AT_SNR_1, BANDS, WAVE, Instrument
from desa.types import SPEED_OF_LIGHT

FloatArray = NDArray[np.float64]

NOISE_KERNEL: Final = (0.07, 1.0, 0.07)
"""Resampling couples neighbours a little: noise of real files by scale, from single pixels to 60."""

NOISE_OVER_IVAR: Final = (
    (3700, 4300, 4900, 5250, 5450, 5700, 5850, 5950, 6100, 6900, 7400, 7700, 7950, 8200, 8600, 9100),
    (0.80, 0.79, 0.76, 0.75, 0.74, 0.72, 0.74, 0.86, 0.87, 0.87, 0.91, 0.89, 0.81, 0.82, 0.75, 0.78),
)  # fmt: skip
"""Wavelengths [Angstrom] and real noise over what ivar says: the files' ivar is a quarter pessimistic."""

RESOLUTION: Final = (
    (3800, 4075, 4225, 4375, 4525, 4700, 4900, 5100, 5325, 5550, 5800, 5950, 6100, 6300, 6550, 7490, 7900,
    8600), (800, 1020, 1170, 1310, 1400, 1515, 1650, 1710, 1710, 1660, 1560, 1420, 1375, 1360, 1530, 1650,
    1640, 1810),
)  # fmt: skip
"""Wavelengths [Angstrom] and the median R of real spectra there."""

VELOCITY_ERROR: Final = (
    (4075, 4225, 4375, 4525, 4700, 4900, 5100, 5325, 5550, 6100, 6300, 6550, 7490, 7900, 8600),
    (-5.0, -3.5, -5.0, -8.0, -7.0, -0.5, -0.8, 3.0, 7.5, 8.0, 9.5, 8.5, 6.0, 4.5, 4.0),
)
"""Wavelengths [Angstrom] and the median velocity [km/s] of real spectra against Z there."""

_BLUE: Final = np.clip((WAVE - 4800.0) / 800.0, -1.2, 1.2)
_RED: Final = np.clip((WAVE - 7500.0) / 1500.0, -1.2, 1.2)


def resolution(rng: np.random.Generator | None = None) -> FloatArray:
    """R = wavelength / FWHM, (3909,), of one fibre; the mean one without `rng`.

    As fitted to 86 real spectra of FGK stars with S/N_g > 100: about 1700 at 5200 Angstrom, falling to 1000
    at 4050; from 1350 to 1800 through the red arm; fibres scatter by a tenth, with a tilt.
    """
    mean: FloatArray = np.interp(WAVE, *RESOLUTION)
    if rng is None:
        return mean
    arm = _red_arm(rng)
    common, blue, red = 0.06 * rng.standard_normal(3)
    tilt_blue, tilt_red = 0.07 * rng.standard_normal(2)
    log_factor = common + (1 - arm) * (1.4 * blue + tilt_blue * _BLUE) + arm * (1.4 * red + tilt_red * _RED)
    return np.asarray(np.clip(mean * np.exp(log_factor), 500.0, 2450.0))


def wavelength_error(rng: np.random.Generator | None = None) -> FloatArray:
    """Velocity (3909,) in km/s by which the wavelength scale is off; the mean one without `rng`.

    It is relative to Z. From the same fits: features near 4600 Angstrom lie 7 km/s to the blue, those near
    6200 9 km/s to the red.
    """
    mean: FloatArray = np.interp(WAVE, *VELOCITY_ERROR)
    if rng is None:
        return mean
    arm = _red_arm(rng)
    tilt, level, slope = rng.standard_normal(3)
    return np.asarray(mean + (1 - arm) * 4.0 * tilt * _BLUE + arm * (5.0 * level + 3.0 * slope * _RED))


def _red_arm(rng: np.random.Generator) -> FloatArray:
    """Share of the red arm in each pixel, (3909,)."""
    return np.asarray(1.0 / (1.0 + np.exp(-(WAVE - rng.uniform(5780.0, 5950.0)) / 25.0)))


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


def noise(ivar: FloatArray, snr_g: float, rng: np.random.Generator) -> FloatArray:
    """Gaussian noise (N,), coupled between neighbouring pixels by `NOISE_KERNEL`.

    Its variance is 1 / ivar but for `NOISE_OVER_IVAR`, by which the files' ivar is off, a little less so the
    brighter the star.
    """
    excess = np.interp(WAVE[: len(ivar)], *NOISE_OVER_IVAR) * np.clip((snr_g / 60.0) ** 0.06, 0.85, 1.15)
    kernel = np.asarray(NOISE_KERNEL)
    white = correlate1d(rng.standard_normal(len(ivar)), kernel / np.sqrt((kernel**2).sum()), mode="wrap")
    return np.asarray(white * excess / np.sqrt(ivar))


def sky_residuals(ivar: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Residuals (N,) of imperfect sky subtraction, where the noise itself shows the sky lines."""
    sigma = 1.0 / np.sqrt(ivar)
    blocks = sigma[: len(sigma) // 64 * 64].reshape(-1, 64)
    local = np.interp(np.arange(len(sigma)), 32.0 + 64.0 * np.arange(len(blocks)), np.median(blocks, axis=1))
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


def empty_red_end(flux: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Flux (N,) with zeros in the last pixels, their ivar as it was, as two files in five have it."""
    flux = flux.copy()
    if rng.random() < 0.4:
        flux[-int(1 + min(rng.exponential(15.0), 60.0)) :] = 0.0
    return flux


def redshift_error(snr_g: float, teff: float) -> float:
    """Standard error of the pipeline's Z: 3 km/s at best, more for faint and for hot stars."""
    broad = np.clip((teff - 6000.0) / 3000.0, 0.0, 1.0)
    km_s = np.hypot(3.0 + 3.0 * broad, (60.0 + 60.0 * broad) / max(snr_g, 1.0))
    return float(km_s / SPEED_OF_LIGHT)
