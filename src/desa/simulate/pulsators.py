"""Classical pulsators: delta Scuti and gamma Doradus stars.

The instability strips are those of Murphy et al. (2019, MNRAS 485, 2380), who find at most 70 % of the
stars in the middle of the delta Scuti strip to pulsate, and of Dupret et al. (2005, A&A 435, 927) for gamma
Doradus. Pressure modes lie at 5 to 60 cycles a day, higher in hotter and denser stars; gravity modes in
combs of equal period spacing (Li et al. 2020, MNRAS 491, 3586).

Checked: Murphy et al.'s share (its abstract: just over 70 % at most). Not checked against the papers'
texts: the edges of the strips, which are parallels to log g here and functions of luminosity there, and all
amplitudes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.types import KEPLER_CADENCE_DAYS

FloatArray = NDArray[np.float64]

DELTA_SCT: Final = (6750.0, 8600.0)
GAMMA_DOR: Final = (6700.0, 7500.0)
"""Edges in K at log g 4.2; giants' strips lie 250 K a dex cooler."""


def _share(teff: float, log_g: float, edges: tuple[float, float], most: float) -> float:
    """Share of the stars that pulsate: a parabola over the strip."""
    low, high = (edge + 250.0 * (log_g - 4.2) for edge in edges)
    x = (teff - low) / (high - low)
    return most * 4 * x * (1 - x) if 0 < x < 1 else 0.0


def draw_pulsator(teff: float, log_g: float, rng: np.random.Generator) -> str | None:
    """``"delta Sct"``, ``"gamma Dor"``, ``"hybrid"`` or None."""
    draws = rng.random(2)
    if log_g < 3.3:
        return None
    p_modes = draws[0] < _share(teff, log_g, DELTA_SCT, 0.65)
    g_modes = draws[1] < _share(teff, log_g, GAMMA_DOR, 0.6)
    if p_modes and g_modes:
        return "hybrid"
    return "delta Sct" if p_modes else "gamma Dor" if g_modes else None


def _pressure_modes(teff: float, log_g: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    number = int(rng.integers(3, 26))
    centre = 22.0 * 10 ** (0.75 * (log_g - 4.1)) * (teff / 7400.0) ** 3
    frequency = np.clip(centre * np.exp(0.35 * rng.standard_normal(number)), 4.5, 75.0)
    highest = 10 ** rng.normal(2.9, 0.55)
    amplitude = highest * np.sort(rng.power(0.6, number))[::-1]
    return frequency, amplitude


def _gravity_modes(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    number = int(rng.integers(8, 31))
    first = rng.uniform(0.35, 0.9)
    spacing = rng.uniform(400.0, 2800.0) / 86400.0
    periods = first + spacing * np.arange(number) * (1 - rng.uniform(0.0, 0.015) * np.arange(number))
    amplitude = 10 ** rng.normal(2.7, 0.45) * rng.lognormal(-1.0, 0.8, number)
    amplitude *= np.exp(-0.5 * ((np.arange(number) - number / 2) / (number / 4)) ** 2)
    return 1.0 / np.maximum(periods, 0.2), amplitude


def pulsation(time: FloatArray, kind: str, teff: float, log_g: float, rng: np.random.Generator) -> FloatArray:
    """Relative flux (L,) of the pulsation, averaged over each half hour.

    Parameters
    ----------
    time
        (L,) days.
    kind
        From `draw_pulsator`.
    teff, log_g
        K, dex.
    rng
        Source of frequencies, amplitudes and phases.
    """
    modes = []
    if kind in ("delta Sct", "hybrid"):
        modes.append(_pressure_modes(teff, log_g, rng))
    if kind in ("gamma Dor", "hybrid"):
        modes.append(_gravity_modes(rng))
    frequency = np.concatenate([m[0] for m in modes])
    amplitude = 1e-6 * np.concatenate([m[1] for m in modes]) * np.sinc(frequency * KEPLER_CADENCE_DAYS)
    phase = rng.random(len(frequency))
    flux = np.zeros_like(time)
    for f, a, p in zip(frequency, amplitude, phase, strict=True):
        turns = f * time + p
        flux += a * np.sin(2 * np.pi * (turns - np.floor(turns))).astype(np.float32)
    return flux
