"""Line broadening and Doppler shifts on LAMOST's grid, where a velocity is a constant number of pixels.

Everything is done in Fourier space: a rotation profile, a Gaussian and a shift are products there, so a
sampled kernel narrower than a pixel keeps its exact width, and the sum over pixels is kept exactly.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import j1

from desa.io.lamost import LAMOST_LOG_WAVELENGTH_STEP
from desa.types import SPEED_OF_LIGHT

FloatArray = NDArray[np.float64]

PIXEL_VELOCITY: Final = SPEED_OF_LIGHT * LAMOST_LOG_WAVELENGTH_STEP * float(np.log(10.0))
"""km/s a pixel: 69.03."""

PADDED: Final = 4096
"""Samples that a spectrum is extended to, so that nothing runs off the edge or wraps round into it."""

GRID_RESOLUTION: Final = 2500.0
"""R = wavelength / FWHM of the emulator's spectra."""

_SIGMA_OF_FWHM: Final = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))


def sigma_pixels(resolution: ArrayLike) -> FloatArray:
    """Standard deviation, in pixels, of a Gaussian line of resolving power R = wavelength / FWHM."""
    pixels = 1.0 / (np.asarray(resolution, dtype=np.float64) * LAMOST_LOG_WAVELENGTH_STEP * np.log(10.0))
    return np.asarray(pixels * _SIGMA_OF_FWHM)


def extend(flux: FloatArray) -> FloatArray:
    """Extend spectra (..., N) to (..., `PADDED`): mirrored at both ends, then blended where the ends meet.

    More than 90 pixels (6000 km/s) are added on each side. The inner half of each is the spectrum's mirror
    image, scaled to go on with the slope of the ends; the outer halves fade into each other, so that the
    periodic Fourier transform sees no step.
    """
    n = flux.shape[-1]
    left = (PADDED - n) // 2
    right = PADDED - n - left
    low = 2.0 * flux[..., :1] - flux[..., left:0:-1]
    high = 2.0 * flux[..., -1:] - flux[..., -2 : -2 - right : -1]
    fade_low = np.clip(np.linspace(0.0, 2.0, left), 0.0, 1.0)
    fade_high = fade_low[::-1] if left == right else np.clip(np.linspace(2.0, 0.0, right), 0.0, 1.0)
    middle = 0.5 * (flux[..., :1] + flux[..., -1:])
    low = middle + fade_low * (low - middle)
    high = middle + fade_high * (high - middle)
    return np.concatenate([low, flux, high], axis=-1)


def cropped(extended: FloatArray, n: int) -> FloatArray:
    """Undo `extend`: the inner `n` samples."""
    left = (PADDED - n) // 2
    return extended[..., left : left + n]


def rotation_transfer(vsini: float, limb_darkening: float = 0.6, size: int = PADDED) -> FloatArray:
    """Fourier transform of the rotation profile at the `rfft` frequencies of `size` samples; 1 at zero.

    Gray (2005, The Observation and Analysis of Stellar Photospheres, eq. 18.14) for a sphere in rigid
    rotation with linear limb darkening: (1 - u) ellipse + u parabola, whose transforms are J1 and j1
    (spherical).

    Parameters
    ----------
    vsini
        Projected equatorial velocity, km/s.
    limb_darkening
        u, between 0 and 1.
    """
    x = 2.0 * np.pi * np.fft.rfftfreq(size) * (vsini / PIXEL_VELOCITY)
    # The closed forms lose their digits near zero; the series are good to 1e-9 there.
    small, y = x < 0.03, np.maximum(x, 0.03)
    ellipse = np.where(small, 1.0 - x**2 / 8.0 + x**4 / 192.0, 2.0 * j1(y) / y)
    parabola = np.where(small, 1.0 - x**2 / 10.0 + x**4 / 280.0, 3.0 * (np.sin(y) - y * np.cos(y)) / y**3)
    weight = np.array([1.0 - limb_darkening, limb_darkening * 2.0 / 3.0])
    weight /= weight.sum()
    return np.asarray(weight[0] * ellipse + weight[1] * parabola)


def shift_transfer(velocity: float, size: int = PADDED) -> NDArray[np.complex128]:
    """Fourier transform of a Doppler shift by `velocity` km/s (positive: to the red)."""
    pixels = np.log10(doppler(velocity)) / LAMOST_LOG_WAVELENGTH_STEP
    return np.asarray(np.exp(-2j * np.pi * np.fft.rfftfreq(size) * pixels))


def gaussian_transfer(variance: float, size: int = PADDED) -> FloatArray:
    """Fourier transform of a Gaussian of `variance` square pixels."""
    return np.asarray(np.exp(-2.0 * np.pi**2 * np.fft.rfftfreq(size) ** 2 * variance))


def doppler(velocity: float) -> float:
    """Observed over emitted wavelength, 1 + v / c, as LAMOST's Z uses it (v in km/s, not relativistic)."""
    return 1.0 + velocity / SPEED_OF_LIGHT


def broaden(flux: FloatArray, *, vsini: float = 0.0, velocity: float = 0.0) -> FloatArray:
    """Rotate and shift spectra (..., N) on the LAMOST grid; the sum over the extended grid is kept."""
    transfer = shift_transfer(velocity)
    if vsini > 0:
        transfer = transfer * rotation_transfer(vsini)
    moved = np.fft.irfft(np.fft.rfft(extend(flux), axis=-1) * transfer, n=PADDED, axis=-1)
    return cropped(moved, flux.shape[-1])


def degrade(flux: FloatArray, resolution: FloatArray, start: float = GRID_RESOLUTION) -> FloatArray:
    """Blur a spectrum (N,) of resolving power `start` to `resolution`, (N,), which may vary with wavelength.

    Two blurs are mixed at each pixel so that the variance of the mixed kernel is the wanted one. Nothing is
    sharpened: where `resolution` exceeds `start` the spectrum stays as it is.
    """
    wanted = np.maximum(sigma_pixels(resolution) ** 2 - sigma_pixels(start) ** 2, 0.0)
    nodes = np.linspace(wanted.min(), wanted.max() + 1e-9, 3)
    transform = np.fft.rfft(extend(flux))
    blurred = np.stack(
        [np.fft.irfft(transform * gaussian_transfer(v), n=PADDED) for v in nodes],
    )
    blurred = cropped(blurred, flux.shape[-1])
    place = (wanted - nodes[0]) / (nodes[1] - nodes[0])
    below = np.minimum(place.astype(np.intp), len(nodes) - 2)
    share = place - below
    pixel = np.arange(flux.shape[-1])
    return np.asarray((1.0 - share) * blurred[below, pixel] + share * blurred[below + 1, pixel])


def displaced(flux: FloatArray, velocity: FloatArray) -> FloatArray:
    """Spectrum (N,) whose features move by `velocity` km/s, (N,), slowly varying and below a pixel or so.

    Lagrange interpolation through six pixels: meant for spectra that are well sampled, R below 2000.
    """
    n = flux.shape[-1]
    shift = np.asarray(velocity) / PIXEL_VELOCITY
    place = np.arange(n) - shift
    base = np.floor(place).astype(np.intp)
    t = place - base
    offsets = np.arange(-2, 4)
    result = np.zeros(n)
    for k in offsets:
        weight = np.ones(n)
        for m in offsets[offsets != k]:
            weight *= (t - m) / (k - m)
        result += weight * flux[np.clip(base + k, 0, n - 1)]
    return result
