"""Opening FITS files from anywhere: whatever is wrong with them becomes one sentence."""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from desa.errors import DamagedFile, FileRefused, UnsupportedFile
from desa.files import GZIP_MAGIC, TooLarge, read_bytes, said_size, unpacked

BLOCK = 2880
"""FITS files come in blocks of so many bytes."""

MAX_BYTES = 1 << 28
"""Larger files or gzip streams are no light curve or spectrum: a month of 20-second cadences has 15 MB."""

AGAIN = "download it again"
_COLUMN_CARD = re.compile(rb"(TTYPE|TFORM)(\d{1,3}) *= '([^']*)'")
_COUNTS = (re.compile(rb"NAXIS   = *(?:\d{4}|\d*[.ED])"), re.compile(rb"TFIELDS = *(?:\d{4}|\d*[.ED])"))
"""More axes or columns than the FITS standard allows (999)."""

_SCALED = re.compile(rb"T(?:SCAL|ZERO)\d{1,3} *=")
_FORM = re.compile(r"(\d*)([LBIJKEDA])")
_TYPES = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "A": "S1"}


def file_bytes(path: str | Path) -> bytes:
    """Content of a file, unpacked if it is a gzip stream, whatever its name.

    Raises
    ------
    DamagedFile
        If it can't be read, is empty, or the gzip stream is truncated or fails its checksum.
    """
    try:
        raw = read_bytes(path, MAX_BYTES)
        if raw[:2] == GZIP_MAGIC:
            raw = unpacked(raw, path, MAX_BYTES)
    except TooLarge:
        most = said_size(MAX_BYTES)
        raise UnsupportedFile(path, f"larger than {most}, so neither a light curve nor a spectrum") from None
    except (EOFError, zlib.error) as error:
        raise DamagedFile(path, f"the gzip stream is damaged ({error})", AGAIN) from None
    except OSError as error:
        raise DamagedFile(path, f"can't be read ({error.strerror or error})") from None
    if not raw:
        raise DamagedFile(path, "the file is empty", AGAIN)
    return raw


def _check_start(path: str | Path, raw: bytes) -> None:
    if raw[:9] == b"SIMPLE  =":
        if len(raw) < BLOCK:
            raise DamagedFile(path, f"truncated after {len(raw)} bytes", AGAIN)
        for card in (one for pattern in _COUNTS for one in pattern.finditer(raw)):
            if card.start() % 80 == 0:  # astropy would count so far
                raise DamagedFile(path, f"damaged header ({card[0].decode('ascii')}...)", AGAIN)
        return
    start = raw[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UnsupportedFile(path, "a web page, not a FITS file", "download the file itself")
    if not raw.strip(b"\0"):
        raise DamagedFile(path, "nothing but zero bytes", AGAIN)
    raise UnsupportedFile(
        path, "not a FITS file", "desa reads FITS files, and tables of stars in Parquet and NumPy files"
    )


@dataclass(frozen=True, eq=False)
class Table:
    """A binary table, read column by column; names in any case.

    Parameters
    ----------
    hdu
        The table as astropy sees it.
    raw
        Content of the whole file.
    """

    hdu: Any
    raw: bytes

    @property
    def header(self) -> Any:
        """The table's header."""
        return self.hdu.header

    @cached_property
    def _layout(self) -> tuple[dict[str, str], NDArray[Any] | None]:
        """Names of the columns by their upper-case names, and the rows, without astropy's column objects.

        These take most of the time of reading a file; the rows are None where a column is scaled or of a
        rare type, which astropy then reads.
        """
        place = self.hdu.fileinfo()
        cards = self.raw[place["hdrLoc"] : place["datLoc"]]
        found: dict[bytes, dict[int, str]] = {b"TTYPE": {}, b"TFORM": {}}
        for card in _COLUMN_CARD.finditer(cards):
            if card.start() % 80 == 0:  # not the end of a longer keyword, such as FITTYPE1
                found[card[1]][int(card[2])] = card[3].decode("latin-1").strip()
        count = int(self.header["TFIELDS"])
        names = [found[b"TTYPE"].get(i, f"COLUMN{i}") for i in range(1, count + 1)]
        forms = [_FORM.fullmatch(found[b"TFORM"].get(i, "")) for i in range(1, count + 1)]
        known = {name.upper(): name for name in names}
        if _SCALED.search(cards) or not all(forms) or len(set(names)) < count:
            return known, None
        types = [(_TYPES[form[2]], (int(form[1] or 1),)) for form in forms if form]
        dtype = np.dtype([(name, *kind) for name, kind in zip(names, types, strict=True)])
        if dtype.itemsize != self.header["NAXIS1"]:
            return known, None
        rows = int(self.header["NAXIS2"])
        return known, np.frombuffer(self.raw, dtype, count=rows, offset=place["datLoc"])

    @property
    def names(self) -> frozenset[str]:
        """Upper-case names of the columns."""
        return frozenset(self._layout[0])

    def __len__(self) -> int:
        return int(self.header["NAXIS2"])

    def column(self, name: str, kind: str) -> NDArray[Any]:
        """One column in the machine's byte order: (rows,), or (rows, n) for a column of arrays."""
        names, rows = self._layout
        own = names[name.upper()]
        values = self.hdu.data.field(own) if rows is None else rows[own]
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        return np.ascontiguousarray(values, dtype=np.dtype(kind))


@dataclass(frozen=True, eq=False)
class OpenFile:
    """An open FITS file.

    Parameters
    ----------
    path
        The file, named in errors.
    hdus
        As astropy sees it.
    raw
        Its content, unpacked.
    """

    path: str | Path
    hdus: fits.HDUList
    raw: bytes

    @property
    def header(self) -> Any:
        """The primary header."""
        return self.hdus[0].header

    @cached_property
    def columns(self) -> frozenset[str]:
        """Upper-case names of the first table's columns; empty without a table.

        Raises
        ------
        DamagedFile
            If the table ends early.
        """
        table = self.table()
        return table.names if table else frozenset()

    def image(self) -> NDArray[Any]:
        """The primary image.

        Raises
        ------
        DamagedFile
            If there is none, it ends early, or what follows it is no further part.
        """
        self._whole(0)
        data = self.hdus[0].data
        if data is None:
            raise DamagedFile(self.path, "there is no data after the header", AGAIN)
        return np.asarray(data)

    def table(self, index: int | str = 1) -> Table | None:
        """A binary table by its place or name; None where there is no such table.

        Raises
        ------
        DamagedFile
            If it ends early.
        """
        try:
            hdu = self.hdus[index]
        except (IndexError, KeyError):
            return None
        if not isinstance(hdu, fits.BinTableHDU):
            return None
        self._whole(index)
        return Table(hdu, self.raw)

    def first_table(self) -> Table:
        """The table after the primary part.

        Raises
        ------
        DamagedFile
            If there is none, or it ends early.
        """
        table = self.table()
        if table is None:
            raise DamagedFile(self.path, "there is no table after the header", AGAIN)
        return table

    def _whole(self, index: int | str) -> None:
        hdu = self.hdus[index]
        end = hdu.fileinfo()["datLoc"] + hdu.size
        if end > len(self.raw):
            raise DamagedFile(self.path, f"truncated: {len(self.raw)} bytes of {end} or more", AGAIN)
        behind = self.raw[-(-end // BLOCK) * BLOCK :][:8]
        if behind not in (b"", b"XTENSION") or len(self.raw) % BLOCK:
            raise DamagedFile(self.path, f"what follows part {index} is no part of a FITS file", AGAIN)

    def check(self, index: int | str) -> None:
        """Compare a part of the file with its CHECKSUM, where it has one.

        A DATASUM by itself is not looked at: K2SFF files come with wrong ones.

        Raises
        ------
        DamagedFile
            If they differ.
        """
        hdu = self.hdus[index]
        if not text(hdu.header, "CHECKSUM").strip("0"):
            return
        place = hdu.fileinfo()
        part = self.raw[place["hdrLoc"] : place["datLoc"] + place["datSpan"]]
        if len(part) % 4 or not _adds_up(part):
            raise DamagedFile(
                self.path,
                f"part {index} does not agree with its checksum: damaged, or edited without a new one",
                AGAIN,
            )


def _adds_up(part: bytes) -> bool:
    """Whether the ones' complement sum of 32-bit words is -0 (FITS standard 4.0, appendix J)."""
    total = int(np.frombuffer(part, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total == 0xFFFFFFFF


@contextmanager
def opened(path: str | Path) -> Iterator[OpenFile]:
    """Open a FITS file (plain or gzip) from memory.

    Raises
    ------
    DamagedFile, UnsupportedFile
        For whatever goes wrong while it is open: astropy meets a damaged file with many kinds of
        exception, so every one of them is turned into a sentence here.
    """
    raw = file_bytes(path)
    _check_start(path, raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with (
                np.errstate(all="ignore"),
                fits.open(io.BytesIO(raw), memmap=False, lazy_load_hdus=True) as hdus,
            ):
                first = hdus[0].fileinfo()["datLoc"]
                if any(raw.startswith(b"XTENSION", place) for place in range(BLOCK, first, BLOCK)):
                    raise DamagedFile(path, "its first header has lost its end", AGAIN)
                yield OpenFile(path, hdus, raw)
    except FileRefused:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        reason = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise DamagedFile(path, f"damaged FITS file ({reason})", AGAIN) from None


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
