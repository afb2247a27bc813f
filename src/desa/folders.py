"""Folders that commands fill: marked as ours, one run at a time, nothing of anybody else touched."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from desa.errors import DesaError, OutputError
from desa.files import NO_ROOM, full, says_full

MARKER = ".desa"
"""A file in every folder that desa fills: what the folder holds. Its lock is held while a run fills it."""


def holds_nothing(folder: Path) -> bool:
    """The default of `claimed`: no folder without a marker is known to be ours."""
    return False


@contextmanager
def claimed(
    folder: str | Path,
    holds: str,
    *,
    places: Sequence[str] = (),
    ours: Callable[[Path], bool] = holds_nothing,
) -> Iterator[Path]:
    """Take a folder for one run until the block ends: it is new or empty, or its marker says it is ours.

    Parameters
    ----------
    folder
        Made if need be.
    holds
        What the folder is to hold, as its marker says: ``"survey"``, ``"training run"``, ...
    places
        Patterns of folders below it that the run writes to; a link among them is refused.
    ours
        Whether a folder without a marker is one that an earlier version of desa made.

    Raises
    ------
    OutputError
        If the folder is somebody else's or holds something else, can't be written, another run has it, or
        its disk is full.
    """
    path = Path(folder)
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{path}: a file, not a folder; give a folder")
    try:
        if path.is_dir() and not os.path.lexists(path / MARKER):
            _refuse_foreign(path, holds, ours)
        path.mkdir(parents=True, exist_ok=True)
        handle = _locked(path)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise full(path, 1) from None
        raise OutputError(
            f"{path}: can't be written ({error.strerror or error}); give another folder"
        ) from None
    try:
        _mark(path, handle, holds, ours)
        for pattern in places:
            for place in path.glob(pattern):
                if place.is_symlink():
                    raise OutputError(f"{place}: a link; desa writes nothing through links, remove it")
        yield path
    except Exception as error:  # what is written without `written_whole`: logs, checkpoints
        if isinstance(error, DesaError) or not says_full(error):
            raise
        raise full(path, 1) from None
    finally:
        os.close(handle)


def _refuse_foreign(path: Path, holds: str, ours: Callable[[Path], bool]) -> None:
    if any(item.name != MARKER for item in path.iterdir()) and not ours(path):
        raise OutputError(
            f"{path}: a folder of something else than a {holds}, made by others than desa; give a new one"
        )


def _locked(path: Path) -> int:
    """The open marker with its lock, which the system frees when the process ends, however it ends."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path / MARKER, flags, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OutputError(f"{path / MARKER}: not a file; remove it")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise OutputError(f"{path}: another run is filling this folder; wait for it to end") from None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _mark(path: Path, handle: int, holds: str, ours: Callable[[Path], bool]) -> None:
    """Write what the folder holds, or make sure that it holds that."""
    content = os.pread(handle, 4096, 0)
    if not content:  # new, or a run was killed before it wrote this
        try:
            _refuse_foreign(path, holds, ours)
        except OutputError:
            (path / MARKER).unlink()
            raise
        try:
            os.write(handle, (json.dumps({"holds": holds}) + "\n").encode())
        except OSError as error:
            raise full(path, 1) if error.errno in NO_ROOM else error from None
        return
    try:
        found = json.loads(content)["holds"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise OutputError(f"{path / MARKER}: not a marker of desa's; give another folder") from None
    if found != holds:
        raise OutputError(f"{path}: holds a {found}, not a {holds}; give another folder")


def inside(folder: str | Path, name: str) -> Path | None:
    """A path below a folder by the name that some list gives it; None for one that leads out of it.

    Parameters
    ----------
    folder
        The folder.
    name
        Relative, as a list in the folder has it: that list may be a stranger's.
    """
    root, path = Path(folder), Path(name)
    if not name or "\0" in name or path.is_absolute() or ".." in path.parts or path == Path():
        return None
    place = root
    for part in path.parts:
        place = place / part
        if place.is_symlink():
            return None
    return place
