"""Arrays kept on disk, memory-mapped: whole or absent, their checksum compared when they are opened."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from desa.files import CHUNK, open_regular, written_whole

TRAILER = hashlib.sha256().digest_size
"""Bytes of the checksum that stands behind the array; NumPy reads no further than the array."""


@contextmanager
def written_array(path: str | Path, dtype: DTypeLike, shape: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Give an array to fill that becomes the NumPy file `path` if the block ends well.

    Parameters
    ----------
    path
        The file; its folder is made if need be.
    dtype, shape
        Of the array.

    Raises
    ------
    OutputError
        If it can't be written, or there is no room for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    with written_whole(path, size) as scratch:
        rows = np.lib.format.open_memmap(scratch, mode="w+", dtype=dtype, shape=tuple(shape))
        with scratch.open("r+b") as stream:
            # Without room a mapped page ends the process (SIGBUS); this is an error like any other.
            os.posix_fallocate(stream.fileno(), 0, scratch.stat().st_size)
        yield rows
        rows.flush()
        digest = _digest(scratch, scratch.stat().st_size)
        with scratch.open("ab") as stream:
            stream.write(digest)


def read_array(path: str | Path) -> NDArray[Any] | None:
    """An array that `written_array` wrote, memory-mapped; None if it is not there, or damaged.

    Raises
    ------
    OSError
        If it is there and can't be read.
    """
    try:
        with open_regular(path) as stream:
            end = os.fstat(stream.fileno()).st_size - TRAILER
            stream.seek(max(0, end))
            expected = stream.read()
    except FileNotFoundError:
        return None
    if end < 0 or _digest(path, end) != expected:
        return None
    return np.asarray(np.load(path, mmap_mode="r"))


def _digest(path: str | Path, size: int) -> bytes:
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while size > 0 and (block := stream.read(min(CHUNK, size))):
            digest.update(block)
            size -= len(block)
    return digest.digest()
