"""Tasks that train a head on a model: binaries and ages."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from desa.benchmark.embed import Aligner
from desa.benchmark.material import Material
from desa.benchmark.outcome import Outcome
from desa.benchmark.tasks.ages import ages as tune_ages
from desa.benchmark.tasks.binaries import CLASSES
from desa.benchmark.tasks.binaries import binaries as tune_binaries
from desa.evaluation.metrics import regression_scores
from desa.models.finetuned import Features, FineTuning, Head

UNSEEN_KINDS = ("wide",)
"""Companions that leave no trace in light curve or spectrum: their stars take no part."""

FITTED = ("train", "valid")
"""Splits that a model without early stopping is fitted on."""


def binary_label(material: Material) -> NDArray[np.float64]:
    """(N,) 1 with a companion that data can show, 0 without any, NaN where unknown or unseen."""
    label = material.inputs.label("binary")
    unseen = np.isin(material.inputs.text_label("binary_kind"), UNSEEN_KINDS)
    return np.where(unseen, np.nan, label)


def _features(material: Material, unfreeze: bool) -> tuple[Features, Aligner | None]:
    """What the head reads: the halves that the model gives, or features and the model to train along."""
    if not unfreeze:
        return Features(torch.from_numpy(material.head), None), None
    spectrum, lightcurve = (
        torch.from_numpy(x) for x in (material.inputs.star_spectrum, material.inputs.star_lightcurve)
    )
    return Features(spectrum, lightcurve, material.prior), material.aligner()


def _settings(head: Head, unfreeze: bool, **others: Any) -> FineTuning:
    """Sizes of the benchmark: quick ones, the same for every model."""
    if unfreeze:
        others |= {"epochs": 4, "patience": 2, "batch_size": 128}
    elif head == "transformer":
        # With a hundred steps, as of large batches, it does no better than chance.
        others |= {"width": 16, "blocks": 1, "epochs": 30, "patience": 6, "batch_size": 32}
        others |= {"learning_rate": 3e-3}
    return FineTuning(head=head, unfreeze=unfreeze, **others)


def binaries(material: Material, head: Head = "auto", unfreeze: bool = False) -> Outcome:
    """Binary or not: accuracy, F1, AUC, average precision; the AUC of each kind against single stars."""
    features, aligner = _features(material, unfreeze)
    scores, arrays = tune_binaries(
        features,
        binary_label(material),
        material.inputs.text_label("binary_kind"),
        material.inputs.split,
        aligner=aligner,
        variants={"binary": _settings(head, unfreeze, classes=CLASSES)},
        seed=material.seed,
    )
    return Outcome(scores, arrays)


def ages(material: Material, head: Head = "auto", unfreeze: bool = False) -> Outcome:
    """Age in Gyr with conformal intervals: MAE, RMSE, R2, coverage; by Teff."""
    features, aligner = _features(material, unfreeze)
    scores, arrays = tune_ages(
        features,
        material.inputs.label("age"),
        material.inputs.label("teff"),
        material.inputs.split,
        aligner=aligner,
        variants={"age": _settings(head, unfreeze)},
        seed=material.seed,
    )
    return Outcome(scores, arrays)


def age_limits(material: Material) -> Outcome:
    """Age in Gyr by gradient boosting, the same for embeddings, catalogue labels and true parameters.

    Of a handful of parameters boosted trees make more than the heads of `ages` do, so that what they give is
    nearer to what there is to be had.

    Raises
    ------
    ValueError
        If the survey has none of the columns that a reference reads.
    """
    inputs, features = material.inputs, material.head
    if not features.shape[1]:
        raise ValueError("the survey has none of the columns that this reference reads")
    label = inputs.label("age")
    train, test = ((np.isin(inputs.split, parts) & np.isfinite(label)) for parts in (FITTED, ("test",)))
    model = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=150,
        learning_rate=0.05,
        min_samples_leaf=10,
        random_state=material.seed,
    ).fit(features[train], label[train])
    found = model.predict(features[test])
    scores = regression_scores("age_limits", "age", label[test], found, label[train], seed=material.seed)
    return Outcome(scores, {"age/truth": label[test], "age/predicted": found})
