"""The one place that opens and writes files: regular ones only, of bounded size, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from desa.errors import DesaError, OutputError

GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ROOM_WORDS = ("no space left", "disk quota exceeded", "file too large", "os error 28")


class TooLarge(OSError):
    """A file, or what a compressed one holds, is larger than anything of its kind."""

    def __init__(self, path: str | Path, most: int) -> None:
        super().__init__(errno.EFBIG, f"larger than {said_size(most)}, so not what it should be", str(path))


def said_size(size: int) -> str:
    """A number of bytes for people."""
    for unit, width in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= width:
            return f"{size / width:.3g} {unit}"
    return f"{size} bytes"


def open_regular(path: str | Path) -> BufferedReader:
    """Open a file to read; what is no regular file is refused before a byte is read.

    A pipe would block until somebody writes to it, and a device may never end.

    Raises
    ------
    OSError
        If there is no such file, it can't be read, or it is a folder, a pipe, a socket or a device.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"
        raise OSError(errno.EINVAL, f"{what}, not a file", str(path))
    return os.fdopen(handle, "rb")


def regular(path: str | Path, most: int | None = None) -> Path:
    """The path of a regular file, for a library that opens it by itself.

    Parameters
    ----------
    path
        The file.
    most
        Bytes that it may have.

    Raises
    ------
    OSError
        As `open_regular`; `TooLarge` for more bytes.
    """
    with open_regular(path) as stream:
        if most is not None and os.fstat(stream.fileno()).st_size > most:
            raise TooLarge(path, most)
    return Path(path)


def read_bytes(path: str | Path, most: int) -> bytes:
    """Content of a regular file.

    Raises
    ------
    OSError
        As `open_regular`; `TooLarge` for more than `most` bytes, before they are read.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise TooLarge(path, most)
        content = stream.read(size + 1)
        if len(content) <= size:
            return content
        content += stream.read(most + 1 - len(content))  # it grew, or the system does not know its size
    if len(content) > most:
        raise TooLarge(path, most)
    return content


def unpacked(raw: bytes, path: str | Path, most: int) -> bytes:
    """What a gzip stream of one or more members holds.

    Parameters
    ----------
    raw
        The stream.
    path
        Where it is from, for errors.
    most
        Bytes that it may hold; unpacking ends there.

    Raises
    ------
    TooLarge
        If it holds more.
    EOFError, zlib.error
        If it is truncated or damaged.
    """
    parts: list[bytes] = []
    left = most
    while raw:
        stream = zlib.decompressobj(wbits=31)
        part = stream.decompress(raw, left + 1)
        left -= len(part)
        if left < 0:
            raise TooLarge(path, most)
        if not stream.eof:
            raise EOFError("it ends before its end mark")
        parts.append(part)
        raw = stream.unused_data.lstrip(b"\0")  # tape blocks are filled up with zeros
    return parts[0] if len(parts) == 1 else b"".join(parts)


def says_full(error: BaseException) -> bool:
    """Whether an error says, in any library's words, that there was no room."""
    if isinstance(error, TooLarge):
        return False
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return True
    return any(part in str(error).lower() for part in _NO_ROOM_WORDS)


def _no_room(handle: int) -> bool:
    """Whether no more can be written to an open file: PyTorch's errors do not say why it failed."""
    try:
        return os.pwrite(handle, bytes(CHUNK), os.fstat(handle).st_size) < CHUNK
    except OSError as error:
        return error.errno in NO_ROOM


def free_bytes(folder: Path) -> int:
    """Bytes that can be written where a folder is, or is to be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def full(folder: Path, wanted: int, *, known: bool = False) -> OutputError:
    """The error that says that the disk is full.

    Parameters
    ----------
    folder
        Where.
    wanted
        Bytes: all that are wanted if `known`, else those that had been written when there was no more room.
    """
    free = said_size(free_bytes(folder))
    amount = f"{said_size(wanted)} wanted, " if known else f"more than {said_size(wanted)} wanted, "
    return OutputError(
        f"{folder}: the disk is full ({amount if wanted > 1 else ''}{free} free); make room and run the same "
        "command again"
    )


def check_output(path: str | Path) -> Path:
    """Make sure, before the work, that a file or folder can be written; the folders above are made.

    Raises
    ------
    OutputError
        If it can't.
    """
    target = Path(path)
    if os.path.isdir(target):  # noqa: PTH112 - pathlib raises for a name that is too long
        if not os.access(target, os.W_OK | os.X_OK):
            raise OutputError(f"{target}: can't be written (no permission); give another place")
        return target
    if os.path.lexists(target) and not (target.is_symlink() or target.is_file()):
        raise OutputError(f"{target}: a pipe or a device, not a file to write; give another name")
    scratch = _scratch(target)
    beside = int(os.environ.get("WORLD_SIZE", "1")) > 1  # others of `torchrun` look at the same moment
    os.close(_taken(scratch, target, wait=beside))
    scratch.unlink()
    return target


def _scratch(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


@contextmanager
def written_whole(path: str | Path, size: int | None = None) -> Iterator[Path]:
    """Give a path beside `path` to write; rename it to `path` if the block ends well, else remove it.

    What a killed run left under that name is written over. Who else writes the same file waits.

    Parameters
    ----------
    path
        The file to write. Its folder is made if need be. A link is replaced, not followed.
    size
        Bytes that will come, where that is known: without room for them nothing is begun.

    Raises
    ------
    OutputError
        If it can't be written, or the disk is full.
    """
    target = Path(path)
    scratch = _scratch(target)
    if size is not None and size > free_bytes(target.parent):
        raise full(target.parent, size, known=True)
    handle = _taken(scratch, target)
    try:
        yield scratch
        scratch.replace(target)
    except BaseException as error:
        written = scratch.stat().st_size if scratch.exists() else 0
        is_full = isinstance(error, Exception) and (says_full(error) or _no_room(handle))
        scratch.unlink(missing_ok=True)
        if is_full and not isinstance(error, DesaError):
            raise full(target.parent, size or written, known=bool(size)) from None
        if isinstance(error, IsADirectoryError) and target.is_dir():
            raise OutputError(f"{target}: a folder, where a file is to be written") from None
        raise
    finally:
        os.close(handle)


def _taken(scratch: Path, target: Path, *, wait: bool = True) -> int:
    """An open, empty, locked scratch file; the lock goes with the handle, however the process ends."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(scratch, flags, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                mine = os.fstat(handle)
                if not stat.S_ISREG(mine.st_mode):
                    raise OSError(errno.EINVAL, "a pipe or a device has that name", str(scratch))
                # Whoever had the lock before has renamed or removed the file by now.
                if scratch.exists() and os.path.samestat(mine, scratch.lstat()):
                    os.ftruncate(handle, 0)
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)
    except BlockingIOError:
        raise OutputError(f"{target}: another run is writing this file; wait for it to end") from None
    except OSError as error:
        if error.errno in NO_ROOM:
            raise full(target.parent, 1) from None
        reason = error.strerror or str(error)
        raise OutputError(f"{target}: can't be written ({reason}); give another place") from None


def clear_parts(folder: str | Path, *patterns: str) -> int:
    """Remove what killed runs left half-written; returns how many files that were.

    Only for a folder that this run has claimed (`desa.folders.claimed`). What is being written stays.

    Parameters
    ----------
    folder
        The folder.
    *patterns
        Files that runs write there, from the folder, such as ``"spectra/data-*.arrow"``. Nothing else is
        touched, and nothing through links.
    """
    root, removed = Path(folder), 0
    for pattern in patterns:
        place, _, name = pattern.rpartition("/")
        for parent in root.glob(place) if place else (root,):
            if _through_link(root, parent):
                continue
            for path in parent.glob(f".{name}.part"):
                removed += _removed(path)
    return removed


def _removed(path: Path) -> bool:
    """Remove a scratch file that nobody holds."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _through_link(root: Path, path: Path) -> bool:
    """Whether a link lies on the way from a folder to a path below it."""
    while path != root:
        if path.is_symlink():
            return True
        path = path.parent
    return False
