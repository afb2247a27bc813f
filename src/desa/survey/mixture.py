"""Several surveys as one to train on: each gives its share of every batch, and its stars keep their kind."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from desa.errors import SettingsError
from desa.survey.batches import LightCurveBatch, LightCurveDataset, SpectrumBatch, SpectrumDataset
from desa.survey.order import BatchOrder, Draw, ItemSampler, epoch_generator
from desa.survey.store import Survey


@dataclass(frozen=True, eq=False)
class Mixture:
    """Surveys with weights.

    Parameters
    ----------
    surveys
        One or more.
    weights
        One each, positive; their shares of a batch are in proportion to these.
    """

    surveys: tuple[Survey, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, given: SurveysLike) -> Mixture:
        """Open what a caller gave: a survey, its folder, ``FOLDER=WEIGHT``, or several of these.

        A folder without a weight has the weight 1.

        Raises
        ------
        SettingsError
            If none is given, one is given twice, or a weight is not positive.
        SurveyError
            If a folder holds no survey.
        """
        if isinstance(given, Mixture):
            return given
        items = [given] if isinstance(given, Survey | str | Path) else list(given)
        pairs = [_weighted(item) for item in items]
        surveys = [item if isinstance(item, Survey) else Survey.open(item) for item, _ in pairs]
        if not surveys:
            raise SettingsError("give a survey")
        if len({survey.identity for survey in surveys}) < len(surveys):
            raise SettingsError("the same survey is given twice; give it once, with the sum of the weights")
        return cls(tuple(surveys), tuple(weight for _, weight in pairs))

    def __len__(self) -> int:
        return len(self.surveys)

    @property
    def shares(self) -> tuple[float, ...]:
        """Of a batch; they add up to 1."""
        return tuple(weight / sum(self.weights) for weight in self.weights)

    @property
    def identity(self) -> str:
        """The survey's own, or a hash of all and their shares."""
        if len(self) == 1:
            return self.surveys[0].identity
        described = [
            [survey.identity, share] for survey, share in zip(self.surveys, self.shares, strict=True)
        ]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]

    @property
    def data(self) -> str:
        """What the data are: ``"mock survey"``, ``"mock survey and real survey"``."""
        return " and ".join(f"{kind} survey" for kind in sorted({survey.kind for survey in self.surveys}))

    @property
    def first_star(self) -> NDArray[np.int64]:
        """Number that each survey's first star has, where the stars are numbered on through the surveys."""
        return np.cumsum([0, *(survey.n_stars for survey in self.surveys[:-1])])

    def kinds_of(self, star: NDArray[np.int64]) -> NDArray[np.str_]:
        """``"real"``, ``"mock"`` or ``"unknown"`` of stars by these numbers."""
        kinds = np.array([survey.kind for survey in self.surveys])
        return np.asarray(kinds[np.searchsorted(self.first_star, star, side="right") - 1])

    def only(self, chosen: Sequence[bool]) -> Mixture:
        """Some of the surveys."""
        pairs = zip(self.surveys, self.weights, strict=True)
        kept = [pair for pair, wanted in zip(pairs, chosen, strict=True) if wanted]
        return Mixture(tuple(survey for survey, _ in kept), tuple(weight for _, weight in kept))

    def facts(self, stars: Sequence[int]) -> list[dict[str, Any]]:
        """JSON-ready: kind, identity, share and number of training stars of each survey."""
        columns = zip(self.surveys, self.shares, stars, strict=True)
        return [
            {"kind": survey.kind, "survey": survey.identity, "share": share, "stars": count}
            for survey, share, count in columns
        ]


SurveysLike = Survey | str | Path | Mixture | Sequence[Survey | str | Path]
"""What training takes for its data."""


def _weighted(item: Survey | str | Path) -> tuple[Survey | str | Path, float]:
    if isinstance(item, Survey) or Path(item).is_dir():
        return item, 1.0
    folder, equals, text = str(item).rpartition("=")
    if not equals:
        return item, 1.0
    try:
        weight = float(text)
    except ValueError:
        return item, 1.0
    if not (math.isfinite(weight) and weight > 0):
        raise SettingsError(f"{item}: a survey's weight must be a positive number")
    return folder, weight


def counts_of_batch(shares: Sequence[float], size: int, seed: int, number: int) -> list[int]:
    """How many of a batch come from each survey: its share of them, rounded up or down, exact on average.

    Parameters
    ----------
    shares
        They add up to 1.
    size
        Of the batch.
    seed, number
        The run's seed and the batch's number decide the rounding.
    """
    # The places (i + start) / size, i = 0 .. size - 1, fall into intervals that are as long as the shares.
    start = epoch_generator(seed, number, 2).random()
    edges = np.ceil(size * np.cumsum(shares) - start).clip(0, size).astype(int)
    edges[-1] = size
    return [int(count) for count in np.diff(edges, prepend=0)]


def largest_batch(size: int, items: Sequence[int], shares: Sequence[float], world: int) -> int:
    """The size of a batch, or less where a survey has too few items to give its share of one."""
    most = (int(count // world / share + 1e-9) for count, share in zip(items, shares, strict=True))
    return max(1, min(size, *most))


class MixedOrder(Sampler[tuple[Draw, ...]]):
    """The endless batches of one process: of each survey a draw.

    Each survey is gone through in its own epochs. It sets aside its share rounded up for each batch, so that
    the place in its epoch is a function of the batch's number alone.

    Parameters
    ----------
    samplers
        The items of each survey, all of one seed.
    shares
        Of each survey in a batch; they add up to 1.
    batch_size
        Items a batch and process.
    skip
        Batches (of this process) to leave out at the start, as done already.
    rank, world
        Which process this is, of how many.
    """

    def __init__(
        self,
        samplers: Sequence[ItemSampler],
        shares: Sequence[float],
        batch_size: int,
        *,
        skip: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.shares, self.batch_size, self.skip, self.seed = shares, batch_size, skip, samplers[0].seed
        self.orders = [
            BatchOrder(
                sampler,
                max(1, math.ceil(batch_size * share - 1e-9)),
                epochs=None,
                skip=skip,
                drop_last=True,
                rank=rank,
                world=world,
            )
            for sampler, share in zip(samplers, shares, strict=True)
        ]

    def __iter__(self) -> Iterator[tuple[Draw, ...]]:
        """Go through the batches."""
        for number, draws in enumerate(zip(*self.orders, strict=True), self.skip):
            counts = counts_of_batch(self.shares, self.batch_size, self.seed, number)
            yield tuple(
                replace(draw, items=draw.items[:count]) for draw, count in zip(draws, counts, strict=True)
            )


class MixedDataset(Dataset[Any]):
    """Light curves or spectra of a mixture; its stars are numbered on through the surveys.

    Parameters
    ----------
    parts
        A data set of each survey.
    mixture
        The surveys.
    """

    def __init__(self, parts: Sequence[LightCurveDataset | SpectrumDataset], mixture: Mixture) -> None:
        self.parts, self.first_star = parts, mixture.first_star.tolist()

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, draws: tuple[Draw, ...]) -> LightCurveBatch | SpectrumBatch:
        """The batch of a draw of each survey."""
        batches: list[Any] = []
        for part, first, draw in zip(self.parts, self.first_star, draws, strict=True):
            if len(draw.items):
                batch: Any = part[draw]
                batches.append(replace(batch, star=batch.star + first))
        joined: LightCurveBatch | SpectrumBatch = batches[0] if len(batches) == 1 else _joined(batches)
        return joined


def _joined(batches: Sequence[Any]) -> Any:
    """One batch of several; the rows of their own surveys' tables are left out."""
    found: dict[str, Any] = {}
    for name in (field.name for field in fields(batches[0])):
        values = [getattr(batch, name) for batch in batches]
        if name == "row" or any(value is None for value in values):
            found[name] = None
        elif name == "labels":
            found[name] = {label: torch.cat([value[label] for value in values]) for label in values[0]}
        else:
            found[name] = torch.cat(_as_wide(values))
    return replace(batches[0], **found)


def _as_wide(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors made equally wide in their last dimension, by zeros: pixels with no weight."""
    if tensors[0].dim() == 1:
        return list(tensors)
    width = max(tensor.shape[-1] for tensor in tensors)
    return [F.pad(tensor, (0, width - tensor.shape[-1])) for tensor in tensors]
