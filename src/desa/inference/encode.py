"""The way an encoder is run over stars: of a survey, of files, of objects in memory.

Whatever is encoded comes as batches of `desa.survey.tensors`; nothing else calls an encoder outside training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.arrays import read_array, written_array
from desa.models.network import Network
from desa.models.reference import Reference, fit_reference
from desa.models.storage import weights_hash
from desa.pipeline import Clock, prefetch
from desa.progress import Report
from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.store import Survey
from desa.survey.tensors import LightCurveBatch, SpectrumBatch
from desa.types import PARTS, Part, Star

Array = NDArray[np.float32]
Batch = LightCurveBatch | SpectrumBatch
Watch = Callable[[Tensor, Tensor], None]

BATCH_SIZE = 32
MOST_REFERENCES = 8192
"""Rows of a split that are looked at for a reference; more say nothing new."""


def cache_key(model: Network, survey: Survey, part: str) -> str:
    """Hash of an encoder's weights, its and its preprocessing's settings, and the survey's contents."""
    settings = (getattr(model.settings, name) for name in (part, f"preprocess_{part}"))
    described = json.dumps([section.model_dump(mode="json") for section in settings], sort_keys=True)
    facts = (part, survey.identity, described, weights_hash(model.require(f"{part}_encoder")))
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=16).hexdigest()


@torch.inference_mode()
def encode(
    model: Network,
    batches: Iterable[Batch],
    clock: Clock | None = None,
    watch: Watch | None = None,
) -> Iterator[Array]:
    """Features of light curves or spectra, batch by batch.

    Parameters
    ----------
    model
        The network; put into evaluation mode.
    batches
        Batches of either kind. Of light curves the first view is read.
    clock
        Gets the seconds of ``preprocess`` and ``model``.
    watch
        Called with the pixels and weights of each batch of spectra.

    Yields
    ------
    numpy.ndarray
        (B, features) float32 of each batch.

    Raises
    ------
    ModelError
        If the network has no encoder for a batch.
    """
    model.eval()
    timer = clock or Clock(model.device)
    for given in batches:
        batch = given.to(model.device)
        with timer.stage("preprocess"):
            if isinstance(batch, SpectrumBatch):
                encoder = model.require("spectrum_encoder")
                inputs: tuple[Tensor, ...] = model.spectrum_pixels(
                    batch.flux, batch.ivar, batch.z, batch.log_wavelength_start, batch.helio_rv
                )
                if watch:
                    watch(*inputs)
            else:
                encoder = model.require("lightcurve_encoder")
                inputs = model.lightcurve_channels(batch.flux[:, 0], batch.count_rate)
        with timer.stage("model"):
            rows: Array = encoder(*inputs).float().cpu().numpy()
        yield rows


def star_features(
    model: Network,
    stars: Sequence[Star],
    batch_size: int = BATCH_SIZE,
    clock: Clock | None = None,
    watch: Watch | None = None,
) -> dict[Part, Array]:
    """Features of stars by the encoders that there are.

    Parameters
    ----------
    model
        The network.
    stars
        N stars; of each its light curve and its best spectrum are read.
    batch_size
        Light curves or spectra at once.
    clock, watch
        As in `encode`; spectra are seen in the order of the stars.

    Returns
    -------
    dict
        Part -> (N, features); NaN where a star lacks what the encoder reads.
    """
    found: dict[Part, Array] = {}
    for part in PARTS:
        if getattr(model, f"{part}_encoder") is None:
            continue
        items = [getattr(star, part) for star in stars]
        places = np.array([place for place, item in enumerate(items) if item is not None], dtype=np.int64)
        chunks = list(chunked(places, batch_size))
        batches = (batch_of(model, part, [items[place] for place in chunk]) for chunk in chunks)
        rows = np.full((len(stars), model.require(f"{part}_encoder").features), np.nan, np.float32)
        for chunk, features in zip(chunks, encode(model, batches, clock, watch), strict=True):
            rows[chunk] = features
        found[part] = rows
    return found


def chunked(places: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """(N,) places, at most `size` at a time."""
    for start in range(0, len(places), size):
        yield places[start : start + size]


def batch_of(model: Network, part: Part, items: Sequence[Any]) -> Batch:
    """Spectra or light curves in memory as a network reads them."""
    if part == "spectrum":
        return SpectrumBatch.of(items, model.settings.preprocess_spectrum.grid, model.resample_spectra)
    settings = model.settings.preprocess_lightcurve
    return LightCurveBatch.of(items, settings.length, rates=settings.mode == "published")


def dataset_of(
    model: Network,
    survey: Survey,
    part: Part,
    split: str | None = None,
    labels: Sequence[str] = (),
) -> SpectrumDataset | LightCurveDataset:
    """A survey's spectra, or its light curves' windows with most good samples, as a network reads them."""
    if part == "spectrum":
        grid = model.settings.preprocess_spectrum.grid
        return SpectrumDataset(survey, split, labels, grid=grid, resample=model.resample_spectra)
    length = model.settings.preprocess_lightcurve.length
    return LightCurveDataset(survey, split, length, labels=labels, crop="best")


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
    return _survey_features(model, survey, "spectrum", cache, batch_size, progress, clock)


def lightcurve_features(
    model: Network,
    survey: Survey,
    cache: Path | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Report | None = None,
    clock: Clock | None = None,
) -> Array:
    """(n_lightcurves, features) of every light curve's best window; arguments as `spectrum_features`."""
    return _survey_features(model, survey, "lightcurve", cache, batch_size, progress, clock)


def _survey_features(
    model: Network,
    survey: Survey,
    part: Part,
    cache: Path | None,
    batch_size: int,
    progress: Report | None,
    clock: Clock | None,
) -> Array:
    """Read from the cache, or compute into it."""
    data, timer = dataset_of(model, survey, part), clock or Clock(model.device)
    shape = (len(data), model.require(f"{part}_encoder").features)

    def fill(rows: Array) -> None:
        done = 0
        # Every process of a distributed run goes through the whole survey: rank 0 of 1.
        loader = make_loader(data, batch_size, shuffle=False, rank=0, world=1)
        for features in encode(model, prefetch(loader, clock=timer), timer):
            rows[done : done + len(features)] = features
            done += len(features)
            if progress:
                progress(done, len(data))

    if cache is None or not len(data):
        rows = np.zeros(shape, np.float32)
        fill(rows)
        return rows
    path = cache / f"{part}-{cache_key(model, survey, part)}.npy"
    found = read_array(path)
    if found is None:
        with written_array(path, np.float32, shape) as mapped:
            fill(mapped)
        found = np.asarray(np.load(path, mmap_mode="r"))
    return found


@torch.inference_mode()
def split_quantiles(
    model: Network, survey: Survey, part: Part, split: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What an encoder's head says of a whole split, for calibration and reports.

    Parameters
    ----------
    model
        With the encoder and its head.
    survey
        The survey.
    part
        Which head.
    split
        Name of the split; None: all stars.

    Returns
    -------
    tuple
        Quantiles (N, K, Q) and labels (N, K), NaN where missing, in the labels' units.
    """
    objective = getattr(model.settings, f"objective_{part}")
    quantiles_of = model.spectrum_quantiles if part == "spectrum" else model.lightcurve_quantiles
    data = dataset_of(model, survey, part, split, objective.labels)
    quantiles = [np.zeros((0, len(objective.labels), len(objective.quantiles)))]
    targets = [np.zeros((0, len(objective.labels)))]
    for batch in make_loader(data, BATCH_SIZE, shuffle=False, rank=0, world=1):
        for features in encode(model, [batch]):
            predicted = quantiles_of(torch.from_numpy(features).to(model.device))
            quantiles.append(predicted.double().cpu().numpy())
        targets.append(torch.stack([batch.labels[name] for name in objective.labels], dim=1).double().numpy())
    return np.concatenate(quantiles), np.concatenate(targets)


def survey_references(model: Network, surveys: Sequence[Survey], part: Part) -> dict[str, Reference]:
    """What an encoder's training stars are like, kept with the model to tell unlike ones.

    Parameters
    ----------
    model
        With the encoder.
    surveys
        What it was trained on.
    part
        Which encoder.

    Returns
    -------
    dict
        The part's reference by its name: features of training stars, and the calibration split's
        distances from them; empty where the surveys have too few stars.
    """
    seed = model.settings.seed
    rows = [
        np.concatenate([_split_features(model, survey, part, split, seed) for survey in surveys])
        for split in ("train", "calibration")
    ]
    data = " and ".join(f"{survey.kind} survey {survey.identity}" for survey in surveys)
    found = fit_reference(*rows, seed=seed, data=data)
    return {} if found is None else {part: found}


def _split_features(model: Network, survey: Survey, part: Part, split: str, seed: int) -> Array:
    """(N, features) of a split, at most `MOST_REFERENCES` of it."""
    data = dataset_of(model, survey, part, split)
    chosen = np.sort(np.random.default_rng(seed).permutation(data.rows)[:MOST_REFERENCES])
    batches = (data.fetch(chosen[start : start + BATCH_SIZE]) for start in range(0, len(chosen), BATCH_SIZE))
    none = np.zeros((0, model.require(f"{part}_encoder").features), np.float32)
    return np.concatenate([none, *encode(model, batches)])
