"""Two-dimensional maps of embeddings, made once and kept beside the table."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from desa.errors import OutputError, SettingsError
from desa.explore.table import ExploreTable
from desa.files import written_whole
from desa.parquet import read_parquet, write_parquet

logger = logging.getLogger(__name__)

Method = Literal["auto", "pca", "umap"]

MOST_FOR_UMAP = 20_000
"""`auto` takes UMAP up to so many rows: about half a minute on two cores."""

NEIGHBOURS, MIN_DIST, SEED = 15, 0.1, 0
PCA_SAMPLE = 100_000
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Map:
    """Coordinates of every row of a table.

    Parameters
    ----------
    x, y
        (N,) float32, NaN for rows without the vector.
    about
        ``vector``, ``width``, ``method``, ``rows`` (with the vector) and ``said``, a sentence for the page.
    """

    x: Floats
    y: Floats
    about: dict[str, Any]


def map_path(table: Path, vector: str, method: str, modality: str = "") -> Path:
    """Where a table's map is kept."""
    of = f"{vector}-{modality}" if modality else vector
    return table.with_name(f"{table.stem}.map-{of}-{method}.parquet")


def chosen_method(method: str, rows: int) -> str:
    """``"pca"`` or ``"umap"``.

    Raises
    ------
    SettingsError
        If there is no such method, or UMAP is asked for and not installed.
    """
    if method not in get_args(Method):
        raise SettingsError(f"--map is {', '.join(get_args(Method))}, not {method!r}")
    installed = find_spec("umap") is not None
    if method == "umap" and not installed:
        raise SettingsError("--map umap needs umap-learn: pip install umap-learn, or take --map pca")
    if method == "auto":
        return "umap" if installed and 3 * NEIGHBOURS <= rows <= MOST_FOR_UMAP else "pca"
    return method


def map_of(table: ExploreTable, vector: str | None = None, method: str = "auto", modality: str = "") -> Map:
    """The map of a table: as it was kept, if its vectors are still the same, else made and kept.

    Parameters
    ----------
    table
        The table.
    vector
        Name of the vectors; left out, the first of ``joint``, ... that most rows have.
    method
        ``pca``: the first two principal components. ``umap``: McInnes, Healy & Melville (2018).
    modality
        Only stars that are embedded from it: ``joint``, ``spectrum``, ``lightcurve``; empty: all.

    Raises
    ------
    SettingsError
        If the table has no such vectors, or none of stars of that modality.
    """
    name, (rows, vectors) = _chosen_vectors(table, vector)
    if modality:
        wanted = pc.equal(table.modality, modality).to_numpy(zero_copy_only=False)[rows]
        rows, vectors = rows[wanted], vectors[wanted]
        if not len(rows):
            raise SettingsError(f"{table.path}: no row has vectors {name!r} and the modality {modality!r}")
    asked, method = method, chosen_method(method, len(rows))
    identity = hashlib.sha256(f"{method} {NEIGHBOURS} {MIN_DIST} {SEED} {vectors.shape}".encode())
    identity.update(np.ascontiguousarray(rows).data)
    identity.update(np.ascontiguousarray(vectors).data)
    path = map_path(table.path, name, method, modality)
    kept = _kept(path, identity.hexdigest(), len(table))
    if kept is not None:
        return Map(kept.x, kept.y, kept.about | {"asked": asked})
    places, said = _umap(vectors) if method == "umap" else _pca(vectors)
    coordinates = np.full((len(table), 2), np.nan, np.float32)
    coordinates[rows] = places
    about = {
        "vector": name,
        "modality": modality,
        "width": vectors.shape[1],
        "method": method,
        "rows": len(rows),
        "said": said,
        "asked": asked,
    }
    made = Map(coordinates[:, 0].copy(), coordinates[:, 1].copy(), about)
    _keep(made, path, identity.hexdigest())
    return made


def _chosen_vectors(table: ExploreTable, vector: str | None) -> tuple[str, tuple[NDArray[np.int64], Floats]]:
    if vector is not None:
        if vector not in table.vector_names:
            raise SettingsError(
                f"{table.path}: no vectors {vector!r}; it has {', '.join(table.vector_names)}"
            )
        return vector, table.vectors(vector)
    name = table.vector_names[0]
    found = table.vectors(name)
    for other in table.vector_names[1:] if len(found[0]) < len(table) / 2 else ():
        vectors = table.vectors(other)
        if len(vectors[0]) > len(found[0]):
            name, found = other, vectors
    return name, found


def _kept(path: Path, identity: str, rows: int) -> Map | None:
    try:
        stored = read_parquet(path)
        metadata = stored.schema.metadata or {}
        if metadata.get(b"desa.map") != identity.encode() or stored.num_rows != rows:
            return None
        x, y = (stored.column(name).to_numpy().astype(np.float32) for name in ("map_x", "map_y"))
        return Map(x, y, json.loads(metadata[b"desa.about"]))
    except (OSError, pa.ArrowInvalid, KeyError, ValueError):
        return None


def _keep(made: Map, path: Path, identity: str) -> None:
    metadata = {"desa.map": identity, "desa.about": json.dumps(made.about)}
    columns = pa.table({"map_x": made.x, "map_y": made.y}).replace_schema_metadata(metadata)
    try:
        with written_whole(path) as scratch:
            write_parquet(columns, scratch)
    except (OSError, OutputError) as error:
        logger.warning("%s: can't be written (%s); the map will be made again next time", path, error)


def _pca(vectors: Floats) -> tuple[Floats, str]:
    """Scores on the first two principal components of the centred vectors."""
    if len(vectors) == 0 or vectors.shape[1] < 2:
        places = np.zeros((len(vectors), 2), np.float32)
        places[:, : vectors.shape[1]] = vectors
        return places, "Too few numbers for principal components."
    step = max(1, len(vectors) // PCA_SAMPLE)
    sample = vectors[::step].astype(np.float64)
    mean = sample.mean(axis=0)
    variance, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    leading = axes[:, :-3:-1]
    leading *= np.sign(leading[np.abs(leading).argmax(axis=0), [0, 1]])
    share = 100 * variance[:-3:-1].sum() / max(variance.sum(), np.finfo(float).tiny)
    places = (vectors - mean.astype(np.float32)) @ leading.astype(np.float32)
    return places, f"Principal components 1 and 2: {share:.0f} % of the variance."


def _umap(vectors: Floats) -> tuple[Floats, str]:
    """UMAP of the vectors, seeded."""
    from umap import UMAP

    fitted = UMAP(n_neighbors=NEIGHBOURS, min_dist=MIN_DIST, random_state=SEED, n_jobs=1)
    places = np.asarray(fitted.fit_transform(vectors), dtype=np.float32)
    said = (
        f"UMAP of Euclidean distances ({NEIGHBOURS} neighbours): who is near whom; "
        "the axes and the gaps between groups have no scale."
    )
    return places, said
