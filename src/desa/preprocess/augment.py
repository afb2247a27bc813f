"""Random changes to normalised pixels that leave a star's labels as they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from desa.preprocess.spectrum import SURVEY_MEAN, SURVEY_SPREAD

SHIFT = 0.1
"""Standard deviation of the shift, in pixels (69 km/s)."""

NOISE = 0.35
"""Noise is added to half of the spectra: up to this much of what they have."""

MOST_VARIANCE = 4.0
"""Pixels noisier than this (in variance, of standardised pixels) count as this noisy."""

WARP = 0.005
"""Standard deviation of each of `WAVES` cosines that the continuum is multiplied with."""

WAVES = 6

GAPS, GAP_PIXELS = 2, 80
"""Runs of pixels taken away, and the longest such run."""


def augment(pixels: Tensor, weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift, add noise, warp the continuum and take runs of pixels away.

    Parameters
    ----------
    pixels, weights
        (B, P), standardised by the survey's constants, as `desa.preprocess.spectrum` gives them.
    generator
        The source of randomness, on the pixels' device.

    Returns
    -------
    tuple
        Pixels and weights alike; 0 where a run was taken away.
    """
    rows, size = pixels.shape
    device = pixels.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    shift = SHIFT * normal(rows, 1)
    neighbour = torch.where(shift > 0, pixels.roll(1, 1), pixels.roll(-1, 1))
    pixels = pixels.lerp(neighbour, shift.abs().clamp_max(1.0))
    variance = (1.0 / weights.clamp_min(0.05) - 1.0).clamp_max(MOST_VARIANCE)
    amount = NOISE * uniform(rows, 1) * (uniform(rows, 1) < 0.5)
    pixels = pixels + amount * variance.sqrt() * normal(rows, size)
    place = torch.linspace(0.0, math.pi, size, device=device)
    waves = torch.stack([torch.cos(k * place) for k in range(1, WAVES + 1)])
    pixels = pixels + (pixels + SURVEY_MEAN / SURVEY_SPREAD) * (WARP * normal(rows, WAVES) @ waves)
    index = torch.arange(size, device=device)
    for _ in range(GAPS):
        start, length = uniform(rows, 1) * size, uniform(rows, 1) * GAP_PIXELS
        weights = weights * ((index < start) | (index >= start + length))
    return pixels * (weights > 0), weights
