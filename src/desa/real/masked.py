"""A spectrum encoder that learns from real spectra without their labels: masked filling."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

from desa.config import Settings, Training, with_changes
from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START
from desa.models.network import Network
from desa.models.storage import weights_hash
from desa.real.data import LabelledSpectra
from desa.survey.tensors import SpectrumBatch
from desa.training.loop import fit, step_seed
from desa.training.tasks import PretrainSpectrum

MASKED = Training(
    steps=400,
    batch_size=32,
    learning_rate=1e-3,
    final_learning_rate=1e-6,
    schedule="cosine",
    warmup=40,
    weight_decay=1e-2,
    checkpoint_minutes=60.0,
)


def unlabelled(spectra: LabelledSpectra, batch_size: int, seed: int, first: int) -> Iterator[SpectrumBatch]:
    """Random batches of spectra, from the `first`-th on; they carry no label."""
    step = first
    while True:
        rows = np.random.default_rng(step_seed(seed, step)).integers(0, len(spectra), batch_size)
        part = spectra.select(rows)
        start = torch.full((batch_size,), LAMOST_LOG_WAVELENGTH_START, dtype=torch.float64)
        yield SpectrumBatch(
            flux=torch.from_numpy(part.flux),
            ivar=torch.from_numpy(part.ivar),
            z=torch.from_numpy(part.z.astype(np.float32)),
            log_wavelength_start=start,
            snr_g=torch.from_numpy(part.snr_g.astype(np.float32)),
            labels={},
            star=torch.from_numpy(rows),
            row=torch.from_numpy(rows),
        )
        step += 1


class Filling(PretrainSpectrum):
    """Masked filling alone: the head is not trained, and no label is asked for."""

    def training_step(
        self, batch: SpectrumBatch, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean squared error of the hidden pixels."""
        missing = torch.full((len(batch),), torch.nan)
        batch.labels = dict.fromkeys(self.objective.labels, missing)
        own, _, _, _ = self.losses(batch, generator)
        return own, {"self_supervised": own}


def fill_masks(
    spectra: LabelledSpectra,
    settings: Settings,
    out: Path,
    *,
    start: Network | None = None,
    seed: int = 0,
    training: Training = MASKED,
    progress: Progress | None = None,
) -> Network:
    """Train a spectrum encoder to fill hidden pixels of real spectra.

    Parameters
    ----------
    spectra
        Their pixels only.
    settings
        Of the encoder and its preprocessing.
    out
        The run's folder; the model is saved in its ``model``. A run that was killed is taken up again.
    start
        A model whose encoder it begins with; None begins with random weights.
    seed
        Of weights, batches and masks.

    Raises
    ------
    ModelError
        If the folder holds a run on other spectra, settings or another start.
    """
    chosen = with_changes(settings, {"seed": seed, "objective_spectrum": {"supervised": 0.0}})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        task = Filling(chosen)
    if start is not None:
        task.model.require("spectrum_encoder").load_state_dict(start.require("spectrum_encoder").state_dict())
    fit(
        task,
        lambda first: unlabelled(spectra, training.batch_size, seed, first),
        None,
        training,
        out,
        seed=seed,
        dtype=chosen.dtype,
        progress=progress,
        resume=True,
        identity={
            "spectra": hashlib.blake2b(spectra.obsid.tobytes(), digest_size=8).hexdigest(),
            "start": "" if start is None else weights_hash(start.require("spectrum_encoder")),
            "settings": chosen.model_dump_json(),
            "seed": seed,
        },
    )
    task.model.metadata = {"data": "real spectra, no labels", "spectra": len(spectra), "seed": seed}
    task.model.eval().save(out / "model")
    return task.model
