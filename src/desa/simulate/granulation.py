"""Granulation and solar-like oscillations, drawn in Fourier space.

Granulation: two components of equal amplitude with spectra 1 / (1 + (nu/b)^4) (Kallinger et al. 2014, A&A
570, A41): a = 3382 numax^-0.609 ppm, b = 0.317 numax^0.970 and 0.948 numax^0.992 uHz, power xi a^2 / b each
with xi = 2 sqrt(2) / pi. Oscillations: a Gaussian envelope of height 2.03e7 numax^-2.38 ppm^2/uHz and width
0.28 numax^0.88 (same paper) over modes of degree 0 to 3 at the asymptotic frequencies (epsilon and small
separations of Corsaro et al. 2012, ApJ 757, 190), each a Lorentzian. In red giants the dipole modes are
mixed with gravity modes; their spacing tells core helium burning (about 300 s) from the branch (about 75 s;
Mosser et al. 2014, A&A 572, L5). Half-hour integrations damp everything by sinc^2, and what lies above the
Nyquist frequency folds back.

Checked against other people's public codes that cite the same paper: the granulation's a, b and xi. Not
checked against the papers' texts: the envelope's height and width, epsilon, the visibilities, the mixed
modes' coupling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from desa.types import KEPLER_CADENCE_DAYS

FloatArray = NDArray[np.float64]

CADENCE_S: Final = KEPLER_CADENCE_DAYS * 86400.0
INTEGRATION_S: Final = 1765.5
NYQUIST: Final = 0.5e6 / CADENCE_S
"""uHz."""
XI: Final = 2.0 * np.sqrt(2.0) / np.pi
VISIBILITY: Final = (1.0, 1.5, 0.55, 0.07)
"""Power of degrees 0 to 3 relative to radial modes."""
SMALLEST_NUMAX: Final = 1.0


@dataclass(frozen=True)
class Oscillator:
    """What sets a star's granulation and oscillations: uHz, K, and whether its core burns helium."""

    numax: float
    dnu: float
    teff: float
    log_g: float
    helium_core: bool = False


def attenuation(frequency: FloatArray) -> FloatArray:
    """Power that an integration of half an hour leaves at a frequency in uHz."""
    return np.asarray(np.sinc(frequency * 1e-6 * INTEGRATION_S) ** 2)


def _folded(frequency: FloatArray) -> FloatArray:
    """Where frequencies [uHz] appear below the Nyquist frequency."""
    turns = np.mod(frequency, 2 * NYQUIST)
    return np.asarray(np.minimum(turns, 2 * NYQUIST - turns))


def granulation_power(frequency: FloatArray, numax: float) -> FloatArray:
    """Power density (N,) in ppm^2/uHz of the granulation, before any instrument."""
    a = 3382.0 * numax**-0.609
    power = np.zeros_like(frequency)
    for b in (0.317 * numax**0.970, 0.948 * numax**0.992):
        squared = (frequency / b) ** 2
        power += XI * a**2 / b / (1.0 + squared * squared)
    return power


def mode_frequencies(star: Oscillator, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """(frequencies in uHz, their share of the power) of the modes around numax."""
    width = 0.28 * star.numax**0.88
    epsilon = (0.634 + 0.63 * np.log10(star.dnu)) if star.log_g < 3.6 else 1.4
    epsilon += 0.03 * rng.standard_normal()
    order = np.arange(
        int((star.numax - 3 * width) / star.dnu - epsilon), int((star.numax + 3 * width) / star.dnu)
    )
    order = order[order >= 1]
    small = 0.123 * star.dnu + 0.05
    radial = star.dnu * (order + epsilon)
    dipole = radial + star.dnu * 0.5 - 0.02 * star.dnu
    parts: list[tuple[FloatArray, FloatArray | float]] = [
        (radial, VISIBILITY[0]),
        (radial - small, VISIBILITY[2]),
        (dipole - 0.2 * star.dnu, VISIBILITY[3]),
    ]
    if star.log_g < 3.5:
        parts += [mixed_modes(p, star, VISIBILITY[1]) for p in dipole]
    else:
        parts.append((dipole, VISIBILITY[1]))
    frequency = np.concatenate([np.atleast_1d(f) for f, _ in parts])
    share = np.concatenate([np.broadcast_to(s, np.shape(np.atleast_1d(f))) for f, s in parts])
    share = share * np.exp(-0.5 * ((frequency - star.numax) / width) ** 2)
    good = (frequency > 0) & (share > 0)
    return frequency[good], share[good] / max(float(share[good].sum()), 1e-30)


def mixed_modes(pressure: float, star: Oscillator, visibility: float) -> tuple[FloatArray, FloatArray]:
    """Dipole modes around one pressure mode, and their power: nu = nu_p + Dnu/pi arctan(q tan(pi (1/(nu DPi)
    - 1/2))) (Mosser et al. 2012, A&A 540, A143), with power by the share that lives in the envelope.
    """
    spacing, coupling = (300.0, 0.25) if star.helium_core else (50.0 + 2.4 * star.dnu, 0.16)
    low, high = pressure - 0.4 * star.dnu, pressure + 0.4 * star.dnu
    grid = np.linspace(max(low, 0.3), high, 1500)
    theta = np.pi * (1e6 / (grid * spacing) - 0.5)
    gap = grid - pressure - star.dnu / np.pi * np.arctan(coupling * np.tan(theta))
    crossing = np.flatnonzero((gap[:-1] < 0) & (gap[1:] >= 0) & (np.abs(np.diff(gap)) < 0.5 * star.dnu))
    if not len(crossing) or len(crossing) > 60:
        return np.array([pressure]), np.array([visibility])
    found = grid[crossing]
    share = 1.0 / (1.0 + ((found - pressure) / (0.08 * star.dnu * np.sqrt(coupling / 0.16))) ** 2)
    return found, visibility * share / share.sum()


def _oscillation_power(n: int, resolution: float, star: Oscillator, rng: np.random.Generator) -> FloatArray:
    """(n,) ppm^2/uHz on multiples of `resolution`, damped and folded."""
    power = np.zeros(n)
    envelope = 0.28 * star.numax**0.88
    variance = 2.03e7 * star.numax**-2.38 * envelope * np.sqrt(2 * np.pi)
    variance *= float(np.clip((6800.0 - star.teff) / 500.0, 0.0, 1.0))
    if variance <= 0 or star.numax > 3.5 * NYQUIST:
        return power
    frequency, share = mode_frequencies(star, rng)
    linewidth = max(0.1 * np.exp((star.teff - 4800.0) / 420.0), 0.05)
    seen = variance * share * attenuation(frequency)
    for centre, height in zip(_folded(frequency), seen, strict=True):
        low = max(int((centre - 25 * linewidth) / resolution), 1)
        high = min(int((centre + 25 * linewidth) / resolution) + 2, n)
        x = (np.arange(low, high) * resolution - centre) / (0.5 * linewidth)
        power[low:high] += height / (np.pi * 0.5 * linewidth) / (1.0 + x * x)
    return power


@lru_cache(maxsize=8)
def _attenuated_folds(n: int, resolution: float) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """(frequencies, attenuation) of the first four folds of a grid; the same for all stars of a length."""
    frequency = np.arange(n) * resolution
    folds = []
    for fold in range(4):
        high = np.asarray(fold * NYQUIST + (frequency if fold % 2 == 0 else NYQUIST - frequency))
        folds.append((high, attenuation(high)))
    return tuple(folds)


def stellar_power(n: int, resolution: float, star: Oscillator, rng: np.random.Generator) -> FloatArray:
    """(n,) power density in ppm^2/uHz at multiples of `resolution` [uHz], as Kepler samples it."""
    numax = max(star.numax, SMALLEST_NUMAX)
    power = np.zeros(n)
    # Little of slow granulation lies beyond the first fold.
    folds = _attenuated_folds(n, resolution)[: 2 if numax < 150.0 else 4]
    for frequency, damping in folds:
        power += granulation_power(frequency, numax) * damping
    if star.numax >= SMALLEST_NUMAX:
        power += _oscillation_power(n, resolution, star, rng)
    return power


def noise_from_power(
    length: int, star: Oscillator | None, extra: FloatArray | None, rng: np.random.Generator
) -> FloatArray:
    """A stretch (length,) of Gaussian noise in ppm.

    Parameters
    ----------
    length
        Number of cadences.
    star
        Its granulation and oscillations; None for none.
    extra
        More power at the same frequencies, see `frequencies_of`; None for none.
    rng
        Source of the Fourier coefficients.
    """
    full = fft.next_fast_len(length, real=True)
    n = full // 2 + 1
    resolution = 1e6 / (full * CADENCE_S)
    power = stellar_power(n, resolution, star, rng) if star is not None else np.zeros(n)
    if extra is not None:
        power = power + extra
    power[0] = 0.0
    amplitude = np.sqrt(power * resolution).astype(np.float32)
    random = rng.standard_normal((2, n), dtype=np.float32)
    spectrum = amplitude * (random[0] + 1j * random[1])
    scale = full / 2.0
    return np.asarray(fft.irfft(spectrum, full)[:length] * scale, dtype=np.float64)


def frequencies_of(length: int) -> FloatArray:
    """Frequencies in uHz that `noise_from_power` uses for a length."""
    full = fft.next_fast_len(length, real=True)
    return np.asarray(np.arange(full // 2 + 1) * 1e6 / (full * CADENCE_S))
