"""What a folder of downloads holds: one JSON object a line, added when a file is whole and in its place."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from desa.errors import ArchiveError
from desa.files import written_whole

FOLDER = ".fetch"
"""Hidden, so that `desa ingest` does not look at it."""


class Journal:
    """A file of JSON lines, each on disk before `add` returns; a line that a crash tore is dropped.

    Parameters
    ----------
    path
        The file; made at the first line.
    key
        Name of the entry by which lines are found; of two lines with the same the later counts.

    Raises
    ------
    ArchiveError
        If a line before the last is no JSON object: not a file that desa wrote.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        self._lock = threading.Lock()
        self.rows: dict[str, dict[str, Any]] = {}
        if path.exists():
            self._read(path.read_bytes())

    def _read(self, content: bytes) -> None:
        lines = content.split(b"\n")
        torn = lines.pop()
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                self.rows[str(row[self._key])] = row
            except (ValueError, TypeError, KeyError):
                raise ArchiveError(f"{self.path}: line {number} is damaged; remove that line") from None
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
