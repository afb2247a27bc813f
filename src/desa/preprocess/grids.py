"""The two arms' rest-frame pixels, and where they lie among the observed ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.config import SpectrumPreprocessing
from desa.errors import SettingsError
from desa.preprocess.numeric import widest


@dataclass(frozen=True)
class Arm:
    """Rest wavelengths from `low` up to, not including, `high` (Angstrom) in steps of `step` dex."""

    low: float
    high: float
    step: float

    @property
    def log_start(self) -> float:
        """log10 of the first pixel's wavelength."""
        return math.log10(self.low)

    @property
    def pixels(self) -> int:
        """How many there are."""
        return math.ceil(math.log10(self.high / self.low) / self.step - 1e-9)

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """(pixels,) vacuum rest wavelengths in Angstrom."""
        exponents = self.log_start + self.step * np.arange(self.pixels, dtype=np.float64)
        return np.asarray(np.power(10.0, exponents), dtype=np.float64)


def arms(settings: SpectrumPreprocessing) -> tuple[Arm, Arm]:
    """Blue and red arm.

    Raises
    ------
    SettingsError
        If an arm is empty or both don't fit in ``settings.pixels``.
    """
    for name, (low, high) in (("blue", settings.blue), ("red", settings.red)):
        if not 0 < low < high:
            raise SettingsError(f"{name}: ({low}, {high}) must be two growing wavelengths in Angstrom")
    step = settings.log_wavelength_step
    both = Arm(*settings.blue, step), Arm(*settings.red, step)
    needed = both[0].pixels + both[1].pixels
    if needed > settings.pixels:
        raise SettingsError(f"pixels is {settings.pixels}: the two arms need {needed}; make it larger")
    return both


def rest_wavelength(settings: SpectrumPreprocessing) -> NDArray[np.float64]:
    """(arm pixels,) vacuum rest wavelength in Angstrom of the preprocessed pixels before the padding."""
    return np.concatenate([arm.wavelength for arm in arms(settings)])


def observed_position(arms: Sequence[Arm], z: Tensor, log_wavelength_start: Tensor) -> Tensor:
    """Place of rest-frame wavelengths among the observed pixels.

    Both grids have the same step, so that the rest frame, observed / (1 + z), is one shift for all
    pixels of a spectrum.

    Parameters
    ----------
    arms
        A of them, whose first pixels are looked for.
    z
        (B,) redshift; NaN counts as 0.
    log_wavelength_start
        (B,) log10 of the first observed wavelength.

    Returns
    -------
    Tensor
        (B, A) float64 (float32 where the device has nothing wider).
    """
    redshift = torch.nan_to_num(widened(z)).clamp_min(-0.9)
    start = widened(log_wavelength_start) - torch.log10(1.0 + redshift)
    return torch.stack([(arm.log_start - start) / arm.step for arm in arms], dim=1)


def widened(values: Tensor) -> Tensor:
    """Values in float64 where the device has it (Apple's GPUs don't)."""
    return values.to(widest(values.device))
