"""Who is nearest to a row of a table in the embedding."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desa.explore.table import ExploreTable
from desa.search.beside import Say, index_of, index_path
from desa.search.engines import faiss_or_none
from desa.search.index import EXACT_UP_TO, Index

TOGETHER = 32
"""Searches that are answered at once: comparing so many with a million rows takes little longer than one."""


@dataclass(eq=False)
class _Wanted:
    """A search that waits for its turn, and what it found."""

    name: str
    row: int
    vector: NDArray[np.float32]
    k: int
    found: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None


class Neighbours:
    """Nearest rows by Euclidean distance.

    A row is compared by the first kind of vector that it has, with the rows that have it too: by the index
    that ``desa search`` has kept beside the table, else by all of them. That takes a tenth of a second for a
    million, so that for many rows `prepare` makes an index meanwhile, which takes a thousandth.

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
        self._making, self._searching = threading.Lock(), threading.Lock()
        self._queueing, self._waiting = threading.Lock(), list[_Wanted]()

    def prepare(self, say: Say) -> threading.Thread | None:
        """Make the index of the first kind of vector, and keep it beside the table; in a thread of its own.

        None where there are few rows, no faiss, or the index is there.
        """
        name, path = self._names[0], self._table.path
        kept = index_path(path, name, "euclidean").exists()
        if len(self._table) <= EXACT_UP_TO or faiss_or_none() is None or kept:
            return None

        def make() -> None:
            found = index_of(path, name, say=say)
            with self._making:
                self._made[name] = found

        thread = threading.Thread(target=make, name="index of neighbours", daemon=True)
        thread.start()
        return thread

    def _index(self, name: str) -> Index:
        with self._making:
            if name not in self._made:
                path = self._table.path
                kept = index_path(path, name, "euclidean").exists()
                self._made[name] = (
                    index_of(path, name)
                    if kept
                    else Index.build(self._table.vector_table(name), by=name, kind="exact")
                )
            return self._made[name]

    def nearest(
        self, row: int, k: int, first: str = ""
    ) -> tuple[str, NDArray[np.int64], NDArray[np.float32]]:
        """The vectors' name, and the `k` nearest other rows with their distances, nearest first.

        Parameters
        ----------
        row
            The row; where it has no vector, nothing is near.
        k
            How many.
        first
            The kind of vector to prefer; empty: the one given at the start.
        """
        for name in dict.fromkeys((first, *self._names) if first else self._names):
            index = self._index(name)
            vector = index.vector(row)
            if vector is not None:
                return name, *self._search(index, _Wanted(name, row, vector, k))
        return "", np.zeros(0, np.int64), np.zeros(0, np.float32)

    def _search(self, index: Index, wanted: _Wanted) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Search once those before have been answered, together with those that wait meanwhile."""
        with self._queueing:
            self._waiting.append(wanted)
        # One at a time: a search uses all cores, and many at once only their memory.
        with self._searching:
            if wanted.found is None:
                with self._queueing:
                    alike = [
                        other for other in self._waiting if other.name == wanted.name and other is not wanted
                    ]
                    batch = [wanted, *alike[: TOGETHER - 1]]
                    self._waiting = [other for other in self._waiting if other not in batch]
                most = max(other.k for other in batch) + 1  # the row itself may be among them
                rows, distances = index.neighbours(np.stack([other.vector for other in batch]), most)
                for other, its_rows, its_distances in zip(batch, rows, distances, strict=True):
                    others = its_rows != other.row
                    other.found = its_rows[others][: other.k], its_distances[others][: other.k]
            assert wanted.found is not None
            return wanted.found
