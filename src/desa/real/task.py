"""What the spectrum encoder is trained on here: labels by quantile loss, from pixels made beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START
from desa.losses import pinball
from desa.models.network import Network
from desa.preprocess.augment import augment
from desa.real.data import LABELS, LabelledSpectra
from desa.simulate.real_continua import MockMaker
from desa.training.loop import step_seed
from desa.training.task import Task

HALF_WEIGHT_SNR = 15.0
"""S/N in g at which a spectrum's labels count half: 1 / (1 + (this / S/N)^2)."""


@dataclass
class PixelBatch:
    """Encoder inputs with labels.

    Parameters
    ----------
    pixels, weights
        (B, P), see `desa.preprocess.spectrum.SpectrumPixels`.
    targets
        (B, K) labels over the objective's scales.
    importance
        (B,) how much each spectrum counts.
    """

    pixels: Tensor
    weights: Tensor
    targets: Tensor
    importance: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def to(self, device: torch.device | str) -> PixelBatch:
        """The same on a device."""
        return PixelBatch(
            *(part.to(device) for part in (self.pixels, self.weights, self.targets, self.importance))
        )

    def take(self, rows: NDArray[np.int64]) -> PixelBatch:
        """Some rows."""
        index = torch.from_numpy(rows)
        return PixelBatch(
            self.pixels[index], self.weights[index], self.targets[index], self.importance[index]
        )


class FitLabels(Task):
    """Quantiles of the labels from the spectrum encoder.

    Parameters
    ----------
    model
        With a spectrum encoder and its head.
    augmented
        Change the spectra at random in every step (`desa.preprocess.augment`).
    """

    name = "labels"

    def __init__(self, model: Network, *, augmented: bool) -> None:
        super().__init__()
        self.model, self.augmented = model, augmented
        self.objective = model.settings.objective_spectrum

    def _quantiles(self, pixels: Tensor, weights: Tensor) -> Tensor:
        features = self.model.require("spectrum_encoder")(pixels, weights)
        # bfloat16 tells labels of 10 scale units apart by 0.06 of them: 40 K.
        with torch.autocast(features.device.type, enabled=False):
            quantiles: Tensor = self.model.require("spectrum_head")(features.float())
        return quantiles

    def training_step(
        self, batch: PixelBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Quantile loss of a batch, and the median's mean absolute error in the labels' scales."""
        pixels, weights = batch.pixels, batch.weights
        if self.augmented:
            pixels, weights = augment(pixels, weights, generator)
        quantiles = self._quantiles(pixels, weights)
        loss = pinball(quantiles, batch.targets, self.objective.quantiles, batch.importance)
        middle = self.objective.quantiles.index(0.5)
        errors = (quantiles[..., middle] - batch.targets).abs().mean(0).detach()
        return loss, {f"mae_{name}": errors[place] for place, name in enumerate(LABELS)}

    def validation_step(
        self, batch: PixelBatch, generator: torch.Generator
    ) -> dict[str, tuple[float, float]]:
        """Quantile loss of a batch, unchanged."""
        quantiles = self._quantiles(batch.pixels, batch.weights)
        loss = pinball(quantiles, batch.targets, self.objective.quantiles, batch.importance)
        return {"loss": (float(loss) * len(batch), float(len(batch)))}


def _pixels(model: Network, flux: Any, ivar: Any, z: Any) -> tuple[Tensor, Tensor]:
    start = torch.full((len(flux),), LAMOST_LOG_WAVELENGTH_START, dtype=torch.float64)
    pixels, weights = model.spectrum_pixels(
        torch.from_numpy(flux), torch.from_numpy(ivar), torch.from_numpy(z), start
    )
    return pixels, weights


def _targets(model: Network, labels: NDArray[np.float64]) -> Tensor:
    scales = np.asarray(model.settings.objective_spectrum.scales)
    return torch.from_numpy((labels[:, : len(LABELS)] / scales).astype(np.float32))


def observed_pixels(model: Network, spectra: LabelledSpectra, batch_size: int = 256) -> PixelBatch:
    """Real spectra through the model's preprocessing, all at once."""
    parts = [
        _pixels(model, *(a[i : i + batch_size] for a in (spectra.flux, spectra.ivar, spectra.z)))
        for i in range(0, len(spectra), batch_size)
    ]
    pixels, weights = (torch.cat(side) for side in zip(*parts, strict=True))
    snr = np.maximum(np.nan_to_num(spectra.snr_g, nan=HALF_WEIGHT_SNR), 1.0)
    importance = torch.from_numpy((1.0 / (1.0 + (HALF_WEIGHT_SNR / snr) ** 2)).astype(np.float32))
    return PixelBatch(pixels, weights, _targets(model, spectra.labels), importance)


def mock_batches(
    model: Network, maker: MockMaker, batch_size: int, seed: int, first: int
) -> Iterator[PixelBatch]:
    """Mock batches without end, from the `first`-th on; each depends on the seed and its number alone."""
    number = first
    while True:
        mock = maker.batch(step_seed(seed, "mock", number), batch_size)
        pixels, weights = _pixels(model, mock.flux, mock.ivar, mock.z)
        yield PixelBatch(pixels, weights, _targets(model, mock.labels), torch.ones(batch_size))
        number += 1


def shuffled_batches(data: PixelBatch, batch_size: int, seed: int, first: int) -> Iterator[PixelBatch]:
    """Batches of the data without end, shuffled anew in each epoch; the last short one is left out."""
    each = max(1, len(data) // batch_size)
    number = first
    while True:
        epoch, place = divmod(number, each)
        order = np.random.default_rng(step_seed(seed, "epoch", epoch)).permutation(len(data))
        yield data.take(order[place * batch_size : (place + 1) * batch_size].astype(np.int64))
        number += 1
