"""Cosmic rays in one-dimensional spectra."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

SIGNIFICANCE = 6.0
"""Standard deviations of the pixel's own noise."""

SHARPNESS = 0.6
"""Least share of the peak's height by which it tops its neighbours.

A spectral line can't be sharper than the instrument's profile: with the 2.4 pixels (full width at
half maximum) of LAMOST's low resolution the neighbours of an emission line's peak have 0.6 of its height, so
that it tops them by 0.45 of its height over the pixels two away."""


def cosmic_rays(flux: Tensor, variance: Tensor, good: Tensor) -> Tensor:
    """Isolated positive pixels beyond the noise.

    Parameters
    ----------
    flux, variance, good
        (B, N); 1.0 in `good` where the pixel is good.

    Returns
    -------
    Tensor
        (B, N) bool. A pixel without a good neighbour on either side is never one.
    """
    bad = good == 0
    lowest = torch.finfo(flux.dtype).min / 4
    padded = pad(flux.masked_fill(bad, lowest), (2, 2), value=lowest)
    size = flux.shape[1]
    far_left, left, _, right, far_right = (padded[:, i : i + size] for i in range(5))
    beside = torch.maximum(left, right)
    base = torch.minimum(torch.maximum(far_left, far_right), beside)
    excess = flux - beside
    found = (excess.square() > SIGNIFICANCE**2 * variance) & (excess > SHARPNESS * (flux - base))
    return found & (excess > 0) & (beside > lowest) & ~bad
