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


def list_files(
    root: Path, skip: Path | None = None, left_out: list[tuple[str, str]] | None = None
) -> list[FileState]:
    """All files at or below a place, in the order of their names; hidden ones are not looked at.

    Parameters
    ----------
    root
        A folder, or a file.
    skip
        A folder not to enter.
    left_out
        Gets what is neither a file nor a folder that can be entered, and why.

    Raises
    ------
    SurveyError
        If there is nothing at that place, or it can't be read.
    """
    try:
        if root.is_file():
            state = root.stat()
            return [FileState(root.name, state.st_size, state.st_mtime_ns)]
        os.scandir(root).close()
    except (FileNotFoundError, NotADirectoryError):
        raise SurveyError(f"{root}: no such folder; give the folder that holds the files") from None
    except OSError as error:
        raise SurveyError(f"{root}: can't be read ({error.strerror or error})") from None
    refused: list[tuple[str, str]] = [] if left_out is None else left_out
    seen = {_place(skip.stat())} if skip and skip.exists() else set()
    return sorted(_walk(root, seen, refused))


def _place(state: os.stat_result) -> tuple[int, int]:
    """What a folder is by, whatever its name: two links to it are one folder."""
    return state.st_dev, state.st_ino


def _walk(root: Path, seen: set[tuple[int, int]], left_out: list[tuple[str, str]]) -> Iterator[FileState]:
    """Links to folders are followed, once each; what can't be looked at is left out."""
    todo = [(str(root), "")]
    while todo:
        folder, prefix = todo.pop()
        try:
            place = _place(Path(folder).stat())
            if place in seen:
                continue
            seen.add(place)
            with os.scandir(folder) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except OSError as error:
            left_out.append((said_path(folder), f"can't be read ({error.strerror or error})"))
            continue
        for entry in entries:
            try:
                entry.name.encode()
                if entry.is_dir():
                    todo.append((entry.path, f"{prefix}{entry.name}/"))
                elif entry.is_file():
                    state = entry.stat()
                    yield FileState(prefix + entry.name, state.st_size, state.st_mtime_ns)
                else:
                    what = (
                        "a link that leads nowhere"
                        if entry.is_symlink()
                        else "a pipe or a device, not a file"
                    )
                    left_out.append((said_path(entry.path), what))
            except UnicodeEncodeError:
                left_out.append((said_path(entry.path), "its name is not UTF-8; rename it"))
            except OSError as error:
                left_out.append((said_path(entry.path), f"can't be read ({error.strerror or error})"))


def said_path(path: str | Path) -> str:
    """A path for people and reports: what of it is not UTF-8 by its bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


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
