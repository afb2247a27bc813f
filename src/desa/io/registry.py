"""Readers of products: a file goes to the one that claims it by its content.

A product is one reader in one file of this folder: a class with `claims`, `glance` and `read`, marked with
`@reader`. Nothing else needs to know of it. A file may hold many stars; one of them is named by a source,
``path::member``.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from desa.errors import FileRefused, UnsupportedFile
from desa.io.fits import OpenFile, opened
from desa.io.heads import Head, read_head
from desa.io.quality import bitmask
from desa.io.tables import StoredTable, damage_told, is_table_file, open_table
from desa.types import LightCurve, Spectrum

Kind = Literal["lightcurve", "spectrum"]
Front = Head | OpenFile | StoredTable
"""What says whose a file is: each has a ``header`` and the names of its ``columns``."""

WORDS: dict[Kind, str] = {"lightcurve": "light curve", "spectrum": "spectrum"}
MEMBER = "::"
UNREADABLE = (FileRefused, fits.VerifyError, ValueError, TypeError, KeyError)
"""What a damaged header or table raises when it is looked at."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a file says of its star before its data are read; all empty if nothing can be told.

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


@dataclass(frozen=True)
class Choices:
    """What a user may choose of light curves.

    Parameters
    ----------
    flux_column
        ``"pdcsap"`` (corrected) or ``"sap"`` (as measured).
    quality
        Which quality bits spoil a sample: ``"default"``, ``"hard"``, ``"none"`` or a number; see
        `desa.io.quality`.

    Raises
    ------
    ValueError
        For any other choice.
    """

    flux_column: str = "pdcsap"
    quality: str | int = "default"

    def __post_init__(self) -> None:
        if self.flux_column not in ("pdcsap", "sap"):
            raise ValueError(f"flux_column must be pdcsap or sap, not {self.flux_column!r}")
        bitmask(self.quality, "Kepler")


DEFAULT = Choices()
FileT = TypeVar("FileT", OpenFile, StoredTable)


class Reader(ABC, Generic[FileT]):
    """What reads one product."""

    kind: ClassVar[Kind]
    one: ClassVar[str]
    """What a file is, as in "a LAMOST spectrum, not a light curve"."""
    product: ClassVar[str]
    """What "desa reads ..." lists."""
    in_tables: ClassVar[bool] = False
    """Whether its files are those of `desa.io.tables`; else they are FITS files."""

    @abstractmethod
    def claims(self, file: Front) -> bool:
        """Whether a file is of this product, by its header and the names of its columns."""

    @abstractmethod
    def glance(self, file: Front, member: str) -> Glance:
        """What a file says of its star, or of a member; without its data where it can be."""

    @abstractmethod
    def read(self, file: FileT, member: str, choices: Choices) -> LightCurve | Spectrum:
        """Read the file, or a member of it."""

    def members(self, file: Front) -> Sequence[str]:
        """Names of the stars or observations in a file of many, in a fixed order; one empty name else."""
        return ("",)

    def refusal(self, file: Front) -> FileRefused | None:
        """Why a file that was meant to be of this product is not; None for any other file."""
        return None


_READERS: list[Reader[Any]] = []
ReaderT = TypeVar("ReaderT", bound=Reader[Any])


def reader(product: type[ReaderT]) -> type[ReaderT]:
    """Register a product's reader."""
    _READERS.append(product())
    return product


@cache
def _import_products() -> None:
    for module in iter_modules(import_module("desa.io").__path__):
        import_module(f"desa.io.{module.name}")


def readers() -> Sequence[Reader[Any]]:
    """Every product's reader."""
    _import_products()
    return _READERS


def split_source(source: str | Path) -> tuple[Path, str]:
    """Path and member of a source; the member is empty for a whole file."""
    text = str(source)
    if MEMBER not in text or Path(text).exists():
        return Path(source), ""
    path, _, member = text.rpartition(MEMBER)
    return Path(path), member


def _source(path: Path, member: str) -> Path:
    return Path(f"{path}{MEMBER}{member}") if member else path


@contextmanager
def open_file(path: str | Path) -> Iterator[OpenFile | StoredTable]:
    """Open a file of any form.

    Raises
    ------
    DamagedFile, UnsupportedFile
        If it can't be read or is of no form that holds stars.
    """
    if is_table_file(path):
        with damage_told(path), np.errstate(all="ignore"):
            yield open_table(path)
    else:
        with opened(path) as file:
            yield file


def find_reader(file: Front, kind: Kind | None = None) -> Reader[Any]:
    """The reader that claims a file.

    Parameters
    ----------
    file
        The file.
    kind
        What is wanted; None: either.

    Raises
    ------
    FileRefused
        If none does, or it is of the other kind.
    """
    found = _claiming(file)
    if found is None:
        raise _refused(file, kind)
    if kind is not None and kind != found.kind:
        raise UnsupportedFile(file.path, f"{found.one}, not a {WORDS[kind]}", supported(kind))
    return found


def _claiming(file: Front) -> Reader[Any] | None:
    tables = isinstance(file, StoredTable)
    return next((one for one in readers() if one.in_tables == tables and one.claims(file)), None)


def _refused(file: Front, kind: Kind | None) -> FileRefused:
    """What is wrong with a file that nobody claims."""
    for one in readers():
        if error := one.refusal(file):
            return error
    wanted = WORDS[kind] if kind else "light curve or spectrum"
    what = f"a file, but not a {wanted} of a layout that desa knows"
    if file.columns:
        names = sorted(file.columns)
        what = f"a table with unknown columns ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"
    return UnsupportedFile(file.path, what, supported(kind))


def supported(kind: Kind | None = None) -> str:
    """What desa reads, as a sentence."""
    products = dict.fromkeys(one.product for one in readers() if kind in (None, one.kind))
    return f"desa reads {', '.join(products)}"


def identify(source: str | Path) -> Kind:
    """Say whether a file is a light curve or a spectrum, by its headers alone.

    Raises
    ------
    UnsupportedFile, DamagedFile
        If it is neither, or can't be read. Whether all of it is sound only reading it tells.
    """
    with open_file(split_source(source)[0]) as file:
        return find_reader(file).kind


def read(source: str | Path, choices: Choices = DEFAULT, kind: Kind | None = None) -> LightCurve | Spectrum:
    """Read a light curve or a spectrum.

    Parameters
    ----------
    source
        A file under any name, or a member of one that holds many, ``path::member``.
    choices
        Of light curves.
    kind
        Refuse the other kind.

    Raises
    ------
    UnsupportedFile
        For whatever is whole but no light curve or spectrum that desa reads.
    DamagedFile
        For what is empty, truncated, corrupt, or has too few good samples.
    """
    path, member = split_source(source)
    with open_file(path) as file:
        return read_open(file, member, choices, kind)


def read_open(
    file: OpenFile | StoredTable, member: str = "", choices: Choices = DEFAULT, kind: Kind | None = None
) -> LightCurve | Spectrum:
    """Read an open file, or a member of it; as `read`."""
    one = find_reader(file, kind)
    item: LightCurve | Spectrum = one.read(file, _one_member(one, file, member), choices)
    return item


def _one_member(one: Reader[Any], file: Front, member: str) -> str:
    members = one.members(file)
    if member in members:
        return member
    if member:
        raise UnsupportedFile(file.path, f"holds no {member!r}, but {', '.join(members[:3])} ...")
    if len(members) == 1:
        return members[0]
    advice = f"ingest it, or name one: {_source(Path(file.path), members[0] if members else '...')}"
    raise UnsupportedFile(file.path, f"holds {len(members)} stars", advice)


def read_lightcurve_file(
    source: str | Path, *, flux_column: str = "pdcsap", quality: str | int = "default"
) -> LightCurve:
    """Read one light-curve file; arguments as in `Choices`, errors as in `read`."""
    item = read(source, Choices(flux_column, quality), "lightcurve")
    assert isinstance(item, LightCurve)
    return item


def read_spectrum(source: str | Path) -> Spectrum:
    """Read one spectrum; errors as in `read`.

    It is as observed: the star's velocity is in `Spectrum.z`. Objects that the survey did not classify as
    stars are read too, with ``meta["is_star"]`` False.
    """
    item = read(source, kind="spectrum")
    assert isinstance(item, Spectrum)
    return item


def _looked_at(path: Path) -> tuple[Front, Reader[Any] | None]:
    """The front of a file and the reader it is, or was meant to be, for."""
    front: Front = open_table(path) if is_table_file(path) else read_head(path)
    return front, _claiming(front) or next((one for one in readers() if one.refusal(front)), None)


def glances(source: str | Path) -> list[tuple[Path, Glance]]:
    """Every source in a file, and what it says of its star; of a member, that alone.

    What is wrong with a file its reader says later: here it is one source, with an empty `Glance` or with
    what its primary header says.
    """
    path, member = split_source(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            front, one = _looked_at(path)
            if one and (members := (member,) if member else one.members(front)):
                return [(_source(path, name), one.glance(front, name)) for name in members]
    except UNREADABLE:
        pass
    return [(Path(source), Glance())]


def glance(source: str | Path) -> Glance:
    """What a file, or a member of one, says of its star; of a file of many the first."""
    return glances(source)[0][1]
