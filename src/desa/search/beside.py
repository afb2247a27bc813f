"""The index of a table of embeddings, made once and kept in a file beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from desa.errors import DamagedFile, OutputError
from desa.search.index import Index

BLOCK = 1 << 24

Say = Callable[[str], None]


def index_path(table: Path, by: str, metric: str) -> Path:
    """Where a table's index is kept."""
    return table.with_name(f"{table.name}.{by}.{metric}.index")


def content_key(path: Path) -> str:
    """Hash of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    state = path.stat()
    return f"{state.st_size} {state.st_mtime_ns}"


def index_of(
    table: str | Path, by: str, *, metric: str = "euclidean", kind: str = "auto", say: Say | None = None
) -> Index:
    """The index of a table: the one beside it if that is of the table as it is now, else a new one.

    An exact index needs no making, so none is stored. Where no file can be written, the index is made anew
    each time.

    Parameters
    ----------
    table
        Parquet table of embeddings.
    by, metric, kind
        As in `Index.build`.
    say
        Gets a sentence on what takes long, or can't be kept.

    Raises
    ------
    FileRefused
        If the table can't be read or has no such vectors.
    """
    table = Path(table)
    stored = index_path(table, by, metric)
    if table.is_file() and kind != "exact" and stored.exists():
        found = _fitting(stored, table, kind)
        if found is not None:
            return found
    made = Index.build(table, by=by, kind=kind, metric=metric)
    if made.kind == "exact":
        return made
    made.facts = {"key": content_key(table), "stamp": _stamp(table)}
    try:
        made.save(stored)
    except (OSError, OutputError) as error:
        if say:
            reason = getattr(error, "strerror", None) or error
            say(f"the index can't be kept in {stored} ({reason}); next time it is made again")
        return made
    if say:
        say(f"made an index of {len(made)} vectors; kept in {stored}")
    return made


def _fitting(stored: Path, table: Path, kind: str) -> Index | None:
    """The stored index, if it is whole, of the kind that is wanted and of the table's present content."""
    try:
        found = Index.load(stored)
    except DamagedFile:
        return None
    if kind not in ("auto", found.kind):
        return None
    same = found.facts.get("stamp") == _stamp(table) or found.facts.get("key") == content_key(table)
    return found if same else None
