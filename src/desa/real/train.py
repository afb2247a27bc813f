"""The spectrum encoder of the real-file experiment: pre-trained on mock spectra, fine-tuned on real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from desa.config import Settings, Training, settings
from desa.models.network import Network
from desa.real.data import LABELS, LabelledSpectra
from desa.real.task import FitLabels, PixelBatch, mock_batches, observed_pixels, shuffled_batches
from desa.simulate.real_continua import MockMaker
from desa.training.loop import fit

SCALES = (700.0, 0.4, 0.4)
"""About the labels' standard deviations, so that the loss minds all three alike."""

TYPICAL = (6000.0, 4.1, -0.35)
"""Labels that the untrained head starts at."""

QUANTILES = (0.05, 0.16, 0.5, 0.84, 0.95)
"""The median, and the ends of the 68 % and 90 % intervals."""

PRETRAINING = Training(
    steps=1600,
    batch_size=64,
    learning_rate=2e-3,
    final_learning_rate=2e-6,
    schedule="cosine",
    warmup=100,
    weight_decay=1e-4,
    checkpoint_minutes=60.0,
)

FINE_TUNING = Training(
    batch_size=32,
    learning_rate=1e-3,
    final_learning_rate=1e-6,
    schedule="cosine",
    weight_decay=1e-2,
    checkpoint_minutes=60.0,
)

EPOCHS = 18
"""Passes through the real spectra."""

WARMUP_SHARE = 0.15


def real_settings(seed: int = 0) -> Settings:
    """The `mini` preset with an encoder that keeps the places of lines, on 3841-6900 Angstrom.

    The lines that tell Teff, log g and [Fe/H] of A to K stars at this resolution are bluewards of
    H-alpha; the far red adds noise and time.
    """
    return settings(
        "mini",
        seed=seed,
        dtype="bfloat16",
        preprocess_spectrum={"red": (5800.0, 6900.0), "pixels": 2560},
        spectrum={
            "cnn_widths": (8, 16, 32, 64, 64, 64),
            "blocks": 0,
            "pooling": "flatten",
            "flatten_tokens": 80,
            "flatten_features": 128,
            "dropout": 0.0,
            "head_batch_norm": False,
        },
        objective_spectrum={"labels": LABELS, "scales": SCALES, "quantiles": QUANTILES},
    )


def new_model(chosen: Settings) -> Network:
    """An untrained spectrum encoder whose head starts at typical labels."""
    torch.manual_seed(chosen.seed)
    model = Network(chosen, ["spectrum"])
    last = model.require("spectrum_head").layers[-1]
    middle = torch.tensor(TYPICAL) / torch.tensor(SCALES)
    with torch.no_grad():
        last.bias.copy_(middle.repeat_interleave(len(QUANTILES)))
    return model


def pretrain(
    spectra: LabelledSpectra,
    out: Path,
    *,
    chosen: Settings | None = None,
    training: Training = PRETRAINING,
    progress: Progress | None = None,
) -> Network:
    """Train on mock spectra with known labels; real ones give their continua, noise and masks only.

    Parameters
    ----------
    spectra
        The donors; their labels are not looked at.
    out
        Folder of the run; the model is saved in its ``model``.
    """
    chosen = chosen or real_settings()
    model = new_model(chosen)
    maker = MockMaker(spectra.flux, spectra.ivar, spectra.z)
    fit(
        FitLabels(model, augmented=False),
        lambda first: mock_batches(model, maker, training.batch_size, chosen.seed, first),
        None,
        training,
        out,
        seed=chosen.seed,
        dtype=chosen.dtype,
        progress=progress,
    )
    model.metadata = {"data": "mock spectra", "steps": training.steps, "seed": chosen.seed}
    model.eval().save(out / "model")
    return model


def fine_tune(
    pretrained: Network,
    spectra: LabelledSpectra,
    out: Path,
    *,
    seed: int,
    epochs: int = EPOCHS,
    training: Training = FINE_TUNING,
    progress: Progress | None = None,
) -> Network:
    """Train a copy of a model on real spectra; saved in ``model`` of the run's folder."""
    model = Network(pretrained.settings, ["spectrum"])
    model.load_state_dict(pretrained.state_dict())
    data = observed_pixels(model, spectra)
    steps = epochs * max(1, len(data) // training.batch_size)
    training = training.model_copy(update={"steps": steps, "warmup": int(WARMUP_SHARE * steps)})
    fit(
        FitLabels(model, augmented=True),
        lambda first: shuffled_batches(data, training.batch_size, seed, first),
        None,
        training,
        out,
        seed=seed,
        dtype=model.settings.dtype,
        progress=progress,
    )
    model.metadata = {"data": "real spectra", "spectra": len(spectra), "epochs": epochs, "seed": seed}
    model.eval().save(out / "model")
    return model


@torch.inference_mode()
def predict(models: list[Network], spectra: LabelledSpectra, batch_size: int = 256) -> NDArray[np.float64]:
    """Quantiles (N, 3, Q) in the labels' units: the mean over the models."""
    every = []
    for model in models:
        model.eval()
        data = observed_pixels(model, spectra)
        every.append(
            torch.cat([_quantiles(model, data, i, batch_size) for i in range(0, len(data), batch_size)])
        )
    return np.asarray(torch.stack(every).mean(0).numpy(), dtype=np.float64)


def _quantiles(model: Network, data: PixelBatch, start: int, size: int) -> torch.Tensor:
    rows = slice(start, start + size)
    features = model.require("spectrum_encoder")(data.pixels[rows], data.weights[rows])
    return model.spectrum_quantiles(features)


@torch.inference_mode()
def features_of(model: Network, spectra: LabelledSpectra, batch_size: int = 256) -> NDArray[np.float32]:
    """(N, features) of the spectrum encoder."""
    encoder = model.eval().require("spectrum_encoder")
    data = observed_pixels(model, spectra)
    parts = [
        encoder(data.pixels[i : i + batch_size], data.weights[i : i + batch_size])
        for i in range(0, len(data), batch_size)
    ]
    return np.asarray(torch.cat(parts).numpy())
