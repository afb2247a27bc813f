"""Which light curve goes with which spectrum, and batches of their features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.config import Objective
from desa.survey.selection import Pairs
from desa.survey.store import Survey


@dataclass
class FeatureBatch:
    """Features of stars with both modalities; prior None or (B, k), scaled labels None or (B, K)."""

    spectrum: Tensor
    lightcurve: Tensor
    prior: Tensor | None
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.spectrum)

    def to(self, device: torch.device) -> FeatureBatch:
        """The same on a device."""
        prior, targets = (None if x is None else x.to(device) for x in (self.prior, self.targets))
        return FeatureBatch(self.spectrum.to(device), self.lightcurve.to(device), prior, targets)


class PairLoader:
    """Batches of feature pairs, each star once an epoch, in an order that seed and epoch alone decide.

    A star with several pairs gives a random one of them: a batch that held a star twice would make its
    second pair a negative of its first.

    Parameters
    ----------
    pairs
        The pairs to go through.
    spectrum, lightcurve
        Features, row by row of the survey's tables.
    prior
        (n_stars, k) or None.
    batch_size
        Pairs a batch; the rest of an epoch that fills no batch is left out.
    seed
        Of the order.
    skip
        Batches to leave out, over all epochs.
    rank, world
        This process of how many; they share each epoch out.
    shuffle
        False: every pair, in order, once; a rest of one pair is left out (it has no variance).
    unique_stars
        False: each pair once an epoch, so that a star with several spectra may meet itself in a batch.
    targets
        (n_stars, K) scaled labels of `targets_of`, or None.
    """

    def __init__(
        self,
        pairs: Pairs,
        spectrum: NDArray[np.float32],
        lightcurve: NDArray[np.float32],
        prior: Tensor | None,
        batch_size: int,
        *,
        seed: int = 0,
        skip: int = 0,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        unique_stars: bool = True,
        targets: Tensor | None = None,
    ) -> None:
        self.targets = targets
        self.pairs, self.spectrum, self.lightcurve, self.prior = pairs, spectrum, lightcurve, prior
        self.seed, self.skip, self.rank, self.world, self.shuffle = seed, skip, rank, world, shuffle
        group = pairs.star if unique_stars else np.arange(len(pairs))
        self.rows = np.argsort(group, kind="stable")
        _, self.first, self.count = np.unique(group[self.rows], return_index=True, return_counts=True)
        self.batch_size = min(batch_size, (len(self.first) if shuffle else len(pairs)) // world)

    def __iter__(self) -> Iterator[FeatureBatch]:
        if self.batch_size < 2:
            return
        if not self.shuffle:
            order = np.arange(len(self.pairs))[self.rank :: self.world]
            for start in range(0, len(order) - 1, self.batch_size):
                yield self._pick(order[start : start + self.batch_size])
            return
        each = len(self.first) // self.world // self.batch_size
        epoch, place = divmod(self.skip, each)
        while True:
            order = self._epoch(epoch)
            for index in range(place, each):
                yield self._pick(order[index * self.batch_size : (index + 1) * self.batch_size])
            epoch, place = epoch + 1, 0

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        generator = np.random.default_rng([abs(self.seed), int(self.seed < 0), epoch])
        chosen = self.rows[self.first + generator.integers(0, self.count)]
        return np.asarray(generator.permutation(chosen)[self.rank :: self.world])

    def _pick(self, rows: NDArray[np.int64]) -> FeatureBatch:
        part = self.pairs.where(rows)
        return FeatureBatch(
            torch.from_numpy(np.array(self.spectrum[part.spectrum])),
            torch.from_numpy(np.array(self.lightcurve[part.lightcurve])),
            *(None if x is None else x[torch.from_numpy(part.star)] for x in (self.prior, self.targets)),
        )


def standardisation(
    pairs: Pairs, spectrum: NDArray[np.float32], lightcurve: NDArray[np.float32]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means and deviations of both features over pairs, for `DualFormer.set_standardisation`."""

    def constants(rows: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        mean, deviation = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64)
        scale = np.where(deviation > 1e-6, deviation, 1.0)
        return torch.from_numpy(mean).float(), torch.from_numpy(scale).float()

    return *constants(spectrum[pairs.spectrum]), *constants(lightcurve[pairs.lightcurve])


def targets_of(survey: Survey, objectives: Sequence[Objective]) -> Tensor:
    """(n_stars, K) labels of the encoders' objectives over their scales, NaN where missing."""
    columns = [
        torch.from_numpy(survey.labels(label).astype(np.float32)) / scale
        for objective in objectives
        for label, scale in zip(objective.labels, objective.scales, strict=True)
    ]
    return torch.stack(columns, dim=1)
