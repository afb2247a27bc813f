"""Ordinary stars that come with a model, so that a handful of stars has something to be compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from desa.files import written_whole
from desa.models.places import BROUGHT
from desa.parquet import write_parquet

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "ordinary.parquet"
COLUMNS = ("joint", "features_spectrum", "features_lightcurve")
"""Vectors that are looked at; see `desa.anomalies.ranking.DENSITIES`."""


def write_ordinary(table: pa.Table, folder: str | Path) -> Path:
    """Keep what anomalies need of a table of embeddings in a model's folder, in half precision.

    Parameters
    ----------
    table
        What `desa embed` made of ordinary stars with that model.
    folder
        The model's.
    """
    import pyarrow as pa

    columns = {"star_id": table.column("star_id")}
    for name in COLUMNS:
        vectors = table.column(name).combine_chunks()
        flat = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float16)
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.type.list_size)
    path = Path(folder) / FILE
    with written_whole(path) as scratch:
        kept = pa.table(columns).replace_schema_metadata(table.schema.metadata)
        write_parquet(kept, scratch, compression="zstd")
    return path


def ordinary_for(table: pa.Table, folder: Path = BROUGHT) -> pa.Table | None:
    """The ordinary stars of the model that made a table; None where that model is another.

    Parameters
    ----------
    table
        A table of embeddings.
    folder
        Of a model.
    """
    import pyarrow.parquet as pq

    path = folder / FILE
    if not path.exists():
        return None
    found = pq.read_table(path)
    mine, its = ((one.schema.metadata or {}).get(b"desa.model") for one in (table, found))
    return found if mine is not None and mine == its else None
