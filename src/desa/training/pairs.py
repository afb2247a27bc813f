"""Which light curve goes with which spectrum, and batches of their features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.config import Objective
from desa.survey.mixture import MixedOrder, Mixture, largest_batch
from desa.survey.order import UniqueStarSampler
from desa.survey.selection import Pairs, pairs_of
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


def split_pairs(survey: Survey, split: str) -> Pairs:
    """All pairs of the stars of a split."""
    pairs = pairs_of(survey)
    return pairs.where(survey.split[pairs.star] == split)


def mixed_pairs(mixture: Mixture, split: str) -> Pairs:
    """Pairs of a split, with stars, light curves and spectra numbered on through the surveys."""
    found = [np.zeros((3, 0), np.int64)]
    first = np.zeros(3, np.int64)
    for survey in mixture.surveys:
        pairs = split_pairs(survey, split)
        found.append(np.stack([pairs.star, pairs.lightcurve, pairs.spectrum]) + first[:, None])
        first = first + np.array([survey.n_stars, survey.n_lightcurves, survey.n_spectra])
    return Pairs(*np.concatenate(found, axis=1))


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
    shares, first_star
        Of several surveys: the share of each in a batch, and the number of its first star.
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
        shares: Sequence[float] = (1.0,),
        first_star: Sequence[int] | NDArray[np.int64] = (0,),
    ) -> None:
        self.targets, self.shares = targets, shares
        self.pairs, self.spectrum, self.lightcurve, self.prior = pairs, spectrum, lightcurve, prior
        self.seed, self.skip, self.rank, self.world, self.shuffle = seed, skip, rank, world, shuffle
        group = pairs.star if unique_stars else np.arange(len(pairs))
        survey = np.searchsorted(first_star, pairs.star, side="right") - 1
        self.rows = [np.flatnonzero(survey == place) for place in range(len(shares))]
        self.samplers = [UniqueStarSampler(group[rows], seed, shuffle=True) for rows in self.rows]
        self.batch_size = min(batch_size, len(pairs) // world)
        if shuffle:
            self.batch_size = largest_batch(batch_size, list(map(len, self.samplers)), shares, world)

    def __iter__(self) -> Iterator[FeatureBatch]:
        if self.batch_size < 2:
            return
        if not self.shuffle:
            order = np.arange(len(self.pairs))[self.rank :: self.world]
            for start in range(0, len(order) - 1, self.batch_size):
                yield self._pick(order[start : start + self.batch_size])
            return
        order_of_all = MixedOrder(
            self.samplers, self.shares, self.batch_size, skip=self.skip, rank=self.rank, world=self.world
        )
        for draws in order_of_all:
            chosen = [rows[draw.items] for rows, draw in zip(self.rows, draws, strict=True)]
            yield self._pick(np.concatenate(chosen))

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
