"""Tables that hold many stars, as Parquet files and NumPy archives: opened once, read column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from desa.errors import DamagedFile, FileRefused, UnsupportedFile
from desa.files import open_regular
from desa.io.fits import AGAIN
from desa.parquet_pages import bytes_in_memory

MAX_BYTES = 1 << 30
"""Of a table, unpacked."""

PARQUET_MAGIC = b"PAR1"
ARCHIVE_MAGIC = b"PK\x03\x04"

Columns = Mapping[str, Callable[[], NDArray[Any]]]
"""Upper-case name -> what reads the column."""


@dataclass(frozen=True, eq=False)
class StoredTable:
    """A table on disk; a column is read when it is first asked for, and kept.

    Parameters
    ----------
    path
        The file, named in errors.
    readers
        What reads each column.
    header
        Nothing: what a FITS file says in its header, such a file says in columns.
    """

    path: str | Path
    readers: Columns
    header: Mapping[str, Any] = field(default_factory=dict)
    _kept: dict[str, NDArray[Any]] = field(default_factory=dict)
    _rows: dict[str, dict[int, NDArray[np.int64]]] = field(default_factory=dict)
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def columns(self) -> frozenset[str]:
        """Upper-case names of the columns."""
        return frozenset(self.readers)

    def column(self, name: str) -> NDArray[Any]:
        """One column, or an archive's array; missing numbers are NaN.

        Raises
        ------
        DamagedFile
            If it can't be read.
        """
        if name not in self._kept:
            with damage_told(self.path):
                self._kept[name] = self.readers[name]()
        return self._kept[name]

    def rows_of(self, name: str) -> Mapping[int, NDArray[np.int64]]:
        """Value -> rows that have it in a column of whole numbers, both in ascending order."""
        if name not in self._rows:
            values = self.column(name).astype(np.int64)
            order = np.argsort(values, kind="stable")
            first = np.flatnonzero(np.diff(values[order], prepend=values[order][:1] - 1))
            parts = np.split(order, first[1:]) if len(order) else []
            self._rows[name] = {int(values[part[0]]): part for part in parts}
        return self._rows[name]

    def names(self, name: str, prefix: str = "") -> tuple[str, ...]:
        """The values of a column of whole numbers, each once, ascending, as text after a prefix."""
        if name not in self._names:
            self._names[name] = tuple(f"{prefix}{value}" for value in self.rows_of(name))
        return self._names[name]


@contextmanager
def damage_told(path: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong inside into one sentence: damaged files meet many kinds of exception."""
    try:
        yield
    except FileRefused:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DamagedFile(path, f"damaged table ({reason})", AGAIN) from None


def is_table_file(path: str | Path) -> bool:
    """Whether a file is one that `open_table` opens, by its first bytes."""
    try:
        with open_regular(path) as stream:
            return stream.read(4) in (PARQUET_MAGIC, ARCHIVE_MAGIC)
    except OSError:
        return False


def open_table(path: str | Path) -> StoredTable:
    """Open a Parquet file or a NumPy archive; the latest ones stay open, for the many stars in them.

    Raises
    ------
    DamagedFile
        If it can't be read.
    UnsupportedFile
        If it is larger than `MAX_BYTES` unpacked.
    """
    try:
        state = Path(path).stat()
    except OSError as error:
        raise DamagedFile(path, f"can't be read ({error.strerror or error})") from None
    return _opened(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=2)
def _opened(path: str, size: int, mtime_ns: int) -> StoredTable:
    """A table by its path and state: a file that was changed since is opened anew."""
    with damage_told(path), open_regular(path) as stream:
        parquet = stream.read(4) == PARQUET_MAGIC
        unpacked, readers = (_parquet if parquet else _archive)(Path(path))
    if unpacked > MAX_BYTES:
        raise UnsupportedFile(path, "larger than 1 GiB unpacked, so no table of light curves or spectra")
    return StoredTable(path, readers)


def _parquet(path: Path) -> tuple[int, Columns]:
    file = pq.ParquetFile(path, page_checksum_verification=True)
    groups = (file.metadata.row_group(place) for place in range(file.metadata.num_row_groups))
    with open_regular(path) as stream:
        pages = bytes_in_memory(stream, file.metadata)

    def column(name: str) -> NDArray[Any]:
        return np.asarray(file.read(columns=[name]).column(0).to_numpy())

    names = file.schema_arrow.names
    return max(pages, sum(group.total_byte_size for group in groups)), {
        name.upper(): partial(column, name) for name in names
    }


def _archive(path: Path) -> tuple[int, Columns]:
    with ZipFile(path) as parts:
        sizes = {part.filename: part.file_size for part in parts.infolist()}

    def array(name: str) -> NDArray[Any]:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[name])

    names = [name.removesuffix(".npy") for name in sizes if name.endswith(".npy")]
    return sum(sizes.values()), {name.upper(): partial(array, name) for name in names}
