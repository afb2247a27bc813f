"""Typed objects to the tensors that preprocessing reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from desa.types import LightCurve, Spectrum, best_window


def lightcurve_tensor(items: Sequence[LightCurve], length: int) -> Tensor:
    """(B, length) relative flux, NaN in gaps and beyond a shorter one: the windows with most good samples."""
    flux = np.full((len(items), length), np.nan, dtype=np.float32)
    for row, item in enumerate(items):
        window = item.flux[best_window(item.flux, length)]
        flux[row, : len(window)] = window
    return torch.from_numpy(flux)


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
