"""Hiding pixels for masked filling."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from desa.config import Objective


class Masked(NamedTuple):
    """A spectrum with hidden pixels.

    Parameters
    ----------
    pixels
        (B, P) the input with its hidden pixels replaced.
    hidden
        (B, P) bool, True where a good pixel was replaced: what the decoder must fill in.
    """

    pixels: Tensor
    hidden: Tensor


def mask_pixels(pixels: Tensor, valid: Tensor, objective: Objective, generator: torch.Generator) -> Masked:
    """Hide a random part of the good pixels.

    Runs of ``mask_span`` pixels start at random, so many that each pixel is hidden with probability
    ``mask_fraction``. A share ``mask_zero_share`` of the runs is set to 0, the others pixel by pixel to
    uniform random values between the least and the greatest good pixel of the same spectrum. Bad
    pixels are neither hidden nor do they set the bounds.

    Parameters
    ----------
    pixels
        (B, P).
    valid
        (B, P) bool, True where good.
    objective
        `mask_fraction`, `mask_span` and `mask_zero_share`.
    generator
        Draws on its own device: a CPU generator gives the same masks on every device.
    """
    rows, size = pixels.shape
    shape = (3, rows, size + objective.mask_span - 1)
    draws = torch.rand(shape, generator=generator, device=generator.device).to(pixels.device)
    run = first_of_run(draws[0], objective)
    hidden = (run >= 0) & valid
    zero = draws[1].gather(1, run.clamp_min(0)) < objective.mask_zero_share
    least = pixels.masked_fill(~valid, torch.inf).amin(dim=1, keepdim=True)
    greatest = pixels.masked_fill(~valid, -torch.inf).amax(dim=1, keepdim=True)
    values = torch.nan_to_num(least + draws[2, :, :size].to(pixels.dtype) * (greatest - least))
    return Masked(torch.where(hidden, values.masked_fill(zero, 0.0), pixels), hidden)


def first_of_run(draws: Tensor, objective: Objective) -> Tensor:
    """First pixel of the run that each pixel is in, -1 where it is in none.

    A pixel starts a run of ``mask_span`` with probability p, 1 - (1 - p)^span = fraction, so that
    each pixel is in one with probability `fraction`. Where runs overlap, the later one counts.

    Parameters
    ----------
    draws
        (B, span - 1 + P) uniform in [0, 1): runs may start before the spectrum.

    Returns
    -------
    Tensor
        (B, P) places among `draws`.
    """
    span = objective.mask_span
    starts = draws < 1.0 - (1.0 - objective.mask_fraction) ** (1.0 / span)
    place = torch.arange(draws.shape[1], device=draws.device)
    last = place.expand_as(draws).masked_fill(~starts, -span).cummax(dim=1).values
    return last.masked_fill(place - last >= span, -1)[:, span - 1 :]
