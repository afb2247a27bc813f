"""The continuum of one arm: a polynomial through the pixels that no line reaches."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from desa.preprocess.numeric import row_sum, widest

BELOW = 1.5
"""Pixels this many standard deviations below the fit are taken for absorption lines."""

ABOVE = 3.0
"""Pixels this many standard deviations above the fit are taken for emission or defects."""

RIDGE = 1e-12
"""Added to the diagonal of the normal equations, relative to the number of pixels: keeps them solvable."""


class Basis(NamedTuple):
    """Chebyshev polynomials of one degree at even steps, and how their products add up.

    Parameters
    ----------
    moments
        (2 degree + 1, N) float64, T_0 .. T_(2 degree) from -1 to 1.
    products
        ((degree + 1)^2, 2 degree + 1), from moments to normal matrix: T_i T_j = (T_(i+j) + T_|i-j|) / 2.
    """

    moments: Tensor
    products: Tensor

    @property
    def polynomials(self) -> Tensor:
        """(degree + 1, N)."""
        return self.moments[: len(self.moments) // 2 + 1]


def chebyshev(size: int, degree: int, like: Tensor) -> Basis:
    """The basis at `size` points on the device of `like`."""
    return _chebyshev(size, degree, like.device, widest(like.device))


@lru_cache(maxsize=8)
def _chebyshev(size: int, degree: int, device: torch.device, dtype: torch.dtype) -> Basis:
    """The basis, kept: every batch of a run asks for the same one or two."""
    x = torch.linspace(-1.0, 1.0, size, device=device, dtype=dtype)
    rows = [torch.ones_like(x), x]
    while len(rows) < 2 * degree + 1:
        rows.append((x * rows[-1]).mul_(2.0).sub_(rows[-2]))
    unit = torch.eye(2 * degree + 1, device=x.device, dtype=x.dtype)
    order = torch.arange(degree + 1, device=x.device)
    pairs = unit[order[:, None] + order] + unit[(order[:, None] - order).abs()]
    return Basis(torch.stack(rows[: 2 * degree + 1]), pairs.mul_(0.5).flatten(0, 1))


def fit(values: Tensor, weights: Tensor, basis: Basis) -> Tensor:
    """Weighted least-squares polynomial at every pixel.

    All of it is in float64, so that neither the device, a low matrix-multiplication precision, the number
    of rows nor that of threads changes the result: in float32 each of them chooses another order of adding,
    and a pixel at the edge of the clipping falls to the other side.

    Parameters
    ----------
    values, weights
        (B, N).

    Returns
    -------
    Tensor
        (B, N) like `values`; 0 for a row whose weights are all 0.
    """
    wide, polynomials = basis.moments.dtype, basis.polynomials
    moments = basis.moments @ weights.to(wide).T
    normal = (basis.products @ moments).T.reshape(len(values), len(polynomials), -1)
    normal.diagonal(dim1=1, dim2=2).add_(RIDGE * (moments[:1].T + 1.0))
    right = (polynomials @ (weights * values).to(wide).T).T
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
    basis = chebyshev(flux.shape[1], degree, flux)
    kept, level = good, fit(flux, good, basis)
    for _ in range(iterations - 1):
        residual = flux - level
        square = row_sum(residual.square().mul_(kept))
        sigma = (square / row_sum(kept).clamp_min(1.0)).sqrt_()
        # One band about its middle, so that the residual is read once.
        outside = residual.sub_(0.5 * (ABOVE - BELOW) * sigma).abs_().sub_(0.5 * (ABOVE + BELOW) * sigma)
        kept = outside.le_(0.0).mul_(good)
        level = fit(flux, kept, basis)
    return level
