"""Who is nearest to a row of a table in the embedding."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from desa.explore.table import ExploreTable
from desa.search.beside import index_of, index_path
from desa.search.index import Index


class Neighbours:
    """Nearest rows by Euclidean distance.

    A row is compared by the first kind of vector that it has, with the rows that have it too: by the index
    that ``desa search`` has kept beside the table, else by all of them, which takes a tenth of a second for a
    million.

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
        self._made: dict[str, Index] = {}
        self._lock = threading.Lock()

    def _index(self, name: str) -> Index:
        with self._lock:
            if name not in self._made:
                path = self._table.path
                kept = index_path(path, name, "euclidean").exists()
                self._made[name] = (
                    index_of(path, name)
                    if kept
                    else Index.build(self._table.vector_table(name), by=name, kind="exact")
                )
            return self._made[name]

    def nearest(self, row: int, k: int) -> tuple[str, NDArray[np.int64], NDArray[np.float32]]:
        """The vectors' name, and the `k` nearest other rows with their distances, nearest first.

        Empty where the row has no vector.
        """
        for name in self._names:
            index = self._index(name)
            vector = index.vector(row)
            if vector is not None:
                rows, distances = index.neighbours(vector, k, exclude=row)
                return name, rows[0], distances[0]
        return "", np.zeros(0, np.int64), np.zeros(0, np.float32)
