"""The continuum of one arm: a polynomial through the pixels that no line reaches."""

from __future__ import annotations

import torch
from torch import Tensor

from desa.preprocess.grids import widened
from desa.preprocess.numeric import safe_ratio

BELOW = 1.5
"""Pixels this many standard deviations below the fit are taken for absorption lines."""

ABOVE = 3.0
"""Pixels this many standard deviations above the fit are taken for emission or defects."""

RIDGE = 1e-9
"""Added to the diagonal of the normal equations, relative to the number of pixels: keeps them solvable."""


def chebyshev(size: int, count: int, like: Tensor) -> Tensor:
    """(count, size) Chebyshev polynomials T_0 .. T_(count-1) at `size` even steps from -1 to 1."""
    x = torch.linspace(-1.0, 1.0, size, device=like.device, dtype=like.dtype)
    rows = [torch.ones_like(x), x]
    while len(rows) < count:
        rows.append(2.0 * x * rows[-1] - rows[-2])
    return torch.stack(rows[:count])


def fit(values: Tensor, weights: Tensor, basis: Tensor, degree: int) -> Tensor:
    """Weighted least-squares polynomial at every pixel.

    The normal matrix comes from the moments of the weights, by T_i T_j = (T_(i+j) + T_|i-j|) / 2.
    Sums and solution are in float64, so that neither the device nor a low matrix-multiplication
    precision changes the result.

    Parameters
    ----------
    values, weights
        (B, N) float32.
    basis
        (2 degree + 1 or more, N) float64 from `chebyshev`.

    Returns
    -------
    Tensor
        (B, N) float32; 0 for a row whose weights are all 0.
    """
    order = torch.arange(degree + 1, device=values.device)
    moments = (basis @ weights.to(basis.dtype).T).T
    normal = 0.5 * (moments[:, order[:, None] + order] + moments[:, (order[:, None] - order).abs()])
    normal.diagonal(dim1=1, dim2=2).add_(RIDGE * (moments[:, :1] + 1.0))
    polynomials = basis[: degree + 1]
    right = (polynomials @ (weights * values).to(basis.dtype).T).T
    coefficients: Tensor = torch.linalg.solve_ex(normal, right).result
    return (coefficients @ polynomials).to(values.dtype)


def continuum(flux: Tensor, good: Tensor, degree: int, iterations: int) -> Tensor:
    """Mask-weighted polynomial continuum with asymmetric clipping.

    There are `iterations` fits. After each but the last, the good pixels between `BELOW` and `ABOVE`
    standard deviations of the residuals are kept for the next one; the clipping is judged anew each
    time, on all good pixels.

    Parameters
    ----------
    flux, good
        (B, N) float32, flux of order 1; 1.0 in `good` where the pixel is good, else 0.0.

    Returns
    -------
    Tensor
        (B, N) float32.
    """
    basis = chebyshev(flux.shape[1], max(2 * degree + 1, 2), widened(flux[:0]))
    kept, level = good, fit(flux, good, basis, degree)
    for _ in range(iterations - 1):
        residual = flux - level
        variance = safe_ratio((residual.square() * kept).sum(1, keepdim=True), kept.sum(1, keepdim=True))
        sigma = variance.sqrt()
        kept = (residual + BELOW * sigma).ge_(0.0).mul_(good)
        kept.mul_((ABOVE * sigma - residual).ge_(0.0))
        level = fit(flux, kept, basis, degree)
    return level
