"""Who is nearest to a row of a table in the embedding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from desa.explore.table import ExploreTable

CHUNK = 100_000


class Neighbours:
    """Nearest rows by Euclidean distance, exact, without an index.

    A row is compared by the first kind of vector that it has, with the rows that have it too.

    Parameters
    ----------
    table
        The table.
    first
        The kind of vector to prefer.
    """

    def __init__(self, table: ExploreTable, first: str) -> None:
        self._table = table
        self._names = (first, *(name for name in table.vector_names if name != first))
        self._held: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}

    def _vectors(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if name not in self._held:
            self._held[name] = self._table.vectors(name)
        return self._held[name]

    def nearest(self, row: int, k: int) -> tuple[str, NDArray[np.int64], NDArray[np.float32]]:
        """The vectors' name, and the `k` nearest other rows with their distances, nearest first.

        Empty where the row has no vector.
        """
        for name in self._names:
            rows, vectors = self._vectors(name)
            place = int(np.searchsorted(rows, row))
            if place < len(rows) and rows[place] == row:
                nearest, distances = _nearest(vectors, place, k)
                return name, rows[nearest], distances
        return "", np.zeros(0, np.int64), np.zeros(0, np.float32)


def _nearest(
    vectors: NDArray[np.float32], place: int, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    square = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), CHUNK):
        apart = vectors[start : start + CHUNK] - vectors[place]
        square[start : start + CHUNK] = np.einsum("nd,nd->n", apart, apart)
    square[place] = np.inf
    k = min(k, len(vectors) - 1)
    if k < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    found = np.argpartition(square, k - 1)[:k]
    found = found[np.argsort(square[found], kind="stable")]
    return found.astype(np.int64), np.sqrt(square[found])
