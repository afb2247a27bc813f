"""Which files there are, which sources are in each and, by their headers alone, which star each is of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from desa.errors import FileRefused, SurveyError
from desa.io.registry import Glance, glances, read
from desa.types import LightCurve, Spectrum


class FileState(NamedTuple):
    """A file below the root: relative name, bytes, time of its last change."""

    name: str
    size: int
    mtime_ns: int


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


def sources(task: tuple[Path, Sequence[str]]) -> list[list[tuple[str, Glance]]]:
    """Of some files below a root: the sources in each, named from the root, and what they say of their stars.

    For a worker process. A source whose header does not tell its star is read; one that can't be read says
    nothing.
    """
    root, names = task
    return [
        [
            (source.relative_to(root).as_posix(), seen if seen.kind else _glance_by_reading(source))
            for source, seen in glances(root / name)
        ]
        for name in names
    ]


def glance_of(item: LightCurve | Spectrum) -> Glance:
    """What a light curve or spectrum says of its star."""
    if isinstance(item, LightCurve):
        return Glance("lightcurve", item.star_id, "", item.ra, item.dec)
    return Glance("spectrum", item.star_id, item.obsid, item.ra, item.dec)


def _glance_by_reading(source: Path) -> Glance:
    try:
        return glance_of(read(source))
    except FileRefused:  # the shard's reader says why
        return Glance()
