"""Which stars are binaries: fine-tuned heads, ROC and precision-recall curves, and each kind of binary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve
from torch import nn

from desa.evaluation.metrics import LEAST, auc, bootstrap
from desa.evaluation.score import Score
from desa.finetune.head import fine_tune
from desa.models.finetuned import Features, FineTuning

TASK, CLASSES = "binaries", ("single", "binary")

SMALL: dict[str, Any] = {"width": 16, "blocks": 1, "learning_rate": 3e-3, "epochs": 20, "patience": 4}
"""Sizes of the transformer that suit some thousand stars and a laptop."""

VARIANTS: Mapping[str, FineTuning] = {
    "light head": FineTuning(classes=CLASSES),
    "light head, unfrozen": FineTuning(classes=CLASSES, head="linear", unfreeze=True, epochs=20, patience=4),
    "transformer": FineTuning(classes=CLASSES, head="transformer", **SMALL),
    "transformer, unfrozen": FineTuning(classes=CLASSES, head="transformer", unfreeze=True, **SMALL),
}
"""The paper fine-tunes a transformer head on the frozen and the unfrozen aligner."""


def binaries(
    features: Features,
    binary: NDArray[Any],
    kinds: NDArray[np.str_],
    split: NDArray[np.str_],
    *,
    aligner: nn.Module | None = None,
    variants: Mapping[str, FineTuning] = VARIANTS,
    seed: int = 0,
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """Fine-tune each variant and score it on test stars.

    Parameters
    ----------
    features
        Encoder features of N stars, and the prior if the aligner has one.
    binary
        (N,) 1 for binaries, 0 for single stars, NaN where unknown.
    kinds
        (N,) kind of binary (eclipsing, sb2, wide, ...), empty for single stars.
    split
        (N,).
    aligner
        ``aligner(spectrum, lightcurve, prior) -> (B, D)``; None puts the features side by side.
    variants
        Name -> settings; the scores' label.
    seed
        Of weights, batches and bootstrap.

    Returns
    -------
    tuple
        Scores: accuracy, balanced accuracy, F1, AUC, average precision; of each kind with enough test stars
        the AUC against all single stars (part: the kind). Arrays by variant: ``truth``, ``predicted``
        (probability), ``row``, and the curves ``fpr``, ``tpr``, ``precision``, ``recall``.
    """
    scores, arrays = list[Score](), dict[str, NDArray[Any]]()
    for name, settings in variants.items():
        found = fine_tune(features, binary, split, settings, aligner=aligner, seed=seed, task=TASK, name=name)
        scores += found.scores
        if not found.scores:
            continue
        truth, chance = found.truth.astype(np.int64), found.predicted[:, 1]
        scores += by_kind(name, truth, chance, kinds[found.test], seed)
        fpr, tpr, _ = roc_curve(truth, chance)
        precision, recall, _ = precision_recall_curve(truth, chance)
        parts = {"truth": truth, "predicted": chance, "row": found.test, "fpr": fpr, "tpr": tpr}
        parts |= {"precision": precision, "recall": recall}
        arrays |= {f"{name}/{part}": values for part, values in parts.items()}
    return scores, arrays


def by_kind(
    name: str, truth: NDArray[np.int64], chance: NDArray[np.float64], kinds: NDArray[np.str_], seed: int
) -> list[Score]:
    """AUC of each kind of binary against all single stars.

    Parameters
    ----------
    name
        The scores' label.
    truth, chance, kinds
        (n,) of the test stars: 1 or 0, predicted probability, kind.
    """
    scores = []
    for kind in np.unique(kinds[truth == 1]):
        rows = (truth == 0) | (kinds == kind)
        count = int((truth[rows] == 1).sum())
        if kind and count >= LEAST and (truth == 0).sum() >= LEAST:
            t, c = truth[rows], chance[rows]
            error = bootstrap(auc, t, c, seed=seed)
            scores.append(Score(TASK, name, "auc", auc(t, c), error, 0.5, count, str(kind)))
    return scores
