"""Features of the frozen encoders, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.files import written_whole
from desa.models.network import Network
from desa.pipeline import Clock, prefetch
from desa.progress import Report
from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.store import Survey
from desa.survey.tensors import LightCurveBatch, SpectrumBatch

Array = NDArray[np.float32]


def weights_hash(model: torch.nn.Module) -> str:
    """Hash of a module's weights, by name."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def cache_key(model: Network, survey: Survey, part: str) -> str:
    """Hash of an encoder's weights, its and its preprocessing's settings, and the survey's contents."""
    settings = (getattr(model.settings, name) for name in (part, f"preprocess_{part}"))
    described = json.dumps([section.model_dump(mode="json") for section in settings], sort_keys=True)
    facts = (part, survey.identity, described, weights_hash(model.require(f"{part}_encoder")))
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=16).hexdigest()


def spectrum_features(
    model: Network,
    survey: Survey,
    cache: Path | None = None,
    batch_size: int = 64,
    progress: Report | None = None,
    clock: Clock | None = None,
) -> Array:
    """(n_spectra, features) of every spectrum of a survey.

    Parameters
    ----------
    model
        With a spectrum encoder; put into evaluation mode.
    survey
        The survey.
    cache
        Folder for the results, keyed by weights, settings and data, and memory-mapped; None keeps
        them in memory only.
    batch_size
        Spectra at once.
    progress
        Called with (done, all).
    clock
        Gets the seconds of ``read``, ``preprocess`` and ``model``. Reading runs beside the others.
    """
    encoder, timer = model.require("spectrum_encoder"), clock or Clock(model.device)

    def forward(batch: SpectrumBatch) -> Tensor:
        with timer.stage("preprocess"):
            inputs = model.spectrum_pixels(batch.flux, batch.ivar, batch.z, batch.log_wavelength_start)
        with timer.stage("model"):
            return torch.as_tensor(encoder(*inputs))

    return _features(
        model, survey, "spectrum", SpectrumDataset(survey, None), forward, cache, batch_size, progress, timer
    )


def lightcurve_features(
    model: Network,
    survey: Survey,
    cache: Path | None = None,
    batch_size: int = 32,
    progress: Report | None = None,
    clock: Clock | None = None,
) -> Array:
    """(n_lightcurves, features) of every light curve's best window; arguments as `spectrum_features`."""
    encoder, timer = model.require("lightcurve_encoder"), clock or Clock(model.device)

    def forward(batch: LightCurveBatch) -> Tensor:
        with timer.stage("preprocess"):
            inputs = model.lightcurve_channels(batch.flux[:, 0], batch.count_rate)
        with timer.stage("model"):
            return torch.as_tensor(encoder(*inputs))

    data = LightCurveDataset(survey, None, model.settings.preprocess_lightcurve.length, crop="best")
    return _features(model, survey, "lightcurve", data, forward, cache, batch_size, progress, timer)


def _features(
    model: Network,
    survey: Survey,
    part: str,
    data: SpectrumDataset | LightCurveDataset,
    forward: Callable[[Any], Tensor],
    cache: Path | None,
    batch_size: int,
    progress: Report | None,
    clock: Clock,
) -> Array:
    """Read from the cache, or compute into it."""
    model.eval()
    shape = (len(data), model.require(f"{part}_encoder").features)
    if cache is None or not len(data):
        rows = np.zeros(shape, np.float32)
        _fill(rows, model, data, forward, batch_size, progress, clock)
        return rows
    path = cache / f"{part}-{cache_key(model, survey, part)}.npy"
    if not path.exists():
        with written_whole(path) as scratch:
            mapped = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.float32, shape=shape)
            _fill(mapped, model, data, forward, batch_size, progress, clock)
            mapped.flush()
    return np.asarray(np.load(path, mmap_mode="r"))


@torch.inference_mode()
def _fill(
    rows: Array,
    model: Network,
    data: SpectrumDataset | LightCurveDataset,
    forward: Callable[[Any], Tensor],
    batch_size: int,
    progress: Report | None,
    clock: Clock,
) -> None:
    done = 0
    # Every process of a distributed run goes through the whole survey: rank 0 of 1.
    loader = make_loader(data, batch_size, shuffle=False, rank=0, world=1)
    for batch in prefetch(loader, clock=clock):
        found = forward(batch.to(model.device))
        rows[done : done + len(found)] = found.float().cpu().numpy()
        done += len(found)
        if progress:
            progress(done, len(data))
