"""Masked statistics and the length of transforms, the same on every device."""

from __future__ import annotations

import torch
from torch import Tensor

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a Gaussian over its median absolute deviation."""


def fast_length(least: int) -> int:
    """Smallest even 2^a 3^b 5^c that is at least `least`: a length whose FFT is fast everywhere."""
    best = 2
    while best < least:
        best *= 2
    five = 1
    while five < best:
        three = five
        while three < best:
            length = three * 2
            while length < least:
                length *= 2
            best = min(best, length)
            three *= 3
        five *= 5
    return best


def on_cpu(values: Tensor) -> bool:
    """Whether a tensor lives on a CPU."""
    return values.device.type == "cpu"


def masked_median(values: Tensor, good: Tensor) -> Tensor:
    """Lower median of the good values of each row.

    Parameters
    ----------
    values
        (B, L) finite numbers.
    good
        (B, L), 1.0 where the value counts, else 0.0.

    Returns
    -------
    Tensor
        (B, 1); 0 for a row without a good value. An order statistic, so the same bits on every
        device: elsewhere than on a CPU it sorts, as CUDA's `nanmedian` is refused in deterministic mode.
    """
    bad = good == 0
    if on_cpu(values):
        median = torch.nanmedian(values.masked_fill(bad, torch.nan), dim=1, keepdim=True).values
        return torch.nan_to_num(median, nan=0.0)
    ordered = values.masked_fill(bad, torch.inf).sort(dim=1).values
    count = good.sum(dim=1, keepdim=True)
    median = ordered.gather(1, (count.long() - 1).div(2, rounding_mode="floor").clamp_min(0))
    return median.masked_fill(count == 0, 0.0)


def widest(device: torch.device) -> torch.dtype:
    """float64 where the device has it (Apple's GPUs don't), else float32."""
    return torch.float32 if device.type == "mps" else torch.float64


def row_sum(values: Tensor) -> Tensor:
    """(B, L) -> (B, 1), the sum of each row in the rows' own dtype.

    It is added up in float64: the order of the terms depends on the batch's size and the number of threads,
    and in float32 that order would change the last digits and, with them, which pixels are clipped.
    """
    return values.sum(dim=1, keepdim=True, dtype=widest(values.device)).to(values.dtype)


def positive(values: Tensor) -> Tensor:
    """1.0 where positive, else 0.0: several times faster on a CPU than a comparison and a conversion."""
    return values.clone().gt_(0.0)


def safe_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient that is 0 where the denominator is not positive."""
    good = positive(denominator)
    return numerator * good / (denominator * good + (1.0 - good))


def asinh(values: Tensor) -> Tensor:
    """Inverse hyperbolic sine by its logarithm: 1e-7 from `torch.asinh`, which no CPU vectorises."""
    size = values.abs()
    return size.add_(values.square().add_(1.0).sqrt_()).log_().mul_(values.sign())
