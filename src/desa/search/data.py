"""What an index is made of: vectors and columns, out of whatever holds them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from desa.errors import DamagedFile, SettingsError, UnsupportedFile
from desa.inference.embed import VECTORS
from desa.parquet import open_parquet

Floats = NDArray[np.float32]


def arrow_table(data: Any, vectors: Collection[str] | None = None) -> pa.Table:
    """A pandas, astropy or Arrow table, or the path of a Parquet file, as an Arrow table.

    Columns of an astropy table with two axes become lists of fixed size.

    Parameters
    ----------
    data
        The table.
    vectors
        Of a file's columns of vectors, which take nearly all of its room, only these are read; None: all. If
        it has none of them, all are read too, so that what there is can be told.

    Raises
    ------
    DamagedFile
        If a file can't be read.
    TypeError
        For any other object.
    """
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, str | Path):
        return _parquet(Path(data), vectors)
    if hasattr(data, "colnames"):
        return pa.table({name: _arrow_column(data[name]) for name in data.colnames})
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        return pa.Table.from_pandas(data, preserve_index=False)
    raise TypeError(f"an index is made of an array or a table, not of {type(data).__name__}")


def _parquet(path: Path, vectors: Collection[str] | None) -> pa.Table:
    with embeddings_expected(path):
        file = open_parquet(path)
        fields = list(file.schema_arrow)
        if vectors is None or not set(vectors) & {field.name for field in fields}:
            return file.read()
        chosen = [field.name for field in fields if field.name in vectors or not _is_vector(field.type)]
        return file.read(columns=chosen)


@contextmanager
def embeddings_expected(path: Path) -> Iterator[None]:
    """While a table of embeddings is read: what goes wrong is said with the file's name and what makes one.

    Raises
    ------
    DamagedFile
        If the file is not there, or can't be read as Parquet.
    """
    try:
        yield
    except FileNotFoundError:
        raise DamagedFile(path, "no such file", "desa embed makes it") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise DamagedFile(
            path, f"can't be read as Parquet ({error})", "desa embed -o FILE.parquet makes one"
        ) from None


def _arrow_column(column: Any) -> pa.Array:
    mask = getattr(column, "mask", None)
    values = np.asarray(getattr(column, "filled", lambda: column)() if mask is not None else column)
    if values.ndim == 2:
        flat = np.ascontiguousarray(values).astype(np.float32)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), values.shape[1])
    missing = None if mask is None else np.broadcast_to(np.asarray(mask), values.shape)
    return pa.array(values.tolist() if values.dtype.kind in "OSU" else values, mask=missing)


def vectors_of(table: pa.Table, name: str, source: str = "the table") -> tuple[NDArray[np.int64], Floats]:
    """Rows that have a vector, and these vectors, (M,) and (M, D).

    Parameters
    ----------
    table
        With the column as lists of one length.
    name
        The column.
    source
        What the table is called in messages.

    Raises
    ------
    UnsupportedFile
        If there is no such column of vectors, or no row has one.
    """
    there = vector_names(table)
    if name not in there:
        kinds = f"it has {', '.join(there)}" if there else "it has no vectors at all; see desa embed"
        raise UnsupportedFile(source, f"no vectors '{name}'", kinds)
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    rows = np.flatnonzero(known)
    if not len(rows) or len(flat) % len(rows):
        raise UnsupportedFile(source, f"no row has vectors '{name}' of one length", "embed some stars first")
    values = flat.reshape(len(rows), -1)
    finite = np.isfinite(values).all(axis=1)
    return (rows, values) if finite.all() else (rows[finite], values[finite])


def vector_names(table: pa.Table) -> list[str]:
    """Columns that hold vectors, those that desa makes first."""
    lists = [field.name for field in table.schema if _is_vector(field.type)]
    return [name for name in VECTORS if name in lists] + [name for name in lists if name not in VECTORS]


def _is_vector(kind: pa.DataType) -> bool:
    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(lists and pa.types.is_floating(kind.value_type))


def plain_columns(table: pa.Table) -> pa.Table:
    """The columns that are no vectors."""
    return table.select([field.name for field in table.schema if not pa.types.is_nested(field.type)])


def as_queries(vectors: Any, width: int) -> Floats:
    """Vectors of queries as (Q, D); one vector is one query.

    Raises
    ------
    SettingsError
        If they have another width or are not finite.
    """
    found = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    if found.ndim != 2 or found.shape[1] != width:
        raise SettingsError(f"a query must have {width} numbers, as the index; it has shape {found.shape}")
    if not np.isfinite(found).all():
        raise SettingsError("a query holds numbers that are not finite")
    return np.ascontiguousarray(found)
