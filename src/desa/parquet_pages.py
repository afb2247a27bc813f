"""What the pages of a Parquet file will take in memory, by their own headers: its footer may lie.

A page's header is a Thrift structure in the compact protocol (https://github.com/apache/thrift,
doc/specs/thrift-compact-protocol.md; its fields are in parquet.thrift of apache/parquet-format).
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import pyarrow as pa

USUAL_HEADER, MAX_HEADER = 1 << 12, 1 << 24
MAX_DEPTH = 8
_UNPACKED, _PACKED, _DATA, _DATA_V2, _VALUES = 2, 3, 5, 8, 1
"""Numbers of the fields of a page's header, and of its part on the data."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_BYTES = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "BYTE_ARRAY": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
"""Bytes that a value takes in memory at least, by its physical type."""

Fields = dict[int, Any]


def bytes_in_memory(stream: BinaryIO, metadata: Any) -> int:
    """Bytes that the pages of a file unpack to, or that their values take, whichever is more.

    Parameters
    ----------
    stream
        The file.
    metadata
        Its footer, as pyarrow gives it.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a page has no header, or sizes that can't be.
    """
    unpacked = values = 0
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            own, count = _of_column(stream, column)
            unpacked += own
            values += count * _BYTES.get(column.physical_type, 1)
    return max(unpacked, values)


def _of_column(stream: BinaryIO, column: Any) -> tuple[int, int]:
    """Bytes that a column's pages unpack to, and the values in them."""
    starts = [column.data_page_offset, column.dictionary_page_offset if column.has_dictionary_page else 0]
    if not any(starts) and column.total_compressed_size:
        raise pa.ArrowInvalid("a column without a place")
    # A column without rows has no data page, and 0 for its place; one without any page has a size of 0 too.
    place = min(filter(None, starts), default=0)
    end, unpacked, values = place + column.total_compressed_size, 0, 0
    while place < end:
        try:
            head, fields = _header(stream, place)
            sizes = int(fields[_PACKED]), int(fields[_UNPACKED])
            data = fields.get(_DATA) or fields.get(_DATA_V2) or {}
            count = int(data.get(_VALUES, 0))
        except (IndexError, KeyError, TypeError, ValueError):
            raise pa.ArrowInvalid("a page has no header that can be read") from None
        if min(*sizes, count) < 0:
            raise pa.ArrowInvalid("a page has a size below 0")
        place += head + sizes[0]
        unpacked += sizes[1]
        values += count
    return unpacked, values


def _header(stream: BinaryIO, place: int) -> tuple[int, Fields]:
    """Bytes and fields of the header of the page at a place."""
    for most in (USUAL_HEADER, MAX_HEADER):
        stream.seek(place)
        head = io.BytesIO(stream.read(most))
        try:
            fields = _fields(head)
        except IndexError:  # words of its statistics may be longer
            continue
        return head.tell(), fields
    raise ValueError("it has no end")


def _fields(head: BinaryIO, depth: int = 0) -> Fields:
    """The fields of a structure, by number."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    found: Fields = {}
    number = 0
    while (byte := head.read(1)[0]) != 0:
        number = number + (byte >> 4) if byte >> 4 else _integer(head)
        found[number] = _value(head, byte & 15, depth)
    return found


def _value(head: BinaryIO, kind: int, depth: int) -> Any:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE
    if kind == _BYTE:
        return head.read(1)[0]
    if kind == _DOUBLE:
        return head.read(8)
    if kind == _BINARY:
        size = _varint(head)
        content = head.read(size)
        if len(content) < size:
            raise IndexError
        return content
    if kind == _STRUCT:
        return _fields(head, depth + 1)
    if kind in (_LIST, _SET):
        byte = head.read(1)[0]
        size = byte >> 4 if byte >> 4 < 15 else _varint(head)
        if size > MAX_HEADER:
            raise ValueError("a list that is longer than the header")
        # A truth is a byte of its own in a list.
        inner = _BYTE if byte & 15 in (_TRUE, _FALSE) else byte & 15
        return [_value(head, inner, depth + 1) for _ in range(size)]
    if kind in (4, 5, 6):
        return _integer(head)
    raise ValueError(f"no field of kind {kind} is in a page's header")


def _varint(head: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = head.read(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("a number of more than 64 bits")


def _integer(head: BinaryIO) -> int:
    """A signed number, whose sign is the last bit."""
    value = _varint(head)
    return (value >> 1) ^ -(value & 1)
