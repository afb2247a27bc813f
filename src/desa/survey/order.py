"""The order of a data set: a function of seed, epoch and rank, so it can be taken up anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Items = NDArray[np.int64]


@dataclass(frozen=True)
class Draw:
    """One batch to fetch: which items, and what its random crops are drawn from."""

    items: Items
    seed: int
    epoch: int


def epoch_generator(seed: int, epoch: int, *more: int) -> np.random.Generator:
    """Random numbers that belong to an epoch (and to whatever `more` numbers name)."""
    return np.random.default_rng([abs(seed), int(seed < 0), epoch, *more])


class ItemSampler:
    """Every item once an epoch, shuffled or in order."""

    def __init__(self, star: Items, seed: int, shuffle: bool) -> None:
        self.star, self.seed, self.shuffle = star, seed, shuffle

    def __len__(self) -> int:
        """Items an epoch."""
        return len(self.star)

    def items(self, epoch: int) -> Items:
        """Items of an epoch, in order."""
        order = np.arange(len(self.star))
        return epoch_generator(self.seed, epoch).permutation(order) if self.shuffle else order


class UniqueStarSampler(ItemSampler):
    """Every star once an epoch, by one of its items, drawn at random.

    No batch then holds a star twice: a contrastive loss would take its second spectrum for another star's.
    """

    def __init__(self, star: Items, seed: int, shuffle: bool) -> None:
        super().__init__(star, seed, shuffle)
        self._by_star = np.argsort(star, kind="stable")
        _, self._first, self._count = np.unique(star[self._by_star], return_index=True, return_counts=True)

    def __len__(self) -> int:
        """Stars an epoch."""
        return len(self._first)

    def items(self, epoch: int) -> Items:
        """One item of each star."""
        generator = epoch_generator(self.seed, epoch)
        chosen = self._first + generator.integers(0, self._count) if len(self) else self._first
        items = self._by_star[chosen]
        return generator.permutation(items) if self.shuffle else items


class BatchOrder(Sampler[Draw]):
    """The batches of one process, over all epochs or some.

    Parameters
    ----------
    sampler
        The items of an epoch.
    batch_size
        Items a batch and process.
    epochs
        How many; None: without end.
    skip
        Batches (of this process) to leave out at the start, as done already.
    drop_last
        Leave out the items at an epoch's end that fill no batch. If that would leave none at all, the
        epoch is one smaller batch. Otherwise all items come. Every process has equally many batches; items
        come twice only where there are fewer than processes times batches.
    rank, world
        Which process this is, of how many; they share an epoch's items out between them.
    """

    def __init__(
        self,
        sampler: ItemSampler,
        batch_size: int,
        *,
        epochs: int | None,
        skip: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or skip < 0 or not 0 <= rank < world:
            raise ValueError(f"impossible: batch_size {batch_size}, skip {skip}, rank {rank} of {world}")
        self.sampler, self.batch_size, self.epochs, self.skip = sampler, batch_size, epochs, skip
        self.drop_last, self.rank, self.world = drop_last, rank, world

    @property
    def batches_per_epoch(self) -> int:
        """Batches an epoch in each process."""
        share = len(self.sampler) / self.world
        if self.drop_last and share >= self.batch_size:
            return int(share // self.batch_size)
        return int(np.ceil(np.ceil(share) / self.batch_size))

    def __len__(self) -> int:
        """Batches from here to the end."""
        if self.epochs is None:
            raise TypeError("an order without end has no length")
        return max(0, self.epochs * self.batches_per_epoch - self.skip)

    def __iter__(self) -> Iterator[Draw]:
        """Go through the batches that are left."""
        each = self.batches_per_epoch
        if each == 0:
            return
        epoch, skip = divmod(self.skip, each)
        while self.epochs is None or epoch < self.epochs:
            for items in self._epoch(epoch)[skip:]:
                yield Draw(items, self.sampler.seed, epoch)
            epoch, skip = epoch + 1, 0

    def _epoch(self, epoch: int) -> list[Items]:
        items, each = self.sampler.items(epoch), self.batches_per_epoch
        own = items[self.rank :: self.world]
        if self.drop_last and len(items) >= self.batch_size * self.world:
            return np.split(own[: each * self.batch_size], each)
        if self.world == 1:
            return [own[n * self.batch_size : (n + 1) * self.batch_size] for n in range(each)]
        own = own if len(own) >= each else np.resize(items, each)
        return np.array_split(own, each)
