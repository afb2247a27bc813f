"""Calibration of a spectrum head on all labelled stars, each predicted by a twin that has not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.conformal_groups import calibrate_by_group
from desa.errors import SettingsError
from desa.inference.encode import split_quantiles
from desa.models.network import Network
from desa.survey.store import Survey
from desa.training.folds import Fold


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of the spectra of a survey by models that have not learned from their stars.

    Parameters
    ----------
    quantiles, targets
        (N, K, Q) and (N, K), in the labels' units.
    snr
        (N,) in g.
    fold
        (N,) number of the fold.
    """

    quantiles: NDArray[np.float64]
    targets: NDArray[np.float64]
    snr: NDArray[np.float64]
    fold: NDArray[np.int64]


def out_of_fold(twins: Sequence[Network], survey: Survey) -> OutOfFold:
    """Predict each fold's stars by its twin.

    Parameters
    ----------
    twins
        Models trained with ``--fold 1/K`` to ``K/K``, in any order.
    survey
        The real survey that they were trained on.

    Raises
    ------
    SettingsError
        If they are not the K twins of K folds of this survey.
    """
    folds = [Fold.of(str(twin.metadata.get("fold", "all"))) for twin in twins]
    if sorted(fold.number for fold in folds) != list(range(1, len(folds) + 1)) or any(
        fold.count != len(folds) for fold in folds
    ):
        told = ", ".join(str(fold) for fold in folds) or "none"
        raise SettingsError(f"the models must be of all folds, each once: 1/K to K/K; these are of {told}")
    parts: list[tuple[NDArray[Any], ...]] = []
    for fold, twin in zip(folds, twins, strict=True):
        own = fold.split(survey)
        learned = {facts["survey"] for facts in twin.metadata.get("surveys", [])}
        if own.identity not in learned:
            raise SettingsError(f"the model of fold {fold} was not trained on {survey.path}")
        quantiles, targets = split_quantiles(twin, own, "spectrum", "test")
        inside = own.split[own.spectrum_star] == "test"
        snr = own.spectrum_column("snr_g")[inside].astype(np.float64)
        parts.append((quantiles, targets, snr, np.full(len(snr), fold.number)))
    return OutOfFold(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def cross_calibrate(model: Network, twins: Sequence[Network], survey: Survey) -> int:
    """Calibrate a model trained on all stars by its twins; the number of spectra that did."""
    found = out_of_fold(twins, survey)
    objective = model.settings.objective_spectrum
    calibration = calibrate_by_group(
        found.quantiles, found.targets, objective.quantiles, objective.labels, found.snr
    )
    stars = f"{survey.kind} stars, each by one of {len(twins)} models that had not seen it"
    model.calibration["spectrum"] = {**calibration, "stars": stars, "survey": survey.identity}
    return len(found.snr)
