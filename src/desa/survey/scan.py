"""Which files there are and, by their headers alone, which star each is of."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from desa.errors import SurveyError
from desa.io.fits import BLOCK, GZIP_MAGIC, number, text
from desa.io.kepler import star_and_mission
from desa.io.lamost import star_name

MAX_HEADER = 64 * BLOCK
CHUNK = 8 * BLOCK


class FileState(NamedTuple):
    """A file below the root: relative name, bytes, time of its last change."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Glance:
    """What a primary header says; all empty if there is none that can be read.

    Parameters
    ----------
    kind
        ``"lightcurve"``, ``"spectrum"`` or empty.
    name
        The star's name.
    obsid, ra, dec
        As in `desa.types.Spectrum`.
    mock
        Whether the file says that it was simulated (``MOCK = T``, as `desa simulate` writes).
    """

    kind: str = ""
    name: str = ""
    obsid: str = ""
    ra: float = float("nan")
    dec: float = float("nan")
    mock: bool = False


def list_files(root: Path, skip: Path | None = None) -> list[FileState]:
    """All files at or below a place, in the order of their names; hidden ones are not looked at.

    Parameters
    ----------
    root
        A folder, or a file.
    skip
        A folder not to enter.

    Raises
    ------
    SurveyError
        If there is nothing at that place.
    """
    if root.is_file():
        state = root.stat()
        return [FileState(root.name, state.st_size, state.st_mtime_ns)]
    if not root.is_dir():
        raise SurveyError(f"{root}: no such folder; give the folder that holds the files")
    return sorted(_walk(root, "", {os.path.realpath(skip)} if skip else set()))


def _walk(folder: Path, prefix: str, seen: set[str]) -> Iterator[FileState]:
    """Links to folders are followed, once each."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(Path(entry.path), name + "/", seen)
            elif entry.is_file():
                state = entry.stat()
                yield FileState(name, state.st_size, state.st_mtime_ns)


def file_root(root: Path) -> Path:
    """The folder that the names of `list_files` are relative to."""
    return root.parent if root.is_file() else root


def primary_header(path: Path) -> Mapping[str, Any]:
    """The primary header, read without the data after it; empty if that is no FITS file."""
    content = b""
    try:
        with path.open("rb") as stream:
            raw = stream.read(CHUNK)
            unpack = zlib.decompressobj(wbits=31) if raw[:2] == GZIP_MAGIC else None
            while raw:
                content += unpack.decompress(raw, MAX_HEADER) if unpack else raw
                if not content.startswith(b"SIMPLE  =") or len(content) > MAX_HEADER:
                    return {}
                end = content.find(b"END" + 77 * b" ")
                while end >= 0 and end % 80:
                    end = content.find(b"END" + 77 * b" ", end + 1)
                if end >= 0:
                    header: Mapping[str, Any] = fits.Header.fromstring(content[:end].decode("latin-1"))
                    return header
                raw = stream.read(CHUNK)
    except (OSError, zlib.error):
        return {}
    return {}


def glance(path: Path) -> Glance:
    """What a file's primary header says of the star; what is wrong with the file its reader says later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            header = primary_header(path)
            telescope = text(header, "TELESCOP").upper()
            mock = header.get("MOCK") is True
            if telescope in ("KEPLER", "TESS"):
                place = number(header, "RA_OBJ"), number(header, "DEC_OBJ")
                return Glance("lightcurve", star_and_mission(header)[0], "", *place, mock)
            if telescope == "LAMOST":
                obsid = text(header, "OBSID") or Path(text(header, "FILENAME")).stem
                place = number(header, "RA"), number(header, "DEC")
                return Glance("spectrum", star_name(header), obsid, *place, mock)
        except (fits.VerifyError, ValueError, TypeError, KeyError):
            return Glance()
    return Glance()


def glances(task: tuple[Path, Sequence[str]]) -> list[Glance]:
    """`glance` at some files below a root, for a worker process."""
    root, names = task
    return [glance(root / name) for name in names]
