"""Does a kind of object keep together in an embedding? Nearest neighbours say, beside chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

Array = NDArray[np.float64]

NEIGHBOURS = 10
PERMUTATIONS = 200


@dataclass(frozen=True)
class Separation:
    """How well an object's neighbours tell whether it is of a kind.

    Parameters
    ----------
    kind
        What is told apart from the rest.
    members, others
        Numbers of objects.
    auc, auc_err
        Area under the ROC curve of the share of members among the `NEIGHBOURS` nearest other objects,
        and its standard error (Hanley & McNeil 1982).
    chance, chance_err
        The same with the kinds permuted: mean and standard deviation. Below 0.5, since an object is
        none of its own neighbours.
    """

    kind: str
    members: int
    others: int
    auc: float
    auc_err: float
    chance: float
    chance_err: float


def standardised(features: ArrayLike) -> Array:
    """Columns to mean 0 and standard deviation 1; constant ones are left out."""
    values = np.asarray(features, dtype=np.float64)
    spread = values.std(axis=0)
    kept = spread > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-30)
    return np.asarray((values[:, kept] - values[:, kept].mean(axis=0)) / spread[kept])


def nearest(features: ArrayLike, count: int = NEIGHBOURS) -> NDArray[np.int64]:
    """(N, count) the nearest other rows, in standardised features."""
    values = standardised(features)
    distance = cdist(values, values)
    np.fill_diagonal(distance, np.inf)
    return np.asarray(np.argsort(distance, axis=1, kind="stable")[:, :count], dtype=np.int64)


def auc(score: Array, member: NDArray[np.bool_]) -> float:
    """Area under the ROC curve (Mann-Whitney); ties count half. NaN where a class is empty."""
    inside, outside = int(member.sum()), int((~member).sum())
    if not inside or not outside:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[member].sum() - inside * (inside + 1) / 2) / (inside * outside))


def auc_error(area: float, members: int, others: int) -> float:
    """Standard error of an area under the ROC curve (Hanley & McNeil 1982)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (members - 1) * (q1 - area**2) + (others - 1) * (q2 - area**2)
    return float(np.sqrt(variance / (members * others)))


def separation(features: ArrayLike, member: NDArray[np.bool_], kind: str, seed: int = 0) -> Separation:
    """Measure one kind in one set of features (N, D); see `Separation`."""
    near = nearest(features)
    rng = np.random.default_rng(seed)

    def area(of: NDArray[np.bool_]) -> float:
        return auc(of[near].mean(axis=1), of)

    found = area(member)
    chances = [area(rng.permutation(member)) for _ in range(PERMUTATIONS)]
    inside, outside = int(member.sum()), int((~member).sum())
    error = auc_error(found, inside, outside) if inside and outside else float("nan")
    return Separation(
        kind, inside, outside, found, error, float(np.mean(chances)), float(np.std(chances, ddof=1))
    )


def neighbour_error(features: ArrayLike, values: Array) -> tuple[float, float]:
    """Mean |value - mean of the neighbours' values|, and its standard error."""
    near = nearest(features)
    size = np.abs(values - values[near].mean(axis=1))
    return float(size.mean()), float(size.std(ddof=1) / np.sqrt(len(size)))
