"""Batches of raw arrays for training and use: what preprocessing needs, and nothing done to it.

Crops are drawn by generators of (seed, epoch, item), so a batch is the same whatever worker makes it and
however often training was interrupted.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from desa.io.resample import fitting
from desa.preprocess.published import counts_of
from desa.survey.order import BatchOrder, Draw, ItemSampler, UniqueStarSampler, epoch_generator
from desa.survey.selection import Rows, lightcurves_of, spectra_of
from desa.survey.store import Survey
from desa.survey.tensors import DEFAULT_GRID, Labels, LightCurveBatch, PairBatch, SpectrumBatch, padded
from desa.types import SpectrumGrid, best_window

__all__ = [
    "BatchOrder",
    "LightCurveBatch",
    "LightCurveDataset",
    "PairBatch",
    "PairDataset",
    "SpectrumBatch",
    "SpectrumDataset",
    "UniqueStarSampler",
    "make_loader",
]

TRIES = 8
"""Crops drawn at most in search of one with enough good samples."""


BatchT = TypeVar("BatchT", covariant=True)


class SurveyDataset(Protocol[BatchT]):
    """What `make_loader` takes: items that belong to stars, fetched a batch at a time."""

    star: Rows

    def __getitem__(self, draw: Draw) -> BatchT:
        """The batch of a draw."""
        ...


def _selected(survey: Survey, star: Rows, splits: Sequence[str] | str | None) -> Rows:
    """Rows whose star is in the splits; None means all."""
    if splits is None:
        return np.arange(len(star))
    return np.flatnonzero(np.isin(survey.split, [splits] if isinstance(splits, str) else list(splits))[star])


class _Labels:
    """Label columns, ready to be picked from."""

    def __init__(self, survey: Survey, names: Sequence[str]) -> None:
        self._columns = {name: survey.labels(name).astype(np.float32) for name in names}

    def of(self, star: Rows) -> Labels:
        return {name: torch.from_numpy(column[star]) for name, column in self._columns.items()}


def _count_rates(survey: Survey) -> NDArray[np.float32]:
    """(n_lightcurves,) electrons a second: as the file had them, else by the magnitude; NaN where unknown."""
    told = survey.lightcurve_column("median_flux").astype(np.float64)
    by_magnitude = counts_of(torch.from_numpy(survey.lightcurve_column("magnitude").astype(np.float64)))
    return np.where(told > 0, told, by_magnitude.numpy()).astype(np.float32)


class LightCurveDataset(Dataset[LightCurveBatch]):
    """Light curves of some splits, as random crops.

    Parameters
    ----------
    survey
        The survey.
    splits
        Names of splits, or None for all stars.
    length
        Cadences a crop; a shorter light curve is padded with NaN at its end.
    views
        Crops of each light curve, drawn independently.
    labels
        Names of labels to give along.
    min_valid
        Least share of good samples of a crop. If `TRIES` draws find none, the best of them is taken.
    crop
        ``"random"``; ``"best"``: always the window with most good samples (the first such), for use.
    """

    def __init__(
        self,
        survey: Survey,
        splits: Sequence[str] | str | None,
        length: int,
        views: int = 1,
        labels: Sequence[str] = (),
        min_valid: float = 0.05,
        crop: Literal["random", "best"] = "random",
    ) -> None:
        self.survey, self.length, self.views, self.min_valid = survey, length, views, min_valid
        self.crop = crop
        self.rows = _selected(survey, survey.lightcurve_star, splits)
        self.star = survey.lightcurve_star[self.rows]
        self._rates = _count_rates(survey)
        self._labels = _Labels(survey, labels)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, draw: Draw) -> LightCurveBatch:
        """The batch of a draw."""
        return self.fetch(self.rows[draw.items], draw.seed, draw.epoch)

    def fetch(self, rows: Rows, seed: int = 0, epoch: int = 0) -> LightCurveBatch:
        """The batch of some rows of the survey."""
        flux = np.full((len(rows), self.views, self.length), np.nan, dtype=np.float32)
        for place, row in enumerate(rows.tolist()):
            curve = self.survey.lightcurve_flux(row)
            if len(curve) <= self.length:
                flux[place, :, : len(curve)] = curve
            elif self.crop == "best":
                flux[place] = curve[best_window(curve, self.length)]
            else:
                generator = epoch_generator(seed, epoch, row)
                for view in range(self.views):
                    flux[place, view] = self._random_crop(curve, generator)
        star = self.survey.lightcurve_star[rows]
        return LightCurveBatch(
            flux=torch.from_numpy(flux),
            labels=self._labels.of(star),
            star=torch.from_numpy(star),
            row=torch.from_numpy(rows),
            count_rate=torch.from_numpy(self._rates[rows]),
        )

    def _random_crop(self, curve: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        best, best_good = curve[: self.length], -1
        for start in generator.integers(0, len(curve) - self.length + 1, TRIES).tolist():
            crop = curve[start : start + self.length]
            good = int(np.count_nonzero(crop == crop))
            if good >= self.min_valid * self.length:
                return crop
            if good > best_good:
                best, best_good = crop, good
        return best


class SpectrumDataset(Dataset[SpectrumBatch]):
    """Spectra of some splits.

    Parameters
    ----------
    survey, splits, labels
        As in `LightCurveDataset`.
    min_snr_g
        Leave out spectra whose S/N in g is known and lower.
    grid
        The pixels that a model reads; a spectrum on another grid is refused.
    resample
        Resample such a spectrum instead.
    """

    def __init__(
        self,
        survey: Survey,
        splits: Sequence[str] | str | None,
        labels: Sequence[str] = (),
        min_snr_g: float = 0.0,
        grid: SpectrumGrid = DEFAULT_GRID,
        resample: bool = False,
    ) -> None:
        self.survey, self.grid, self.resample = survey, grid, resample
        self._snr = survey.spectrum_column("snr_g").astype(np.float32)
        self._z = survey.spectrum_column("z").astype(np.float64)
        self._helio_rv = survey.spectrum_column("helio_rv").astype(np.float32)
        rows = _selected(survey, survey.spectrum_star, splits)
        self.rows = rows[~(self._snr[rows] < min_snr_g)]
        self.star = survey.spectrum_star[self.rows]
        self._labels = _Labels(survey, labels)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, draw: Draw) -> SpectrumBatch:
        """The batch of a draw."""
        return self.fetch(self.rows[draw.items])

    def fetch(self, rows: Rows) -> SpectrumBatch:
        """The batch of some rows of the survey.

        Raises
        ------
        ModelError
            If one is on another grid than `grid`, and `resample` is not set.
        """
        arrays, starts = [], np.empty(len(rows), dtype=np.float64)
        for place, row in enumerate(rows.tolist()):
            grid, pixels = self.survey.spectrum_grid(row), self.survey.spectrum_arrays(row)
            if not self.grid.holds(grid):
                spectrum = fitting(self.survey.spectrum(row), self.grid, self.resample)
                grid, pixels = spectrum.grid, (spectrum.flux, spectrum.ivar)
            arrays.append(pixels)
            starts[place] = grid.start
        star = self.survey.spectrum_star[rows]
        return SpectrumBatch(
            flux=padded([flux for flux, _ in arrays], self.grid.size),
            ivar=padded([ivar for _, ivar in arrays], self.grid.size),
            z=torch.from_numpy(self._z[rows]),
            log_wavelength_start=torch.from_numpy(starts),
            snr_g=torch.from_numpy(self._snr[rows]),
            labels=self._labels.of(star),
            star=torch.from_numpy(star),
            row=torch.from_numpy(rows),
            helio_rv=torch.from_numpy(self._helio_rv[rows]),
        )


class PairDataset(Dataset[PairBatch]):
    """Stars that have both a light curve and a spectrum; one of each is drawn every epoch.

    Parameters
    ----------
    survey, splits, length, views, labels, min_valid, crop
        As in `LightCurveDataset`. With ``crop="best"`` the choice is not random either: the light curve with
        most good samples and the spectrum of highest S/N in g.
    """

    def __init__(
        self,
        survey: Survey,
        splits: Sequence[str] | str | None,
        length: int,
        views: int = 1,
        labels: Sequence[str] = (),
        min_valid: float = 0.05,
        crop: Literal["random", "best"] = "random",
    ) -> None:
        self.crop = crop
        self._lightcurves = LightCurveDataset(survey, splits, length, views, labels, min_valid, crop)
        self._spectra = SpectrumDataset(survey, splits, labels)
        self.star = np.intersect1d(self._lightcurves.star, self._spectra.star)
        self._curves_by_star = lightcurves_of(survey, self._lightcurves.rows)
        self._spectra_by_star = spectra_of(survey, self._spectra.rows)

    def __len__(self) -> int:
        return len(self.star)

    def __getitem__(self, draw: Draw) -> PairBatch:
        """The batch of a draw."""
        chance = np.zeros((2, len(draw.items)))
        if self.crop == "random":
            for place, star in enumerate(self.star[draw.items].tolist()):
                chance[:, place] = epoch_generator(draw.seed, draw.epoch, star, 1).random(2)
        curves = self._curves_by_star.choose(self.star[draw.items], chance[0])
        spectra = self._spectra_by_star.choose(self.star[draw.items], chance[1])
        lightcurve = self._lightcurves.fetch(curves, draw.seed, draw.epoch)
        return PairBatch(lightcurve, self._spectra.fetch(spectra))


def make_loader(
    dataset: SurveyDataset[Any],
    batch_size: int,
    seed: int = 0,
    shuffle: bool = True,
    workers: int = 0,
    skip: int = 0,
    drop_last: bool = False,
    *,
    epochs: int | None = None,
    unique_stars: bool = False,
    rank: int | None = None,
    world: int | None = None,
    pin_memory: bool = False,
) -> DataLoader[Any]:
    """Go through a data set batch by batch, in an order that depends on the arguments alone.

    Parameters
    ----------
    dataset
        `LightCurveDataset`, `SpectrumDataset` or `PairDataset`.
    batch_size
        Items a batch and process.
    seed
        Of the order and of the crops.
    shuffle
        Draw a new order every epoch; otherwise the survey's.
    workers
        Processes that prepare batches ahead; 0: none. They change nothing in the batches.
    skip
        Batches of this process to leave out, as done before an interruption (counted over all epochs).
    drop_last
        Leave out an epoch's last items that fill no batch.
    epochs
        How many; None: without end if shuffled, else one.
    unique_stars
        Each star once an epoch, by one of its items; see `UniqueStarSampler`.
    rank, world
        This process's place; None: that in torch.distributed, if it runs.
    pin_memory
        For copies to a GPU.
    """
    if world is None or rank is None:
        running = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, world = (
            (torch.distributed.get_rank(), torch.distributed.get_world_size()) if running else (0, 1)
        )
    sampler = (UniqueStarSampler if unique_stars else ItemSampler)(dataset.star, seed, shuffle)
    order = BatchOrder(
        sampler,
        batch_size,
        epochs=1 if epochs is None and not shuffle else epochs,
        skip=skip,
        drop_last=drop_last,
        rank=rank,
        world=world,
    )
    return loader_of(dataset, order, workers, pin_memory)


def loader_of(
    dataset: Any, order: Sampler[Any], workers: int = 0, pin_memory: bool = False
) -> DataLoader[Any]:
    """The batches of an order's draws; parameters as `make_loader`'s."""
    return DataLoader(
        dataset,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        generator=torch.Generator(),
        prefetch_factor=4 if workers else None,
        worker_init_fn=_leave_interrupts_to_the_parent,
    )


def _leave_interrupts_to_the_parent(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the parent decides when its workers end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
