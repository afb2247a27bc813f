"""Light curves as they were if the star turned slower or faster."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def stretches(count: int, largest: float, share: float, generator: torch.Generator) -> Tensor:
    """(count,) factors: of a `share` of them log-uniform in [1 / largest, largest], else exactly 1."""
    drawn = torch.rand(2, count, generator=generator, device=generator.device)
    factor = torch.exp((2.0 * drawn[0] - 1.0) * math.log(largest))
    return torch.where(drawn[1] < share, factor, torch.ones_like(factor))


def stretch(flux: Tensor, factor: Tensor) -> Tensor:
    """Light curves whose time runs slower.

    Parameters
    ----------
    flux
        (B, ..., L), NaN in gaps.
    factor
        (B,), by which every period becomes longer; 1 leaves a row as it is, bit for bit.

    Returns
    -------
    Tensor
        (B, ..., L), linear between samples; NaN next to a gap and beyond the end of what there was.
    """
    length = flux.shape[-1]
    place = torch.arange(length, device=flux.device, dtype=torch.float64) / factor.double()[:, None]
    left = place.floor().long()
    part = (place - left).to(flux.dtype)
    inside = place <= length - 1
    left = left.clamp(max=length - 1)
    shape = (len(flux), *[1] * (flux.ndim - 2), length)
    left, part, inside = left.view(shape), part.view(shape), inside.view(shape)
    low = flux.gather(-1, left.expand(flux.shape))
    high = flux.gather(-1, (left + 1).clamp(max=length - 1).expand(flux.shape))
    mixed = torch.where(part > 0, torch.lerp(low, high, part), low)
    return torch.where(inside, mixed, torch.full_like(mixed, torch.nan))
