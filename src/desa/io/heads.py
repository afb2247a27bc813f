"""The first bytes of a FITS file: enough to say whose it is, without reading its data."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from desa.files import GZIP_MAGIC, open_regular
from desa.io.fits import BLOCK

MAX_HEADER = 64 * BLOCK
CHUNK = 8 * BLOCK
_END = b"END" + 77 * b" "


@dataclass(frozen=True, eq=False)
class Head:
    """What the first bytes of a file say, without its data.

    Parameters
    ----------
    path
        The file.
    header
        Its primary header; empty if that can't be read.
    columns
        Upper-case names of the columns of the table that follows; empty if none does.
    """

    path: str | Path
    header: Any
    columns: frozenset[str] = frozenset()


def read_head(path: str | Path) -> Head:
    """Read the primary header and, where a table follows at once, the names of its columns.

    A file that can't be read, or is no FITS file, has an empty header: its reader says what is wrong.
    """
    content = b""
    try:
        with open_regular(path) as stream:
            unpack = None
            while raw := stream.read(CHUNK):
                if not content and raw[:2] == GZIP_MAGIC:
                    unpack = zlib.decompressobj(wbits=31)
                content += unpack.decompress(raw, MAX_HEADER) if unpack else raw
                if not content.startswith(b"SIMPLE  ="):
                    return Head(path, {})
                if len(content) > MAX_HEADER or _headers_end(content):
                    break
    except (OSError, zlib.error):
        return Head(path, {})
    end = _end_card(content, 0)
    if not 0 <= end <= MAX_HEADER:
        return Head(path, {})
    names = frozenset(_column_names(content, _next_block(end)))
    return Head(path, fits.Header.fromstring(content[:end].decode("latin-1")), names)


def _column_names(content: bytes, start: int) -> Iterator[str]:
    """Upper-case names of the columns of the table whose header starts at a place, none if none does."""
    if content.startswith(b"XTENSION", start):
        for place in range(start, len(content), 80):
            card = content[place : place + 80]
            if card.startswith(b"TTYPE") and card.count(b"'") > 1:
                yield card.split(b"'")[1].decode("latin-1").strip().upper()
            elif card == _END:
                return


def _end_card(content: bytes, start: int) -> int:
    """Place of the END card of the header that starts at a place, -1 where the bytes stop before it."""
    end = content.find(_END, start)
    while end >= 0 and end % 80:
        end = content.find(_END, end + 1)
    return end


def _next_block(end: int) -> int:
    return (end // BLOCK + 1) * BLOCK


def _headers_end(content: bytes) -> bool:
    """Whether the bytes hold the primary header whole, and the next one too where it follows at once."""
    end = _end_card(content, 0)
    if end < 0:
        return False
    start = _next_block(end)
    if len(content) >= start + 8 and not content.startswith(b"XTENSION", start):
        return True
    return _end_card(content, start) >= 0
