"""What a folder of downloads holds: one JSON object a line, added when a file is whole and in its place."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from desa.errors import ArchiveError
from desa.files import read_bytes, written_whole

FOLDER = ".fetch"
"""Hidden, so that `desa ingest` does not look at it."""


MAX_BYTES = 1 << 30
"""Of a journal: a line has some 400 bytes, so this is of millions of files."""

Text = Annotated[str, Field(max_length=4096)]
Size = Annotated[int, Field(ge=0, lt=1 << 62)]


class Row(BaseModel):
    """Base of a journal's lines, which may come from a stranger: checked when they are read."""

    model_config = ConfigDict(strict=True, frozen=True)


class Fetched(Row):
    """A file that is in the folder.

    Parameters
    ----------
    name, path
        What it is called, and where it is below the folder.
    bytes, sha256
        Of its content.
    url, star_id, refused, time
        Where it is from, whose it is, why desa can't use it, when it came.
    """

    name: Text
    path: Text
    bytes: Size
    sha256: Text
    url: Text = ""
    star_id: Text = ""
    refused: Text = ""
    time: Text = ""


class Journal:
    """A file of JSON lines, each on disk before `add` returns; a line that a crash tore is dropped.

    Parameters
    ----------
    path
        The file; made at the first line.
    key
        Name of the entry by which lines are found; of two lines with the same the later counts.
    row
        What a line must be.

    Raises
    ------
    ArchiveError
        If a line before the last is none such: not a file that desa wrote.
    """

    def __init__(self, path: Path, key: str, row: type[Row]) -> None:
        self.path = path
        self._key = key
        self._row = row
        self._lock = threading.Lock()
        self.rows: dict[str, dict[str, Any]] = {}
        if os.path.lexists(path):
            try:
                self._read(read_bytes(path, MAX_BYTES))
            except OSError as error:
                raise ArchiveError(f"{path}: can't be read ({error.strerror or error})") from None

    def _read(self, content: bytes) -> None:
        lines = content.split(b"\n")
        torn = lines.pop()
        for number, line in enumerate(lines, 1):
            try:
                row = self._row.model_validate_json(line).model_dump()
            except ValidationError:
                raise ArchiveError(f"{self.path}: line {number} is damaged; remove that line") from None
            self.rows[str(row[self._key])] = row
        if torn:
            with written_whole(self.path) as scratch:
                scratch.write_bytes(content[: len(content) - len(torn)])
                _sync(scratch)

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def add(self, row: dict[str, Any]) -> None:
        """Append a line and wait until the disk has it."""
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_symlink():
                raise ArchiveError(f"{self.path}: a link; desa writes nothing through links, remove it")
            with self.path.open("ab") as stream:
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
            self.rows[str(row[self._key])] = row


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def settle(part: Path, target: Path) -> None:
    """Give a whole file its name: its bytes reach the disk first, then the name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _sync(part)
    part.replace(target)
    _sync(target.parent)
