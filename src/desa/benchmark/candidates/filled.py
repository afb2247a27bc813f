"""Spectrum encoders that learned from the pixels of the real spectra to fill masks, and saw no label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from desa.benchmark.base import CANDIDATES, Choice, Embedding
from desa.benchmark.inputs import REAL_SPECTRA, Inputs
from desa.benchmark.real_stars import RealCandidate
from desa.config import with_changes
from desa.inference.encode import spectrum_features
from desa.models.network import Network
from desa.training.stages import pretrain_spectrum

TRAINING: dict[str, Any] = {
    "steps": 400,
    "batch_size": 32,
    "final_learning_rate": 1e-6,
    "schedule": "cosine",
    "warmup": 40,
    "weight_decay": 1e-2,
    "patience": 0,
}
LEARNING_RATE = 1e-3


@dataclass(frozen=True, eq=False, kw_only=True)
class Filled(RealCandidate):
    """Masked filling on all spectra of the survey.

    Parameters
    ----------
    continued
        Begin with the given model's weights, and change them less.
    """

    continued: bool = False

    def fit(
        self, inputs: Inputs, choice: Choice | None, steps: int, seed: int, folder: Path
    ) -> dict[str, Any]:
        """Train it, without any label."""
        rate = 0.3 * LEARNING_RATE if self.continued else LEARNING_RATE
        changes = {
            "seed": seed,
            "objective_spectrum": {"supervised": 0.0},
            "train_spectrum": {**TRAINING, "learning_rate": rate},
        }
        everybody = inputs.survey.with_split(np.full(inputs.survey.n_stars, "train"))
        pretrain_spectrum(
            everybody,
            with_changes(inputs.spectrum_model.settings, changes),
            folder,
            start=inputs.model if self.continued else None,
        )
        return super().fit(inputs, choice, steps, seed, folder)

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``joint``: (N, F)."""
        model = Network.load(folder / "model")
        return {"joint": spectrum_features(model, inputs.survey)[inputs.stars.spectrum]}


CANDIDATES.add(
    Filled(
        name="filled",
        title="encoder, real spectra unlabelled",
        text="the same architecture, trained to fill masks of these spectra; no label",
        order=102.1,
        track=REAL_SPECTRA,
    )
)
CANDIDATES.add(
    Filled(
        name="continued",
        title="encoder, then real unlabelled",
        text="the given encoder, trained on to fill masks of these spectra; no label",
        order=102.2,
        track=REAL_SPECTRA,
        continued=True,
    )
)
