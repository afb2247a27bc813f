"""Parquet files from anywhere: regular files, whose content fits into memory before it is read.

Those that desa writes have a checksum a page, compared whenever it is read.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from desa.files import TooLarge, open_regular, regular
from desa.parquet_pages import bytes_in_memory

LEAST = 1 << 27
RATIO = 100
"""A file may unpack to so many times its size, or to `LEAST`: no table of stars repeats itself more."""


def write_parquet(table: pa.Table, path: str | Path, **options: Any) -> None:
    """Write a table with a checksum for each page; options are those of `pyarrow.parquet.write_table`."""
    pq.write_table(table, path, write_page_checksum=True, **options)


def open_parquet(path: str | Path, *, least: int = LEAST, ratio: int = RATIO) -> pq.ParquetFile:
    """Open a Parquet file, memory-mapped, without reading its rows.

    Parameters
    ----------
    path
        The file.
    least, ratio
        Bytes that it may unpack to, and how many times its size if that is more.

    Raises
    ------
    OSError, pyarrow.ArrowInvalid
        If it can't be read; `desa.files.TooLarge` if it unpacks to more.
    """
    size = regular(path).stat().st_size
    most = max(least, ratio * size)
    file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
    _check(file, path, most)
    with open_regular(path) as stream:
        _check_pages(stream, file, path, most)
    return file


def read_parquet(
    path: str | Path, columns: Sequence[str] | None = None, *, least: int = LEAST, ratio: int = RATIO
) -> pa.Table:
    """Read a Parquet file; arguments and errors as `open_parquet`'s."""
    return open_parquet(path, least=least, ratio=ratio).read(columns=columns)


def parse_parquet(content: bytes, path: str | Path, most: int) -> pa.Table:
    """Read a Parquet file from memory; words too are counted before they are spelt out.

    Raises
    ------
    pyarrow.ArrowInvalid
        If it can't be read; `desa.files.TooLarge` if it unpacks to more than `most` bytes.
    """
    words = [column.name for column in pq.read_schema(io.BytesIO(content)) if _is_words(column.type)]
    file = pq.ParquetFile(io.BytesIO(content), read_dictionary=words, page_checksum_verification=True)
    _check(file, path, most)
    _check_pages(io.BytesIO(content), file, path, most)
    table = file.read()
    for name in words:
        if sum(_spelt_out(chunk) for chunk in table.column(name).chunks) > most:
            raise TooLarge(path, most)
    return table


def _is_words(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _spelt_out(chunk: pa.Array) -> int:
    """Bytes of a dictionary's words, each as often as it stands in the column."""
    if not pa.types.is_dictionary(chunk.type):
        return int(chunk.nbytes)
    if not len(chunk.dictionary):
        return 0
    lengths = pc.binary_length(chunk.dictionary)
    return int(pc.sum(pc.take(lengths, chunk.indices)).as_py() or 0)


def _check(file: pq.ParquetFile, path: str | Path, most: int) -> None:
    """Compare what a file says of its pages, and what its rows take in memory, with a bound."""
    about = file.metadata
    said = sum(about.row_group(place).total_byte_size for place in range(about.num_row_groups))
    width = sum(_width(column.type) for column in file.schema_arrow)
    if max(said, about.num_rows * width) > most:
        raise TooLarge(path, most)


def _check_pages(stream: BinaryIO, file: pq.ParquetFile, path: str | Path, most: int) -> None:
    """Compare what the pages themselves say with a bound: what is read is theirs, not the footer's."""
    if bytes_in_memory(stream, file.metadata) > most:
        raise TooLarge(path, most)


def _width(kind: pa.DataType) -> int:
    """Bytes that a row takes at least."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    try:
        return max(int(kind.bit_width) // 8, 1)
    except ValueError:
        return 1
