"""Features of the frozen encoders, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.files import written_whole
from desa.models.desa import Desa
from desa.progress import Report
from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.store import Survey

Array = NDArray[np.float32]


@dataclass
class FeatureBatch:
    """Features of stars with both modalities; prior None or (B, k)."""

    spectrum: Tensor
    lightcurve: Tensor
    prior: Tensor | None

    def __len__(self) -> int:
        return len(self.spectrum)

    def to(self, device: torch.device) -> FeatureBatch:
        """The same on a device."""
        prior = None if self.prior is None else self.prior.to(device)
        return FeatureBatch(self.spectrum.to(device), self.lightcurve.to(device), prior)


def _key(model: Desa, survey: Survey, part: str) -> str:
    """Hash of the encoder's weights, its settings and the survey's contents."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(survey.identity.encode())
    digest.update(json.dumps(model.settings.model_dump(mode="json"), sort_keys=True).encode())
    for name, tensor in sorted(model.need(f"{part}_encoder").state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _cached(cache: Path | None, key: str, compute: Callable[[], Array]) -> Array:
    if cache is None:
        return compute()
    path = cache / f"{key}.npy"
    if not path.exists():
        with written_whole(path) as scratch, scratch.open("wb") as stream:
            np.save(stream, compute())
    return np.asarray(np.load(path, mmap_mode="r"))


@torch.inference_mode()
def spectrum_features(
    model: Desa,
    survey: Survey,
    cache: Path | None = None,
    batch_size: int = 64,
    progress: Report | None = None,
) -> Array:
    """(n_spectra, features) of every spectrum of a survey.

    Parameters
    ----------
    model
        With a spectrum encoder; put into evaluation mode.
    survey
        The survey.
    cache
        Folder for the results, keyed by weights, settings and data; None keeps nothing.
    batch_size
        Spectra at once.
    progress
        Called with (done, all).
    """
    model.eval()

    def compute() -> Array:
        data = SpectrumDataset(survey, None)
        rows = []
        for batch in make_loader(data, batch_size, shuffle=False):
            moved = batch.to(model.device)
            found = model.spectrum_features(moved.flux, moved.ivar, moved.z, moved.log_wavelength_start)
            rows.append(found.float().cpu().numpy())
            if progress:
                progress(sum(map(len, rows)), len(data))
        return (
            np.concatenate(rows)
            if rows
            else np.zeros((0, model.need("spectrum_encoder").features), np.float32)
        )

    return _cached(cache, _key(model, survey, "spectrum"), compute)


@torch.inference_mode()
def lightcurve_features(
    model: Desa,
    survey: Survey,
    cache: Path | None = None,
    batch_size: int = 32,
    progress: Report | None = None,
) -> Array:
    """(n_lightcurves, features) of every light curve's best window; arguments as `spectrum_features`."""
    model.eval()

    def compute() -> Array:
        data = LightCurveDataset(survey, None, model.settings.preprocess_lightcurve.length, crop="best")
        rows = []
        for batch in make_loader(data, batch_size, shuffle=False):
            found = model.lightcurve_features(batch.to(model.device).flux[:, 0])
            rows.append(found.float().cpu().numpy())
            if progress:
                progress(sum(map(len, rows)), len(data))
        return (
            np.concatenate(rows)
            if rows
            else np.zeros((0, model.need("lightcurve_encoder").features), np.float32)
        )

    return _cached(cache, _key(model, survey, "lightcurve"), compute)


@dataclass(frozen=True)
class Pairs:
    """Every (light curve, spectrum) of the same star: (N,) rows of the star table and of both tables."""

    star: NDArray[np.int64]
    lightcurve: NDArray[np.int64]
    spectrum: NDArray[np.int64]

    def best(self, snr_g: NDArray[Any]) -> Pairs:
        """One pair a star: its first light curve and its spectrum of highest S/N in g."""
        merit = np.nan_to_num(np.asarray(snr_g, dtype=np.float64), nan=-1.0)[self.spectrum]
        order = np.lexsort((self.lightcurve, -merit, self.star))
        _, first = np.unique(self.star[order], return_index=True)
        chosen = order[first]
        return Pairs(self.star[chosen], self.lightcurve[chosen], self.spectrum[chosen])


def pairs_of(survey: Survey) -> Pairs:
    """All pairs of a survey: each spectrum with each light curve of its star."""
    curve_of: dict[int, list[int]] = {}
    for row, star in enumerate(survey.lightcurve_star.tolist()):
        curve_of.setdefault(star, []).append(row)
    found = [
        (star, curve, row)
        for row, star in enumerate(survey.spectrum_star.tolist())
        for curve in curve_of.get(star, [])
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return Pairs(table[:, 0], table[:, 1], table[:, 2])


class FeatureLoader:
    """Batches of feature pairs in an order that the seed and the epoch alone decide.

    Parameters
    ----------
    spectrum, lightcurve, prior
        (N, F1), (N, F2), and (N, k) or None.
    batch_size
        Pairs a batch; a last batch of one pair is left out (its variance does not exist).
    seed
        Of the order; None keeps the order and goes through once.
    skip
        Batches to leave out.
    """

    def __init__(
        self,
        spectrum: Tensor,
        lightcurve: Tensor,
        prior: Tensor | None,
        batch_size: int,
        seed: int | None,
        skip: int = 0,
    ) -> None:
        self.parts = (spectrum, lightcurve, prior)
        self.batch_size, self.seed, self.skip = min(batch_size, len(spectrum)), seed, skip

    def _pick(self, rows: Tensor) -> FeatureBatch:
        spectrum, lightcurve, prior = self.parts
        return FeatureBatch(spectrum[rows], lightcurve[rows], None if prior is None else prior[rows])

    def __iter__(self) -> Iterator[FeatureBatch]:
        count = len(self.parts[0])
        if count < 2:
            return
        if self.seed is None:
            for start in range(0, count - 1, self.batch_size):
                yield self._pick(torch.arange(start, min(start + self.batch_size, count)))
            return
        per_epoch = count // self.batch_size
        step = self.skip
        while True:
            epoch, place = divmod(step, per_epoch)
            order = torch.randperm(
                count, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            )
            for index in range(place, per_epoch):
                yield self._pick(order[index * self.batch_size : (index + 1) * self.batch_size])
            step = (epoch + 1) * per_epoch
