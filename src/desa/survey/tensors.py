"""What a loader gives: arrays of a batch, as they are in the survey."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.config import SpectrumPreprocessing
from desa.io.resample import fitting
from desa.preprocess.published import count_rate_of
from desa.types import LightCurve, Spectrum, SpectrumGrid, best_window

DEFAULT_GRID = SpectrumPreprocessing().grid
"""The pixels that models read unless their settings say otherwise."""

Labels = dict[str, Tensor]
Move = Callable[[Tensor], Tensor]


def _labels_to(labels: Labels, move: Move) -> Labels:
    return {name: move(values) for name, values in labels.items()}


def _given_to(tensor: Tensor | None, move: Move) -> Tensor | None:
    return None if tensor is None else move(tensor)


@dataclass
class LightCurveBatch:
    """Crops of light curves.

    Parameters
    ----------
    flux
        (B, V, L) float32 relative flux, NaN in gaps and beyond the ends; V crops ("views") of each.
    labels
        (B,) float32 by name, NaN where missing.
    star
        (B,) int64 row in the survey's star table.
    row
        (B,) int64 row of the light curve in the survey.
    count_rate
        (B,) electrons a second that a relative flux of 1 stands for, NaN where unknown.
    """

    flux: Tensor
    labels: Labels
    star: Tensor
    row: Tensor | None = None
    count_rate: Tensor | None = None

    @classmethod
    def of(cls, curves: Sequence[LightCurve], length: int, rates: bool = False) -> LightCurveBatch:
        """A batch of light curves in memory: of each the window with most good samples.

        Parameters
        ----------
        curves
            B light curves.
        length
            Samples of the window.
        rates
            Tell the count rates too, which only the published preprocessing wants.
        """
        flux = np.full((len(curves), 1, length), np.nan, dtype=np.float32)
        for place, curve in enumerate(curves):
            window = curve.flux[best_window(curve.flux, length)]
            flux[place, 0, : len(window)] = window
        given = torch.tensor([count_rate_of(curve) for curve in curves]) if rates else None
        return cls(torch.from_numpy(flux), {}, torch.arange(len(curves)), count_rate=given)

    def __len__(self) -> int:
        return len(self.star)

    def _map(self, move: Move) -> LightCurveBatch:
        return LightCurveBatch(
            flux=move(self.flux),
            labels=_labels_to(self.labels, move),
            star=move(self.star),
            row=_given_to(self.row, move),
            count_rate=_given_to(self.count_rate, move),
        )

    def to(self, device: torch.device | str) -> LightCurveBatch:
        """The same on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> LightCurveBatch:
        """The same in page-locked memory, from which copies to a GPU need not be waited for."""
        return self._map(Tensor.pin_memory)


@dataclass
class SpectrumBatch:
    """Spectra as observed.

    Parameters
    ----------
    flux, ivar
        (B, N) float32; pixels that a spectrum lacks at its red end have ivar 0.
    z
        (B,) float64, NaN where unknown.
    log_wavelength_start
        (B,) float64, log10 Angstrom.
    snr_g
        (B,) float32, NaN where unknown.
    helio_rv
        (B,) float32 km/s, the header's HELIO_RV, NaN where unknown.
    labels, star, row
        As in `LightCurveBatch`.
    """

    flux: Tensor
    ivar: Tensor
    z: Tensor
    log_wavelength_start: Tensor
    snr_g: Tensor
    labels: Labels
    star: Tensor
    row: Tensor | None = None
    helio_rv: Tensor | None = None

    @classmethod
    def of(
        cls, spectra: Sequence[Spectrum], grid: SpectrumGrid = DEFAULT_GRID, resample: bool = False
    ) -> SpectrumBatch:
        """A batch of B spectra in memory; other arguments and errors as of `desa.io.resample.fitting`."""
        spectra = [fitting(item, grid, resample) for item in spectra]

        def column(values: Sequence[float], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype)

        return cls(
            flux=padded([item.flux for item in spectra], grid.size),
            ivar=padded([item.ivar for item in spectra], grid.size),
            z=column([item.z for item in spectra], torch.float64),
            log_wavelength_start=column([item.log_wavelength_start for item in spectra], torch.float64),
            snr_g=column([item.snr.get("g", math.nan) for item in spectra], torch.float32),
            labels={},
            star=torch.arange(len(spectra)),
            helio_rv=column([item.meta.get("helio_rv", math.nan) for item in spectra], torch.float32),
        )

    def __len__(self) -> int:
        return len(self.star)

    def _map(self, move: Move) -> SpectrumBatch:
        return SpectrumBatch(
            flux=move(self.flux),
            ivar=move(self.ivar),
            z=move(self.z),
            log_wavelength_start=move(self.log_wavelength_start),
            snr_g=move(self.snr_g),
            labels=_labels_to(self.labels, move),
            star=move(self.star),
            row=_given_to(self.row, move),
            helio_rv=_given_to(self.helio_rv, move),
        )

    def to(self, device: torch.device | str) -> SpectrumBatch:
        """The same on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> SpectrumBatch:
        """The same in page-locked memory."""
        return self._map(Tensor.pin_memory)


def padded(arrays: Sequence[NDArray[np.float32]], size: int) -> Tensor:
    """(B, size) float32, zero beyond the red end of the shorter ones."""
    full = np.zeros((len(arrays), size), dtype=np.float32)
    for place, values in enumerate(arrays):
        full[place, : len(values)] = values
    return torch.from_numpy(full)


@dataclass
class PairBatch:
    """The same stars by light curve and by spectrum."""

    lightcurve: LightCurveBatch
    spectrum: SpectrumBatch

    def __len__(self) -> int:
        return len(self.star)

    @property
    def labels(self) -> Labels:
        """(B,) float32 by name, NaN where missing."""
        return self.spectrum.labels

    @property
    def star(self) -> Tensor:
        """(B,) int64 row in the survey's star table."""
        return self.spectrum.star

    def to(self, device: torch.device | str) -> PairBatch:
        """The same on a device."""
        return PairBatch(self.lightcurve.to(device), self.spectrum.to(device))

    def pin_memory(self) -> PairBatch:
        """The same in page-locked memory."""
        return PairBatch(self.lightcurve.pin_memory(), self.spectrum.pin_memory())
