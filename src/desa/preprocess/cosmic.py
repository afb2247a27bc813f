"""Cosmic rays in one-dimensional spectra."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from desa.preprocess.numeric import positive

SIGNIFICANCE = 6.0
"""Standard deviations of the pixel's own noise."""

SHARPNESS = 0.6
"""Least share of the peak's height by which it tops its neighbours.

A spectral line can't be sharper than the instrument's profile: with the 2.4 pixels (full width at
half maximum) of LAMOST's low resolution the neighbours of an emission line's peak have 0.6 of its height, so
that it tops them by 0.45 of its height over the pixels two away."""


ABSENT = -1e15
"""Stands for a bad neighbour: below any flux."""


def cosmic_rays(flux: Tensor, variance: Tensor, good: Tensor) -> Tensor:
    """Isolated positive pixels beyond the noise.

    Parameters
    ----------
    flux, variance, good
        (B, N) float32, flux of order 1 and 0 where bad; 1.0 in `good` where the pixel is good.

    Returns
    -------
    Tensor
        (B, N), 1.0 at a cosmic ray, else 0.0. A pixel without a good neighbour one pixel away and
        two pixels away can't be judged and is none.
    """
    size = flux.shape[1]
    padded = pad(flux + (1.0 - good) * ABSENT, (2, 2), value=ABSENT)
    far_left, left, _, right, far_right = (padded[:, i : i + size] for i in range(5))
    beside = torch.maximum(left, right)
    base = torch.minimum(torch.maximum(far_left, far_right), beside)
    excess = flux - beside
    beyond_noise = positive(excess * excess.abs() - SIGNIFICANCE**2 * variance)
    sharp = positive(excess - SHARPNESS * (flux - base))
    judged = positive(base - 0.5 * ABSENT)
    return beyond_noise * sharp * judged * good
