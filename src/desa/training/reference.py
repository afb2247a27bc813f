"""What an encoder's training stars are like, kept with the model to tell unlike ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from desa.models.network import Network
from desa.models.reference import Reference, fit_reference
from desa.survey.batches import LightCurveDataset, SpectrumDataset
from desa.survey.store import Survey

MOST_STARS = 8192
"""Rows of a split that are looked at; more say nothing new."""

BATCH = 32


def survey_references(model: Network, survey: Survey, part: str) -> dict[str, Reference]:
    """Features of an encoder's training stars, with the calibration split's distances from them.

    Parameters
    ----------
    model
        With the encoder.
    survey
        What it was trained on.
    part
        ``"spectrum"`` or ``"lightcurve"``.

    Returns
    -------
    dict
        The part's reference by its name; empty where the survey has too few stars.
    """
    seed = model.settings.seed
    rows = [split_features(model, survey, part, split, seed) for split in ("train", "calibration")]
    found = fit_reference(*rows, seed=seed, data=f"{survey.kind} survey {survey.identity}")
    return {} if found is None else {part: found}


@torch.inference_mode()
def split_features(model: Network, survey: Survey, part: str, split: str, seed: int) -> NDArray[np.float32]:
    """(N, features) of a split, at most `MOST_STARS` of it."""
    length = model.settings.preprocess_lightcurve.length
    data: Any = (
        SpectrumDataset(survey, split)
        if part == "spectrum"
        else LightCurveDataset(survey, split, length, crop="best")
    )
    chosen = np.sort(np.random.default_rng(seed).permutation(data.rows)[:MOST_STARS])
    found = [np.zeros((0, model.require(f"{part}_encoder").features), np.float32)]
    for start in range(0, len(chosen), BATCH):
        batch = data.fetch(chosen[start : start + BATCH]).to(model.device)
        if part == "spectrum":
            rows = model.spectrum_features(batch.flux, batch.ivar, batch.z, batch.log_wavelength_start)
        else:
            rows = model.lightcurve_features(batch.flux[:, 0], batch.count_rate)
        found.append(rows.float().cpu().numpy())
    return np.concatenate(found)
