"""Cosmic rays in one-dimensional spectra."""

from __future__ import annotations

import torch
from torch import Tensor

SIGNIFICANCE = 6.0
"""Standard deviations of the pixel's own noise."""

SHARPNESS = 0.6
"""Least share of the peak's height by which it tops its neighbours.

A spectral line can't be sharper than the instrument's profile: with the 2.4 pixels (full width at
half maximum) of LAMOST's low resolution the neighbours of an emission line's peak have 0.6 of its height, so
that it tops them by 0.45 of its height over the pixels two away."""


REACH = 2
"""How far the neighbours are that a pixel is compared with."""

ABSENT = 1e15
"""Minus this stands for a bad pixel: below any flux."""


def cosmic_rays(planes: Tensor) -> Tensor:
    """Isolated positive pixels beyond the noise.

    Parameters
    ----------
    planes
        (3, B, REACH + N + REACH) float32: flux of order 1, its variance, 1.0 where good; 0 where bad and
        in the margins.

    Returns
    -------
    Tensor
        (B, N), 1.0 at a cosmic ray, else 0.0. A pixel without a good neighbour one pixel away and
        two pixels away can't be judged and is none.
    """
    size = planes.shape[2] - 2 * REACH
    flux = torch.add(planes[0], planes[2] - 1.0, alpha=ABSENT)
    far_left, left, here, right, far_right = (flux[:, i : i + size] for i in range(2 * REACH + 1))
    beside = torch.maximum(left, right)
    base = torch.minimum(torch.maximum(far_left, far_right), beside)
    sharp = torch.lerp(here, base, SHARPNESS).sub_(beside)
    excess = beside.neg_().add_(here)
    beyond = excess.mul_(excess.abs()).sub_(planes[1, :, REACH:-REACH], alpha=SIGNIFICANCE**2)
    return torch.minimum(sharp, beyond).minimum(base.add_(0.5 * ABSENT)).gt_(0.0)
