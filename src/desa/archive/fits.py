"""Opening FITS files from anywhere: whatever is wrong with them becomes one sentence."""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from desa.errors import DamagedFile, FileRefused, UnsupportedFile

GZIP_MAGIC = b"\x1f\x8b"
BLOCK = 2880
"""FITS files come in blocks of so many bytes."""

MAX_BYTES = 1 << 30
"""Larger streams than this are no light curve or spectrum; also what a gzip bomb is stopped at."""


def file_bytes(path: str | Path) -> bytes:
    """Content of a file, unpacked if it is a gzip stream, whatever its name.

    Raises
    ------
    DamagedFile
        If it can't be read, is empty, or the gzip stream is truncated or fails its checksum.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise DamagedFile(path, f"can't be read ({error.strerror or error})") from None
    if raw[:2] == GZIP_MAGIC:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
                raw = stream.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DamagedFile(path, f"the gzip stream is damaged ({error})", "download it again") from None
    if not raw:
        raise DamagedFile(path, "the file is empty", "download it again")
    if len(raw) > MAX_BYTES:
        raise UnsupportedFile(path, "larger than 1 GiB, so neither a light curve nor a spectrum")
    return raw


def _check_start(path: str | Path, raw: bytes) -> None:
    if raw[:9] == b"SIMPLE  =":
        return
    start = raw[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UnsupportedFile(path, "a web page, not a FITS file", "download the file itself")
    if not raw.strip(b"\0"):
        raise DamagedFile(path, "nothing but zero bytes", "download it again")
    raise UnsupportedFile(path, "not a FITS file", "desa reads FITS light curves and LAMOST spectra")


@contextmanager
def opened(path: str | Path) -> Iterator[fits.HDUList]:
    """Open a FITS file (plain or gzip) from memory.

    Raises
    ------
    DamagedFile, UnsupportedFile
        For whatever goes wrong while it is open: astropy meets a damaged file with many kinds of
        exception, so every one of them is turned into a sentence here.
    """
    raw = file_bytes(path)
    _check_start(path, raw)
    if len(raw) % BLOCK and len(raw) < BLOCK:
        raise DamagedFile(path, f"truncated after {len(raw)} bytes", "download it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.filterwarnings("error", message=".*truncated.*")
            with (
                np.errstate(all="ignore"),
                fits.open(io.BytesIO(raw), memmap=False, lazy_load_hdus=True) as hdus,
            ):
                yield hdus
    except FileRefused:
        raise
    except Exception as error:
        text = str(error).strip().split("\n")[0]
        reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        raise DamagedFile(path, f"damaged FITS file ({reason})", "download it again") from None


def number(header: Mapping[str, Any], key: str) -> float:
    """A header's number; NaN where it is absent, blank or text."""
    value = header.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return float("nan")
    try:
        return float(value)
    except ValueError:
        return float("nan")


def integer(header: Mapping[str, Any], key: str, default: int = -1) -> int:
    """A header's integer; `default` where it is absent, blank or no integer."""
    value = number(header, key)
    return int(value) if np.isfinite(value) and abs(value) < 2**62 else default


def text(header: Mapping[str, Any], key: str) -> str:
    """A header's text, stripped; empty where it is absent or blank."""
    value = header.get(key)
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)


def native(array: Any, kind: str) -> NDArray[Any]:
    """A copy in the machine's byte order: FITS is big-endian."""
    return np.ascontiguousarray(array, dtype=np.dtype(kind))


def column(hdu: Any, name: str, kind: str) -> NDArray[Any]:
    """One column of a table without touching the others."""
    return native(hdu.data.field(name), kind)


def has_column(hdu: Any, name: str) -> bool:
    """Whether a table has a column, in any case."""
    return name.upper() in {known.upper() for known in hdu.columns.names}
