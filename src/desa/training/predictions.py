"""What the encoders' heads say of a whole split, for calibration and reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.inference.labels import shown
from desa.models.network import Network
from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.store import Survey

Array = NDArray[np.float64]


@torch.inference_mode()
def spectrum_predictions(model: Network, survey: Survey, split: str) -> tuple[Array, Array]:
    """Quantiles (N, K, Q) and labels (N, K) of every spectrum of a split, in the labels' units."""
    objective = model.settings.objective_spectrum
    quantiles, targets = [], []
    data = SpectrumDataset(survey, split, objective.labels)
    for batch in make_loader(data, 64, shuffle=False, rank=0, world=1):
        moved = batch.to(model.device)
        features = model.spectrum_features(moved.flux, moved.ivar, moved.z, moved.log_wavelength_start)
        quantiles.append(model.spectrum_quantiles(features).cpu())
        targets.append(_targets(batch.labels, objective.labels))
    return _stacked(quantiles, targets, len(objective.labels), len(objective.quantiles))


@torch.inference_mode()
def lightcurve_predictions(model: Network, survey: Survey, split: str) -> tuple[Array, Array]:
    """Quantiles (N, K, Q) and labels (N, K) of every light curve of a split, in the labels' units."""
    objective, length = model.settings.objective_lightcurve, model.settings.preprocess_lightcurve.length
    quantiles, targets = [], []
    data = LightCurveDataset(survey, split, length, labels=objective.labels, crop="best")
    for batch in make_loader(data, 32, shuffle=False, rank=0, world=1):
        moved = batch.to(model.device)
        features = model.lightcurve_features(moved.flux[:, 0], moved.count_rate)
        quantiles.append(model.lightcurve_quantiles(features).cpu())
        targets.append(_targets(batch.labels, objective.labels))
    return _stacked(quantiles, targets, len(objective.labels), len(objective.quantiles))


def periods_of(medians: Array, labels: Sequence[str]) -> Array | None:
    """(N,) rotation periods in days from a head's medians, whether it gives days or their logarithm.

    Parameters
    ----------
    medians
        (N, K).
    labels
        K names; None is given back where neither ``prot`` nor ``log_prot`` is one of them.
    """
    found = dict(shown(label, medians[:, place]) for place, label in enumerate(labels))
    return found.get("prot")


def _targets(labels: dict[str, Tensor], names: Sequence[str]) -> Tensor:
    return torch.stack([labels[name] for name in names], dim=1)


def _stacked(quantiles: list[Tensor], targets: list[Tensor], labels: int, levels: int) -> tuple[Array, Array]:
    if not quantiles:
        return np.zeros((0, labels, levels)), np.zeros((0, labels))
    return torch.cat(quantiles).double().numpy(), torch.cat(targets).double().numpy()
