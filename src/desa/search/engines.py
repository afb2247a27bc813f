"""Nearest vectors: exact by matrix products, or quicker among many by faiss (IVF or HNSW).

faiss gives a shortlist, whose distances are then computed from the vectors themselves: they are exact, and
only a neighbour that never came onto the shortlist can be missed.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from desa.errors import SettingsError

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

CHUNK: Final = 8192
"""Vectors at once in an exact search: 4 MB at a width of 128, so that they stay in a core's cache."""

BLOCK: Final = 65_536
"""Vectors that faiss is given at once."""

SHORTLIST: Final = 4
"""Candidates for each neighbour that is wanted."""

POINTS_A_CELL: Final = 64
"""Vectors a cell that faiss learns the cells from."""

IVF_PROBES: Final = 48
HNSW_LINKS, HNSW_BUILD, HNSW_SEARCH = 16, 60, 128


def faiss_or_none() -> ModuleType | None:
    """The faiss library, where it is installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss  # type: ignore[no-any-return, unused-ignore]


def require_faiss(kind: str) -> ModuleType:
    """The faiss library.

    Raises
    ------
    SettingsError
        Where it is not installed.
    """
    found = faiss_or_none()
    if found is None:
        raise SettingsError(f"an index of kind {kind} needs faiss: pip install 'desa[search]'")
    return found


def exact(vectors: Floats, queries: Floats, k: int, rows: Rows | None = None) -> tuple[Rows, Floats]:
    """The k nearest of some vectors.

    Parameters
    ----------
    vectors
        (N, D).
    queries
        (Q, D).
    k
        How many; at most as many as there are.
    rows
        Search these only; None: all.

    Returns
    -------
    tuple
        (Q, k) places among `vectors` and Euclidean distances, nearest first.
    """
    count = len(vectors) if rows is None else len(rows)
    k = min(k, count)
    best = np.empty((len(queries), 0), np.int64)
    squares = np.empty((len(queries), 0), np.float32)
    if k == 0:
        return best, squares
    # About their middle, |a|^2 + |b|^2 - 2ab does not lose the digits of small distances.
    middle = vectors[:: max(1, len(vectors) // 1024)].mean(axis=0)
    shifted = queries - middle
    own = np.einsum("qd,qd->q", shifted, shifted)[:, None]
    for start in range(0, count, CHUNK):
        places = np.arange(start, min(start + CHUNK, count)) if rows is None else rows[start : start + CHUNK]
        part = (vectors[start : start + CHUNK] if rows is None else vectors[places]) - middle
        far = own + np.einsum("nd,nd->n", part, part)[None] - 2 * shifted @ part.T
        near = _smallest(far, min(max(SHORTLIST * k, 32), far.shape[1]))
        best = np.hstack([best, places[near]])
        squares = np.hstack([squares, np.take_along_axis(far, near, 1)])
        kept = _smallest(squares, min(max(SHORTLIST * k, 32), squares.shape[1]))
        best, squares = np.take_along_axis(best, kept, 1), np.take_along_axis(squares, kept, 1)
    return refined(vectors, queries, best, k)


def _smallest(values: Floats, k: int) -> NDArray[np.intp]:
    """Places of the k smallest of each row, in any order."""
    if k >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, k - 1, axis=1)[:, :k]


def refined(vectors: Floats, queries: Floats, candidates: Rows, k: int) -> tuple[Rows, Floats]:
    """The k nearest of each query's candidates (Q, C), by differences, which lose no digits.

    A candidate of -1 stands for none; where there are fewer than k, -1 and infinity fill up.
    """
    distances = np.full(candidates.shape, np.inf, np.float32)
    for place, (query, own) in enumerate(zip(queries, candidates, strict=True)):
        there = own >= 0
        apart = vectors[own[there]] - query
        distances[place, there] = np.sqrt(np.einsum("nd,nd->n", apart, apart))
    order = np.lexsort((candidates, distances), axis=1)[:, :k]
    return np.take_along_axis(candidates, order, 1), np.take_along_axis(distances, order, 1)


def build_faiss(vectors: Floats, kind: str, *, seed: int = 0) -> Any:
    """A faiss index of vectors.

    Parameters
    ----------
    vectors
        (N, D).
    kind
        ``"ivf"``: cells of about 4 sqrt(N) centres, vectors in half precision; ``"hnsw"``: a graph.
    seed
        Of the choice of the vectors that the cells are learned from.
    """
    faiss = require_faiss(kind)
    count, width = vectors.shape
    if kind == "hnsw":
        graph = faiss.IndexHNSWSQ(width, faiss.ScalarQuantizer.QT_fp16, HNSW_LINKS)
        graph.hnsw.efConstruction = HNSW_BUILD
        graph.train(vectors[: min(count, BLOCK)])
        graph.add(vectors)
        return graph
    cells = max(1, min(int(4 * np.sqrt(count)), count // POINTS_A_CELL))
    index = faiss.index_factory(width, f"IVF{cells},SQfp16")
    some = np.random.default_rng(seed).permutation(count)[: POINTS_A_CELL * cells]
    index.cp.niter, index.cp.seed, index.cp.max_points_per_centroid = 8, seed + 1, POINTS_A_CELL
    index.train(vectors[np.sort(some)])
    for start in range(0, count, BLOCK):
        index.add(vectors[start : start + BLOCK])
    return index


def shortlist(index: Any, queries: Floats, k: int, keep: NDArray[np.bool_] | None, probes: int) -> Rows:
    """(Q, SHORTLIST k) candidates by a faiss index, -1 where it found fewer.

    Parameters
    ----------
    index
        From `build_faiss`.
    queries
        (Q, D).
    k
        Neighbours that are wanted.
    keep
        (N,) which vectors count; None: all.
    probes
        Cells that are looked into (IVF) or breadth of the search (HNSW); 0: as shipped.
    """
    faiss = require_faiss("ivf")
    wanted = min(max(SHORTLIST * k, 32), index.ntotal)
    bits = None if keep is None else np.packbits(keep, bitorder="little")
    chosen = {} if bits is None else {"sel": faiss.IDSelectorBitmap(bits)}
    if isinstance(index, faiss.IndexHNSW):
        settings = faiss.SearchParametersHNSW(efSearch=max(probes or HNSW_SEARCH, wanted), **chosen)
    else:
        settings = faiss.SearchParametersIVF(nprobe=min(probes or IVF_PROBES, index.nlist), **chosen)
    return np.asarray(index.search(queries, wanted, params=settings)[1], dtype=np.int64)
