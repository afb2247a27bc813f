"""Typed objects to the tensors that preprocessing reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.types import LightCurve, Spectrum


def best_window(flux: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The window with most good samples (the first such); padded with NaN at its end if shorter."""
    if len(flux) <= length:
        return np.pad(flux, (0, length - len(flux)), constant_values=np.nan)
    good = np.concatenate([[0], np.cumsum(np.isfinite(flux))])
    start = int(np.argmax(good[length:] - good[:-length]))
    return flux[start : start + length]


def lightcurve_tensor(items: Sequence[LightCurve], length: int) -> Tensor:
    """(B, length) relative flux, NaN in gaps: each star's window with most good samples."""
    return torch.from_numpy(np.stack([best_window(item.flux, length) for item in items]).astype(np.float32))


def spectrum_tensors(items: Sequence[Spectrum]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Flux and ivar (B, N) zero-padded at the red end, z (B,), log_wavelength_start (B,)."""
    size = max(len(item) for item in items)
    flux, ivar = np.zeros((2, len(items), size), dtype=np.float32)
    for row, item in enumerate(items):
        flux[row, : len(item)] = item.flux
        ivar[row, : len(item)] = item.ivar
    z = torch.tensor([item.z for item in items], dtype=torch.float64)
    start = torch.tensor([item.log_wavelength_start for item in items], dtype=torch.float64)
    return torch.from_numpy(flux), torch.from_numpy(ivar), z, start
