"""The spectrum encoder fine-tuned on real labels: from the given model, and from random weights."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from desa.benchmark.base import CANDIDATES, Embedding
from desa.benchmark.inputs import REAL_SPECTRA, Inputs
from desa.benchmark.real_stars import LABELS, RealCandidate
from desa.config import Settings, with_changes
from desa.inference.encode import spectrum_features
from desa.models.network import Network
from desa.training.stages import pretrain_spectrum

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SCALES = (700.0, 0.4, 0.4)
"""About the labels' standard deviations, so that the loss minds all three alike."""

BATCH, EPOCHS = 32, 18
"""Of fine-tuning: spectra a batch, and passes through them."""

LEAST_STEPS = 300
"""Steps where few labels would make fewer."""

SCRATCH_LONGER = 3
"""An encoder that begins with nothing gets this many times the passes: it needs them."""

TRAINING: dict[str, Any] = {
    "batch_size": BATCH,
    "learning_rate": 1e-3,
    "final_learning_rate": 1e-6,
    "schedule": "cosine",
    "warmup": 0.15,
    "weight_decay": 1e-2,
    "patience": 0,
}


def epochs_for(stars: int, longer: int = 1) -> int:
    """Passes through the spectra of so many stars: `EPOCHS`, or what makes `LEAST_STEPS`."""
    return longer * max(EPOCHS, -(-LEAST_STEPS // max(1, stars // BATCH)))


@dataclass(frozen=True, eq=False, kw_only=True)
class FineTuned(RealCandidate):
    """Tasks say on which stars it is trained: on all but a fold, or on a share.

    Parameters
    ----------
    scratch
        Begin with random weights.
    """

    scratch: bool = False

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """Nothing: it has no features of its own before a task gives it labels."""
        return {}

    def levels(self, inputs: Inputs) -> tuple[float, ...]:
        """Q levels of its quantiles."""
        return self._settings(inputs, 0, 1).objective_spectrum.quantiles

    def quantiles(self, inputs: Inputs, train: Mask, folder: Path, seed: int) -> Array:
        """(N, 3, Q) quantiles of `LABELS` of all stars, by a model trained on some.

        Parameters
        ----------
        inputs
            Of the track.
        train
            (N,) stars whose labels it is given.
        folder
            Of the run; taken up again, it goes on where it stopped.
        seed
            Of weights and batches.
        """
        longer = SCRATCH_LONGER if self.scratch else 1
        settings = self._settings(inputs, seed, epochs_for(int(train.sum()), longer))
        split = np.full(inputs.survey.n_stars, "test", dtype="<U5")
        split[inputs.stars.star[train]] = "train"
        model = pretrain_spectrum(
            inputs.survey.with_split(split), settings, folder, start=None if self.scratch else inputs.model
        )
        rows = torch.from_numpy(spectrum_features(model, inputs.survey)[inputs.stars.spectrum])
        shutil.rmtree(folder)  # it would be as large as the model, for every fold and share
        with torch.inference_mode():
            return np.asarray(model.spectrum_quantiles(rows).double().numpy())

    def _settings(self, inputs: Inputs, seed: int, epochs: int) -> Settings:
        given: Network = inputs.spectrum_model
        objective: dict[str, Any] = {"supervised": 1.0, "augment": True, "half_weight_snr": 15.0}
        if tuple(given.settings.objective_spectrum.labels) != LABELS:
            objective |= {"labels": LABELS, "scales": SCALES}
        changes = {"objective_spectrum": objective, "train_spectrum": {**TRAINING, "epochs": epochs}}
        return with_changes(given.settings, {"seed": seed, **changes})


CANDIDATES.add(
    FineTuned(
        name="fine_tuned",
        title="spectrum encoder, fine-tuned",
        text="the given encoder and its head trained on real labels",
        order=103,
        group="reference",
        track=REAL_SPECTRA,
        also=("labelled_spectra", "sim_to_real"),
    )
)
CANDIDATES.add(
    FineTuned(
        name="from_scratch",
        title="spectrum encoder, real only",
        text=f"the same from random weights, with {SCRATCH_LONGER} times the passes",
        order=104,
        group="reference",
        track=REAL_SPECTRA,
        scratch=True,
        also=("sim_to_real",),
    )
)
