"""`desa.Index`: nearest neighbours among vectors, with conditions on their columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from astropy.table import Table
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from desa.errors import DamagedFile, SettingsError
from desa.files import regular, written_whole
from desa.search import engines
from desa.search.data import arrow_table, as_queries, plain_columns, vectors_of
from desa.search.where import chosen_rows

KINDS: Final = ("auto", "exact", "ivf", "hnsw")
METRICS: Final = ("euclidean", "cosine")
FORMAT: Final = "desa index 2"

EXACT_UP_TO: Final = 100_000
"""So many vectors are searched exactly by default: one query takes some 10 ms on one core."""

FEW: Final = 20_000
"""So few rows that a condition leaves are searched exactly, which is as quick as an index."""

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


class Index:
    """Vectors that can be searched; made by `build` or `load`.

    Attributes
    ----------
    kind
        ``"exact"``, ``"ivf"`` or ``"hnsw"``.
    metric
        ``"euclidean"``, or ``"cosine"``: distance is 1 - cosine.
    by
        The column that the vectors are from.
    rows
        (M,) row of the table of each vector: rows without a vector are in no index.
    columns
        The table's columns that are no vectors, for conditions and results; more may be put in.
    facts
        What the index is of; free.
    """

    def __init__(
        self,
        vectors: Floats,
        rows: Rows,
        columns: pa.Table,
        *,
        by: str,
        kind: str,
        metric: str,
        graph: Any = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self._vectors, self._graph = vectors, graph
        self.rows, self.columns, self.by, self.kind, self.metric = rows, columns, by, kind, metric
        self.facts = dict(facts or {})

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def width(self) -> int:
        """Numbers a vector."""
        return int(self._vectors.shape[1])

    @classmethod
    def build(
        cls,
        data: Any,
        *,
        by: str = "joint",
        kind: str = "auto",
        metric: str = "euclidean",
        seed: int = 0,
        facts: Mapping[str, str] | None = None,
    ) -> Index:
        """Make an index.

        Parameters
        ----------
        data
            A table of embeddings (the path of a Parquet file, an Arrow, astropy or pandas table), or the
            vectors themselves, (N, D).
        by
            The table's column of vectors: ``"joint"``, ``"z_spectrum"``, ``"features_spectrum"``, ...
        kind
            ``"exact"``; ``"ivf"`` or ``"hnsw"``, which are quicker among many vectors, miss a neighbour now
            and then, and need faiss; ``"auto"``: exact up to `EXACT_UP_TO` vectors or without faiss, else
            IVF.
        metric
            ``"euclidean"`` or ``"cosine"``.
        seed
            Of the choice of the vectors that the cells of IVF are learned from.
        facts
            Kept with the index.

        Raises
        ------
        SettingsError
            For another kind or metric, for vectors that are not (N, D) and finite, or without faiss.
        FileRefused
            If the table can't be read or has no such vectors.
        """
        if kind not in KINDS:
            raise SettingsError(f"an index is {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind!r}")
        if metric not in METRICS:
            raise SettingsError(f"the metric is {' or '.join(METRICS)}, not {metric!r}")
        if isinstance(data, np.ndarray):
            vectors = np.ascontiguousarray(data, dtype=np.float32)
            if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
                raise SettingsError("an index is made of finite vectors (N, D), at least one")
            rows, columns = np.arange(len(vectors)), pa.table({"row": np.arange(len(vectors))})
        else:
            table = arrow_table(data, [by])
            source = str(data) if isinstance(data, str | Path) else "the table"
            rows, vectors = vectors_of(table, by, source)
            columns = plain_columns(table)
        if metric == "cosine":
            vectors = _unit(vectors)
        if kind == "auto":
            many = len(vectors) > EXACT_UP_TO and engines.faiss_or_none() is not None
            kind = "ivf" if many else "exact"
        graph = None if kind == "exact" else engines.build_faiss(vectors, kind, seed=seed)
        return cls(vectors, rows, columns, by=by, kind=kind, metric=metric, graph=graph, facts=facts)

    def vector(self, row: int) -> Floats | None:
        """(D,) vector of a row of the table, or None where it has none."""
        place = int(np.searchsorted(self.rows, row))
        found = place < len(self.rows) and self.rows[place] == row
        return np.array(self._vectors[place]) if found else None

    def keep(self, where: str | NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """(M,) which vectors fulfil a condition, or None for no condition.

        Raises
        ------
        SettingsError
            For a condition that can't be read (see `desa.search.where`).
        """
        if where is None:
            return None
        if isinstance(where, str):
            names = {name: self.columns.column(name) for name in self.columns.column_names}
            return chosen_rows(where, names, self.columns.num_rows)[self.rows]
        chosen = np.asarray(where)
        if chosen.dtype != np.bool_ or chosen.shape != (self.columns.num_rows,):
            raise SettingsError(f"where must be words, or {self.columns.num_rows} truths, one a row")
        return chosen[self.rows]

    def neighbours(
        self,
        vectors: Any,
        k: int = 20,
        where: str | NDArray[np.bool_] | None = None,
        *,
        exclude: int | None = None,
        probes: int = 0,
    ) -> tuple[Rows, Floats]:
        """The nearest rows, as arrays.

        Parameters
        ----------
        vectors
            (D,) or (Q, D).
        k
            How many. A condition is fulfilled by all that are given, and k are given if so many fulfil it.
        where
            A condition on the columns such as ``"teff > 5000 and snr_g > 30"``, or one truth a row of the
            table.
        exclude
            A row of the table that is not given: the query's own.
        probes
            How hard an index is searched; 0: as its kind's default (see `desa.search.engines`).

        Returns
        -------
        tuple
            (Q, k') rows of the table and distances, nearest first; k' is the smaller of k and the rows
            that there are.

        Raises
        ------
        SettingsError
            For a query of another width, k below 1, or a condition that can't be read.
        """
        if k < 1:
            raise SettingsError(f"k must be at least 1, not {k}")
        queries = as_queries(vectors, self.width)
        if self.metric == "cosine":
            queries = _unit(queries)
        keep = self.keep(where)
        places, distances = self._search(queries, k + (exclude is not None), keep, probes)
        rows = self.rows[places]
        if exclude is not None:
            others = self.rows != exclude
            left = np.count_nonzero(others if keep is None else keep & others)
            order = np.argsort(rows == exclude, axis=1, kind="stable")[:, : min(k, left)]
            rows, distances = np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)
        if self.metric == "cosine":
            distances = np.asarray(distances**2 / 2, np.float32)
        return rows, distances

    def _search(
        self, queries: Floats, k: int, keep: NDArray[np.bool_] | None, probes: int
    ) -> tuple[Rows, Floats]:
        there = None if keep is None else np.flatnonzero(keep)
        count = len(self) if there is None else len(there)
        k = min(k, count)
        if self._graph is None or (there is not None and count <= FEW) or k * engines.SHORTLIST > FEW:
            return engines.exact(self._vectors, queries, k, there)
        found = engines.shortlist(self._graph, queries, k, keep, probes)
        places, distances = engines.refined(self._vectors, queries, found, k)
        short = (places < 0).any(axis=1)
        if short.any():
            places[short], distances[short] = engines.exact(self._vectors, queries[short], k, there)
        return places, distances

    def search(
        self,
        vectors: Any,
        k: int = 20,
        where: str | NDArray[np.bool_] | None = None,
        *,
        exclude: int | None = None,
    ) -> Table:
        """The nearest rows, as a table.

        Parameters
        ----------
        vectors, k, where, exclude
            As in `neighbours`.

        Returns
        -------
        astropy.table.Table
            ``query`` (place of the query), ``rank`` from 1, ``row`` of the table, ``distance``, and the
            table's columns.
        """
        rows, distances = self.neighbours(vectors, k, where, exclude=exclude)
        count, found = rows.shape
        table = Table(
            {
                "query": np.repeat(np.arange(count), found),
                "rank": np.tile(np.arange(1, found + 1), count),
                "row": rows.ravel(),
                "distance": distances.ravel(),
            }
        )
        taken = self.columns.take(pa.array(rows.ravel()))
        for name in taken.column_names:
            if name not in table.colnames:
                table[name] = astropy_values(taken.column(name))
        table.meta.update({"by": self.by, "metric": self.metric, "index": self.kind})
        return table

    def save(self, path: str | Path) -> None:
        """Write the index whole, into one file."""
        arrays: dict[str, NDArray[Any]] = {"vectors": np.ascontiguousarray(self._vectors), "rows": self.rows}
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.columns.schema) as writer:
            writer.write_table(self.columns)
        arrays["columns"] = np.frombuffer(sink.getvalue(), np.uint8)
        if self._graph is not None:
            arrays["graph"] = engines.require_faiss(self.kind).serialize_index(self._graph)
        about = {"format": FORMAT, "by": self.by, "kind": self.kind, "metric": self.metric}
        about["content"] = _digest(arrays)
        with written_whole(path) as scratch:
            save_file(arrays, scratch, metadata={**about, "facts": json.dumps(self.facts)})
            scratch.chmod(0o644)

    @classmethod
    def load(cls, path: str | Path) -> Index:
        """Read an index that `save` wrote.

        Raises
        ------
        DamagedFile
            If there is none, or it is damaged.
        SettingsError
            If it needs faiss, which is not installed.
        """
        try:
            with safe_open(regular(path), framework="numpy") as stored:
                about = stored.metadata() or {}
                if about.get("format") != FORMAT or about.get("kind") not in KINDS[1:]:
                    raise DamagedFile(path, "no index of this version of desa", "make it again")
                arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            if about.get("content") != _digest(arrays):
                raise ValueError("not the content that its checksum is of")
            columns = pa.ipc.open_stream(arrays["columns"].tobytes()).read_all()
            graph = None
            if about["kind"] != "exact":
                graph = engines.require_faiss(about["kind"]).deserialize_index(arrays["graph"])
            if graph is not None and (graph.ntotal, graph.d) != arrays["vectors"].shape:
                raise ValueError("graph and vectors differ")
            return cls(
                arrays["vectors"],
                arrays["rows"],
                columns,
                by=about["by"],
                kind=about["kind"],
                metric=about["metric"],
                graph=graph,
                facts=json.loads(about["facts"]),
            )
        except FileNotFoundError:
            raise DamagedFile(path, "no such file", "Index.build makes one") from None
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError, pa.ArrowInvalid) as error:
            raise DamagedFile(path, f"a damaged index ({str(error)[:120]})", "make it again") from None


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Hash of an index's arrays, with their names, types and shapes."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30), np.float32)


def astropy_values(column: pa.ChunkedArray) -> Any:
    """A column as astropy wants it: numbers with NaN, words with empty ones, where missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([value or "" for value in column.to_pylist()], dtype=np.str_)
    if column.null_count and not pa.types.is_boolean(column.type):
        return np.array([np.nan if value is None else value for value in column.to_pylist()])
    return np.asarray(column.to_numpy(zero_copy_only=False))
