"""Hiding pixels of a spectrum, for pre-training by filling them in."""

from __future__ import annotations

import torch
from torch import Tensor

from desa.config import Objective


def mask_pixels(
    pixels: Tensor, good: Tensor, objective: Objective, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Hide a share of each spectrum's good pixels.

    Of the hidden pixels a share is set to 0, the rest to random values between that spectrum's own least and
    largest pixel (the published code took the first batch's bounds for ever).

    Parameters
    ----------
    pixels
        (B, P) normalised pixels.
    good
        (B, P) True where there is a pixel; no other is hidden.
    objective
        ``mask_fraction``, ``mask_span`` (pixels hidden together) and ``mask_zero_share``.
    generator
        Source of randomness, on the pixels' device.

    Returns
    -------
    tuple of Tensor
        What the encoder sees, (B, P), and the mask, (B, P) True where hidden.
    """
    batch, size = pixels.shape
    span = objective.mask_span

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=pixels.device, dtype=pixels.dtype)

    groups = -(-size // span)
    shift = int(torch.randint(span, (1,), generator=generator, device=pixels.device)) if span > 1 else 0
    chosen = (uniform(batch, groups + 1) < objective.mask_fraction).repeat_interleave(span, dim=1)
    hidden = chosen[:, shift : shift + size] & good
    to_zero = (uniform(batch, groups + 1) < objective.mask_zero_share).repeat_interleave(span, dim=1)
    low, high = pixels.amin(1, keepdim=True), pixels.amax(1, keepdim=True)
    fill = torch.where(
        to_zero[:, shift : shift + size], torch.zeros_like(pixels), low + (high - low) * uniform(batch, size)
    )
    return torch.where(hidden, fill, pixels), hidden
