"""Does a kind of object keep together in an embedding? Nearest neighbours say, beside chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from desa.evaluation.few_shot import standardised
from desa.evaluation.metrics import auc, auc_error
from desa.evaluation.score import Score

Array = NDArray[np.float64]

NEIGHBOURS = 10
PERMUTATIONS = 200


def nearest(features: ArrayLike, count: int = NEIGHBOURS) -> NDArray[np.int64]:
    """(N, count) the nearest other rows, in standardised features."""
    values = standardised(np.asarray(features))
    distance = cdist(values, values)
    np.fill_diagonal(distance, np.inf)
    return np.asarray(np.argsort(distance, axis=1, kind="stable")[:, :count], dtype=np.int64)


def separation(
    features: ArrayLike, member: NDArray[np.bool_], task: str, kind: str, seed: int = 0
) -> list[Score]:
    """How well an object's neighbours tell whether it is of a kind.

    Parameters
    ----------
    features
        (N, D).
    member
        (N,) whether an object is of the kind.
    task, kind
        Of the scores: their task and label.
    seed
        Of the permutations.

    Returns
    -------
    list of Score
        ``auc``: area under the ROC curve of the share of members among the `NEIGHBOURS` nearest other
        objects, with its standard error; ``auc_permuted``: the same with the kinds permuted, mean and
        standard deviation. That is its chance, and lies below 0.5, since an object is none of its own
        neighbours. Both count the members. Empty without members or without others.
    """
    near, rng = nearest(features), np.random.default_rng(seed)
    inside, outside = int(member.sum()), int((~member).sum())
    if not inside or not outside:
        return []

    def area(of: NDArray[np.bool_]) -> float:
        return auc(of, of[near].mean(axis=1))

    found = area(member)
    permuted = [area(rng.permutation(member)) for _ in range(PERMUTATIONS)]
    chance, spread = float(np.mean(permuted)), float(np.std(permuted, ddof=1))
    return [
        Score(task, kind, "auc", found, auc_error(found, inside, outside), chance, inside),
        Score(task, kind, "auc_permuted", chance, spread, chance, inside),
    ]


def neighbour_error(features: ArrayLike, values: Array) -> tuple[float, float]:
    """Mean |value - mean of the neighbours' values|, and its standard error."""
    near = nearest(features)
    size = np.abs(values - values[near].mean(axis=1))
    return float(size.mean()), float(size.std(ddof=1) / np.sqrt(len(size)))
