"""Whether a downloaded file is whole, is what was asked for, and can be read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from desa.errors import DamagedFile, FileRefused
from desa.files import GZIP_MAGIC, read_bytes
from desa.io.fits import MAX_BYTES, OpenFile, opened
from desa.io.registry import read_open


@dataclass(frozen=True)
class Sound:
    """A whole file.

    Parameters
    ----------
    sha256
        Of its bytes as they are on disk.
    size
        Bytes on disk.
    star_id, obsid
        Whose it is, by its header; empty where desa can't read it.
    gzipped
        Whether it is a gzip stream.
    refused
        Why desa can't use it, though it is whole; empty if it can.
    """

    sha256: str
    size: int
    star_id: str
    obsid: str
    gzipped: bool
    refused: str = ""


def check_file(path: Path, name: str) -> Sound:
    """Read a file from end to end: gzip stream, every part of the FITS file, checksums, our own reader.

    Parameters
    ----------
    path
        The file.
    name
        What errors call it.

    Raises
    ------
    DamagedFile, UnsupportedFile
        If it is not a whole FITS file. One that is whole but of no use to desa is described, not refused.
    """
    try:
        with opened(path) as file:
            _whole(file)
            star_id, obsid, refused = _contents(file)
    except FileRefused as error:
        raise type(error)(name, error.reason, error.advice) from None
    raw = read_bytes(path, MAX_BYTES)
    return Sound(hashlib.sha256(raw).hexdigest(), len(raw), star_id, obsid, raw[:2] == GZIP_MAGIC, refused)


def _whole(file: OpenFile) -> None:
    end = 0
    for index, hdu in enumerate(file.hdus):
        place = hdu.fileinfo()
        end = place["datLoc"] + place["datSpan"]
        if end > len(file.raw):
            raise DamagedFile(file.path, f"truncated: {len(file.raw)} bytes of {end}")
        file.check(index)
    if file.raw[end:].strip(b"\0 "):
        raise DamagedFile(file.path, f"{len(file.raw) - end} bytes follow the end of the FITS file")


def _contents(file: OpenFile) -> tuple[str, str, str]:
    try:
        item = read_open(file)
    except FileRefused as error:
        return "", "", error.reason
    return item.star_id, getattr(item, "obsid", ""), ""
