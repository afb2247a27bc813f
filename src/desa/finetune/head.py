"""Fine-tuning: a head for a label of one's own on the encoders' features, with or without the aligner.

The stars' splits are used as everywhere: weights are fitted on ``train``,
chosen and stopped early on ``valid``, calibrated on ``calibration``, scored on ``test``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from desa.conformal import intervals
from desa.evaluation.metrics import class_scores, coverage_scores, regression_scores
from desa.evaluation.score import Score
from desa.finetune.training import Trainer
from desa.models.finetuned import Features, FineTuned, FineTuning, class_sets
from desa.survey.splits import SPLITS

LEAST_TEST = 20
"""With fewer test stars a linear head is scored in cross-validation over all stars with the label."""

CROSS_VALIDATION = "cross-validation"


@dataclass(frozen=True, eq=False)
class FineTuneResult:
    """What `fine_tune` gives.

    Parameters
    ----------
    model
        The head with its aligner and calibration.
    scores
        On the test split. Where that has fewer than `LEAST_TEST` stars with the label, a linear head's are
        in cross-validation over all stars with the label, and their ``part`` says so.
    test
        Indices of the test stars with the label.
    truth, predicted
        Their labels, and (n, Q) quantiles or (n, C) probabilities.
    counts
        Stars with the label by split.
    chosen
        Kind of head that was trained.
    """

    model: FineTuned
    scores: list[Score]
    test: NDArray[np.int64]
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    counts: dict[str, int] = field(default_factory=dict)
    chosen: str = ""

    @property
    def median(self) -> NDArray[np.float64]:
        """(n,) medians of a regression."""
        return np.asarray(self.predicted[:, self.model.settings.quantiles.index(0.5)])

    @property
    def intervals(self) -> dict[float, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Coverage -> (low, high) of a regression's test stars; empty without calibration."""
        if not self.model.calibration or self.model.settings.classes:
            return {}
        found = intervals(self.predicted[:, None], self.model.calibration)
        return {coverage: (low[:, 0], high[:, 0]) for coverage, (low, high) in found.items()}


def fine_tune(
    features: Features,
    label: NDArray[Any],
    split: NDArray[np.str_],
    settings: FineTuning,
    *,
    aligner: nn.Module | None = None,
    seed: int = 0,
    task: str = "finetune",
    name: str = "label",
    work: Path | None = None,
) -> FineTuneResult:
    """Train a head for one label.

    Parameters
    ----------
    features
        Of N stars.
    label
        (N,) numbers, NaN where missing; for classes their indices.
    split
        (N,) ``"train"``, ``"valid"``, ``"calibration"``, ``"test"``. A missing valid split is made of a
        seventh of the train split.
    settings
        How.
    aligner
        ``aligner(spectrum, lightcurve, prior) -> (B, D)``; never changed, only copied. None puts the
        features side by side.
    seed
        Of weights, folds and batches.
    task, name
        Of the scores.
    work
        Folder for checkpoints: the same call goes on where it was interrupted. None: no file is written.

    Raises
    ------
    ValueError
        With fewer than 5 labelled training stars, stars of one class only, or features that are not finite.
    Interrupted
        If a signal stopped it.
    """
    values = np.asarray(label, dtype=np.float64)
    split = _with_valid(np.asarray(split), np.isfinite(values), seed)
    index = {part: np.flatnonzero(np.isfinite(values) & (split == part)) for part in SPLITS}
    used = Features(*(None if part is None else part.float() for part in features.parts))
    for part in (used.spectrum, used.lightcurve):
        if part is not None and not torch.isfinite(part[np.isfinite(values)]).all():
            raise ValueError("features of stars with the label hold NaN or infinite values")
    trainer = Trainer(used, values, index, settings, aligner, seed, work)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, chosen = trainer.best()
    test = index["test"]
    predicted = (
        model.predict(used.rows(torch.from_numpy(test))) if len(test) else np.zeros((0, settings.outputs))
    )
    result = FineTuneResult(
        model, [], test, values[test], predicted, {k: len(v) for k, v in index.items()}, chosen
    )
    if len(test) < LEAST_TEST and chosen == "linear" and not settings.unfreeze:
        every = np.flatnonzero(np.isfinite(values))
        with torch.random.fork_rng():
            folded = trainer.cross_validated(model, every)
        if folded is not None:
            whole = replace(result, test=every, truth=values[every], predicted=folded)
            scores = _label_scores(whole, values[every], task, name, seed)
            return replace(result, scores=[replace(score, part=CROSS_VALIDATION) for score in scores])
    return replace(result, scores=_scores(result, values[index["train"]], task, name, seed))


def _with_valid(split: NDArray[np.str_], known: NDArray[np.bool_], seed: int) -> NDArray[np.str_]:
    """The split, with a valid part made of train stars where there are fewer than 2."""
    if (known & (split == "valid")).sum() >= 2:
        return split
    train = np.flatnonzero(known & (split == "train"))
    taken = np.random.default_rng(seed).permutation(train)[: max(1, len(train) // 7)]
    changed = split.astype("<U11")
    changed[taken] = "valid"
    return changed


def _label_scores(
    result: FineTuneResult, train: NDArray[np.float64], task: str, name: str, seed: int
) -> list[Score]:
    """How well labels are told, without their intervals."""
    if not result.model.settings.classes:
        return regression_scores(task, name, result.truth, result.median, train, seed=seed)
    truth = result.truth.astype(np.int64)
    return class_scores(task, name, truth, result.predicted, train.astype(np.int64), seed=seed)


def _scores(
    result: FineTuneResult, train: NDArray[np.float64], task: str, name: str, seed: int
) -> list[Score]:
    if not len(result.test):
        return []
    scores = _label_scores(result, train, task, name, seed)
    if not result.model.settings.classes:
        return scores + coverage_scores(task, name, result.truth, result.intervals)
    truth = result.truth.astype(np.int64)
    if result.model.calibration and scores:
        for coverage, sets in class_sets(result.predicted, result.model.calibration).items():
            inside = sets[np.arange(len(truth)), truth]
            share, error = (
                float(inside.mean()),
                float(np.sqrt(inside.mean() * (1 - inside.mean()) / len(truth))),
            )
            label = f"set_coverage_{round(100 * coverage)}"
            scores.append(Score(task, name, label, share, error, coverage, len(truth)))
    return scores
