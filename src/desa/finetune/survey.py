"""A head for a label of one's own, from a survey to a model's folder."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from desa.errors import SettingsError
from desa.evaluation.score import Score
from desa.finetune.head import FineTuneResult, fine_tune
from desa.finetune.labels import TASKS, classes_of, label_values, numbers_of
from desa.inference.encode import star_features
from desa.models.finetuned import Features, FineTuning, Head
from desa.models.head_files import FOLDER, VARIANTS, UserHead, aligner_of, check_name
from desa.models.network import Network
from desa.progress import Report
from desa.survey.selection import BestData
from desa.survey.store import Survey
from desa.types import Part, Star

BATCH = 64
LEAST = 10
"""Labelled stars of the train split that a head is tried with."""


@dataclass(frozen=True)
class NewHeads:
    """What `finetune_survey` made.

    Parameters
    ----------
    heads
        One for each set of modalities that enough labelled stars have, and the model an encoder for.
    left_out
        (variant, reason) of the others.
    """

    heads: list[UserHead]
    left_out: list[tuple[str, str]]


def finetune_survey(
    model: Network,
    survey: Survey,
    label: str,
    task: str,
    *,
    table: str | Path | None = None,
    name: str = "",
    unfrozen: bool = False,
    head: Head = "auto",
    logarithm: bool = False,
    seed: int = 0,
    progress: Report | None = None,
    work: Path | None = None,
) -> NewHeads:
    """Train heads for a label on a survey's stars; the encoders stay as they are.

    The stars' splits are used as everywhere: fitted on ``train``, chosen on ``valid``, calibrated on
    ``calibration`` (where these are few, in cross-validation), scored on ``test`` (where these are few, in
    cross-validation over all stars with the label).

    Parameters
    ----------
    model
        The model; its ``heads`` are left as they are.
    survey
        The survey.
    label
        Column of the survey's star table, or of `table`.
    task
        ``"regression"`` or ``"classification"``.
    table
        See `desa.finetune.labels.label_values`.
    name
        What the label is called in predictions; empty: as the column.
    unfrozen
        Train a copy of the DualFormer too.
    head
        See `desa.models.finetuned.FineTuning`.
    logarithm
        Predict log10 of a positive number: for labels that span decades.
    seed
        Of weights, folds and batches.
    progress
        Called with (stars, stars) while features are computed.
    work
        Folder for checkpoints, gone when the heads are done: a run that was killed goes on from there.

    Raises
    ------
    SettingsError
        For another task, a label that does not fit it, or too few labelled stars.
    """
    if task not in TASKS:
        raise SettingsError(f"a task is {' or '.join(TASKS)}, not '{task}'")
    shown = check_name(name or label)
    values = label_values(survey, label, table)
    classes: tuple[str, ...] = ()
    if task == "classification":
        numbers, classes = classes_of(values, label)
    else:
        numbers = numbers_of(values, label, logarithm)
    labelled = np.flatnonzero(np.isfinite(numbers))
    rows = _features(model, survey, labelled, progress)
    found = NewHeads([], [])
    for variant, parts in VARIANTS.items():
        if any(part not in rows for part in parts):
            found.left_out.append((variant, "the model has no encoder for it"))
            continue
        known = np.all([np.isfinite(rows[part]).all(axis=1) for part in parts], axis=0)
        stars = labelled[known]
        training = int((survey.split[stars] == "train").sum())
        if training < LEAST:
            found.left_out.append((variant, f"{training} labelled training stars, {LEAST} are needed"))
            continue
        aligned = variant == "joint" and model.dualformer is not None
        settings = FineTuning(classes=classes, head=head, unfreeze=unfrozen and aligned)
        inputs = Features(
            *(torch.from_numpy(rows[part][known]) if part in parts else None for part in VARIANTS["joint"])
        )
        # A copy: the caller's model stays on its device.
        aligner = copy.deepcopy(aligner_of(model.dualformer, variant)).cpu()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # of penalties too weak to be chosen
                result = fine_tune(
                    inputs,
                    numbers[stars],
                    survey.split[stars],
                    settings,
                    aligner=aligner,
                    seed=seed,
                    name=shown,
                    work=work,
                )
        except ValueError as error:
            found.left_out.append((variant, str(error)))
            continue
        found.heads.append(_user_head(result, shown, variant, logarithm, survey))
    if work is not None:
        shutil.rmtree(work, ignore_errors=True)
    if not found.heads:
        reasons = "; ".join(f"{variant}: {reason}" for variant, reason in found.left_out)
        raise SettingsError(f"'{label}': no head can be trained ({reasons})")
    return found


def _features(
    model: Network, survey: Survey, stars: NDArray[np.int64], progress: Report | None
) -> dict[Part, NDArray[np.float32]]:
    """Features of some stars by part, NaN where a star lacks the modality."""
    parts = []
    best = BestData(survey, model)
    for start in range(0, len(stars), BATCH):
        chosen = [best.of(star) or Star("") for star in stars[start : start + BATCH].tolist()]
        parts.append(star_features(model, chosen))
        if progress:
            progress(min(start + BATCH, len(stars)), len(stars))
    return {part: np.concatenate([rows[part] for rows in parts]) for part in parts[0]}


def _user_head(result: FineTuneResult, label: str, variant: str, logarithm: bool, survey: Survey) -> UserHead:
    facts: dict[str, Any] = {
        "data": f"{survey.kind} survey",
        "survey": survey.identity,
        "counts": result.counts,
        "scores": [_json(score) for score in result.scores],
    }
    return UserHead(label, variant, logarithm, result.chosen, result.model, facts)


def _json(score: Score) -> dict[str, Any]:
    """A score with None for what is not defined."""
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in vars(score).items()
    }


def save_with_heads(model: Network, heads: Sequence[UserHead], folder: str | Path) -> None:
    """Write a model with more heads into a folder; of two heads alike the new one stays.

    The folder may be the model's own.
    """
    labels = {head.label for head in heads}
    kept = [head for head in model.heads if head.label not in labels]
    for path in (Path(folder) / FOLDER).glob("*.safetensors"):
        if path.name.split(".")[0] in labels:
            path.unlink()
    model.heads = sorted([*kept, *heads], key=lambda head: (head.label, list(VARIANTS).index(head.variant)))
    model.save(folder)
