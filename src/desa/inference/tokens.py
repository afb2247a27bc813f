"""Token sequences of both encoders, of a survey (kept on disk) and of stars in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.arrays import read_array, written_array
from desa.config import GAIA
from desa.inference.encode import batch_of, cache_key, dataset_of
from desa.models.joint import Tokens, lightcurve_tokens, spectrum_tokens
from desa.models.network import Network
from desa.survey.batches import make_loader
from desa.survey.store import Survey
from desa.survey.tensors import LightCurveBatch, SpectrumBatch
from desa.types import PARTS, Part, Star

NAMES: dict[Part, tuple[str, ...]] = {
    "spectrum": ("spectrum",),
    "lightcurve": ("flux", "frequency", "reading"),
}
Rows = Mapping[str, NDArray[np.float32]]


@torch.inference_mode()
def read_tokens(model: Network, batch: LightCurveBatch | SpectrumBatch) -> dict[str, Tensor]:
    """What the joint model reads of a batch of one modality, by the names of `Tokens`, on the CPU."""
    batch = batch.to(model.device)
    if isinstance(batch, SpectrumBatch):
        pixels, weights = model.spectrum_pixels(
            batch.flux, batch.ivar, batch.z, batch.log_wavelength_start, batch.helio_rv
        )
        return {"spectrum": spectrum_tokens(model.require("spectrum_encoder"), pixels, weights).cpu()}
    channels, _ = model.lightcurve_channels(batch.flux[:, 0], batch.count_rate)
    found = lightcurve_tokens(model.require("lightcurve_encoder"), channels)
    return {name: rows.cpu() for name, rows in zip(NAMES["lightcurve"], found, strict=True)}


def survey_tokens(model: Network, survey: Survey, cache: Path, batch_size: int = 32) -> Rows:
    """Tokens of every spectrum and light curve of a survey, by name, memory-mapped in half precision.

    Parameters
    ----------
    model
        With both encoders.
    survey
        The survey.
    cache
        Folder for them; what is there by the same weights, settings and data is taken.
    batch_size
        Light curves or spectra at once.
    """
    model.eval()
    found: dict[str, NDArray[np.float32]] = {}
    for part in PARTS:
        key = cache_key(model, survey, part)
        paths = {name: cache / f"{name}-{key}.npy" for name in NAMES[part]}
        kept = {name: read_array(path) for name, path in paths.items()}
        if any(rows is None for rows in kept.values()):
            _write(model, survey, part, paths, batch_size)
            kept = {name: np.load(path, mmap_mode="r") for name, path in paths.items()}
        found |= {name: rows for name, rows in kept.items() if rows is not None}
    return found


def _write(model: Network, survey: Survey, part: Part, paths: Mapping[str, Path], batch_size: int) -> None:
    """Of one modality, batch after batch into memory maps that appear when they are whole."""
    data = dataset_of(model, survey, part)
    maps: dict[str, NDArray[Any]] = {}
    done = 0
    with ExitStack() as files:
        for batch in make_loader(data, batch_size, shuffle=False, rank=0, world=1):
            for name, rows in read_tokens(model, batch).items():
                if name not in maps:
                    shape = (len(data), *rows.shape[1:])
                    maps[name] = files.enter_context(written_array(paths[name], np.float16, shape))
                maps[name][done : done + len(rows)] = rows.half().numpy()
            done += len(batch)


def star_tokens(model: Network, stars: Sequence[Star], gaia: Tensor | None = None) -> Tokens:
    """Tokens of stars; zeros for what a star lacks.

    Parameters
    ----------
    model
        With both encoders.
    stars
        B stars, each with a spectrum or a light curve.
    gaia
        (B, 3), NaN where unknown; None: all unknown.
    """
    model.eval()
    rows: dict[str, Tensor] = {}
    present = torch.zeros(len(stars), len(PARTS), dtype=torch.bool)
    for place, part in enumerate(PARTS):
        items = [getattr(star, part) for star in stars]
        known = torch.tensor([item is not None for item in items])
        present[:, place] = known
        given = [item for item in items if item is not None]
        found = read_tokens(model, batch_of(model, part, given)) if given else _blank(model, part)
        for name, own in found.items():
            rows[name] = torch.zeros(len(stars), *own.shape[1:])
            rows[name][known] = own
    about = torch.full((len(stars), len(GAIA)), torch.nan) if gaia is None else gaia
    return Tokens(**rows, present=present, gaia=about)


@torch.inference_mode()
def _blank(model: Network, part: Part) -> dict[str, Tensor]:
    """No rows of a modality's tokens, in their shapes."""
    settings = model.settings
    if part == "spectrum":
        pixels = torch.zeros(1, settings.preprocess_spectrum.pixels, device=model.device)
        found: tuple[Tensor, ...] = (spectrum_tokens(model.require("spectrum_encoder"), pixels, None),)
    else:
        channels = torch.zeros(1, 4, settings.preprocess_lightcurve.length, device=model.device)
        found = lightcurve_tokens(model.require("lightcurve_encoder"), channels)
    return {name: rows[:0].cpu() for name, rows in zip(NAMES[part], found, strict=True)}
