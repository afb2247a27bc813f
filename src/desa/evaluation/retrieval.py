"""Finding a star's spectrum by its light curve among all test stars, and the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.evaluation.metrics import LEAST
from desa.evaluation.score import Score

Array = NDArray[np.float64]
RANKS = (1, 10)
ROWS = 2048
"""Queries at once."""


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    x = np.asarray(rows, dtype=np.float32)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def ranks(query: NDArray[Any], found: NDArray[Any]) -> Array:
    """(N,) rank of row i of `found` for row i of `query`, by cosine; 1 is best, ties count half.

    Features that are all alike so give the middle rank, not the first.
    """
    a, b = _unit(query), _unit(found)
    parts = []
    for start in range(0, len(a), ROWS):
        similarity = a[start : start + ROWS] @ b.T
        own = similarity[np.arange(len(similarity)), start + np.arange(len(similarity))][:, None]
        above = (similarity > own + 1e-6).sum(axis=1)
        alike = (np.abs(similarity - own) <= 1e-6).sum(axis=1) - 1
        parts.append(1.0 + above + 0.5 * alike)
    return np.concatenate(parts)


def retrieval(
    spectrum: NDArray[Any], lightcurve: NDArray[Any], split: NDArray[np.str_], *, seed: int = 0
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """Recall at 1 and 10, and the median rank over the number of stars, in both directions.

    Parameters
    ----------
    spectrum, lightcurve
        (N, k) of the same stars, each made from its modality alone; (N, 0) if the model has none.
    split
        (N,); only test stars take part.
    seed
        Of the bootstrap.

    Returns
    -------
    tuple
        Scores and ``<direction>/rank``; both empty where there is nothing to compare.
    """
    test = np.asarray(split) == "test"
    count = int(test.sum())
    if not spectrum.shape[1] or spectrum.shape[1] != lightcurve.shape[1] or count < LEAST:
        return [], {}
    scores, arrays = list[Score](), dict[str, NDArray[Any]]()
    pairs = {
        "spectrum of light curve": (lightcurve[test], spectrum[test]),
        "light curve of spectrum": (spectrum[test], lightcurve[test]),
    }
    draws = np.random.default_rng(seed).integers(0, count, (200, count))
    for name, (query, found) in pairs.items():
        place = ranks(query, found)
        arrays[f"{name}/rank"] = place
        for rank in RANKS:
            share = float(np.mean(place <= rank))
            error = float(np.sqrt(share * (1 - share) / count))
            chance = min(1.0, rank / count)
            scores.append(Score("retrieval", name, f"recall_{rank}", share, error, chance, count))
        spread = float(np.median(place[draws], axis=1).std(ddof=1)) / count
        middle = float(np.median(place)) / count
        scores.append(Score("retrieval", name, "median_rank", middle, spread, 0.5 * (1 + 1 / count), count))
    return scores, arrays
