"""What a loader gives: arrays of a batch, as they are in the survey."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from desa.preprocess.published import counts_of

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
    magnitude
        (B,) float32, Kepler magnitude, NaN where unknown.
    """

    flux: Tensor
    labels: Labels
    star: Tensor
    row: Tensor | None = None
    magnitude: Tensor | None = None

    def __len__(self) -> int:
        return len(self.star)

    @property
    def count_rate(self) -> Tensor | None:
        """(B,) electrons a second that a relative flux of 1 stands for, by the magnitude."""
        return None if self.magnitude is None else counts_of(self.magnitude)

    def _map(self, move: Move) -> LightCurveBatch:
        return LightCurveBatch(
            flux=move(self.flux),
            labels=_labels_to(self.labels, move),
            star=move(self.star),
            row=_given_to(self.row, move),
            magnitude=_given_to(self.magnitude, move),
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
        (B,) float32, NaN where unknown.
    log_wavelength_start
        (B,) float64, log10 Angstrom.
    snr_g
        (B,) float32, NaN where unknown.
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
        )

    def to(self, device: torch.device | str) -> SpectrumBatch:
        """The same on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> SpectrumBatch:
        """The same in page-locked memory."""
        return self._map(Tensor.pin_memory)


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
