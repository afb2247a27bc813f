"""Arrow stream files with a note beside each: written whole, kept while their inputs stay, mapped when read.

A modality's folder is what Hugging Face `datasets.load_from_disk` opens. While a survey is made its files are
``data-00007.arrow``; `seal` gives them their last names, ``data-00007-of-00012.arrow``.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from desa.errors import SurveyError
from desa.files import clear_parts, open_regular, written_whole
from desa.survey.schema import FORMAT, dataset_info

Note = dict[str, Any]
"""A shard's note: fingerprint of its inputs, sha256, bytes, rows, facts by row, files left out."""

BATCH_ROWS = 256
NOTES = "shards"
_DATA = re.compile(r"data-(\d{5,})(-of-\d{5,})?\.arrow")
_NOTE = re.compile(r"(\d{5,})\.json")


def json_bytes(content: Any) -> bytes:
    """JSON that is the same for the same content; NaN is an error."""
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole."""
    with written_whole(path) as scratch:
        scratch.write_bytes(json_bytes(content))


def _note_path(folder: Path, index: int) -> Path:
    return folder / NOTES / f"{index:05d}.json"


def data_file(folder: Path, index: int) -> Path | None:
    """The data of shard `index` under whichever name it has, None if there is none."""
    files = _data_files(folder, index)
    return files[0] if files else None


def _data_files(folder: Path, index: int | None = None) -> list[Path]:
    """The data files of one shard, or of all: those whose names are ours."""
    pattern = "data-*.arrow" if index is None else f"data-{index:05d}*.arrow"
    found = {path: _DATA.fullmatch(path.name) for path in sorted(folder.glob(pattern))}
    return [path for path, name in found.items() if name and index in (None, int(name[1]))]


def note_of(folder: Path, index: int, fingerprint: str | None = None) -> Note | None:
    """Note of a finished shard; None where it is unfinished or made from other inputs."""
    try:
        note: Note = json.loads(_note_path(folder, index).read_bytes())
    except (OSError, ValueError):
        return None
    data = data_file(folder, index)
    same = fingerprint is None or note.get("fingerprint") == fingerprint
    whole = data is not None and note.get("format") == FORMAT and data.stat().st_size == note.get("bytes")
    return note if same and whole else None


def write_shard(
    folder: Path,
    index: int,
    batches: Sequence[pa.RecordBatch],
    schema: pa.Schema,
    *,
    fingerprint: str = "",
    facts: dict[str, list[Any]] | None = None,
    left_out: Sequence[dict[str, str]] = (),
) -> Note:
    """Write one shard: first its data, then its note, each in one rename.

    Parameters
    ----------
    folder
        The modality's folder.
    index
        Number of the shard.
    batches, schema
        Its rows. Batches larger than `BATCH_ROWS` are written in pieces.
    fingerprint
        Hash of everything it was made from; the same one lets a later run keep it.
    facts
        Columns for the survey's index, one value a row.
    left_out
        Files of its inputs that could not be used: ``path`` and ``reason``.
    """
    _note_path(folder, index).unlink(missing_ok=True)
    for old in _data_files(folder, index):
        old.unlink()
    target = folder / f"data-{index:05d}.arrow"
    with written_whole(target) as scratch:
        with pa.OSFile(str(scratch), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for batch in batches:
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    writer.write_batch(batch.slice(start, BATCH_ROWS))
        with scratch.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = scratch.stat().st_size
    note: Note = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "sha256": digest,
        "bytes": size,
        "rows": sum(batch.num_rows for batch in batches),
        "facts": facts or {},
        "left_out": list(left_out),
    }
    write_json(_note_path(folder, index), note)
    return note


def clear_modality(folder: Path) -> None:
    """Remove what a killed run left half-written in a modality's folder."""
    clear_parts(folder, "data-*.arrow", "dataset_info.json", "state.json", f"{NOTES}/*.json")


def seal(folder: Path, schema: pa.Schema, count: int) -> list[Note]:
    """Give `count` shards their last names, remove others, and write what `datasets` needs.

    Returns
    -------
    list of Note
        The shards' notes, each with its ``file`` name.

    Raises
    ------
    SurveyError
        If a shard is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notes = []
    for index in range(count):
        note, data = note_of(folder, index), data_file(folder, index)
        if note is None or data is None:
            raise SurveyError(f"{folder}: shard {index} of {count} is missing; run again to make it")
        name = f"data-{index:05d}-of-{count:05d}.arrow"
        data.replace(folder / name)
        notes.append({"file": name} | note)
    names = {note["file"] for note in notes}
    for path in _data_files(folder):
        if path.name not in names:
            path.unlink()
    for path in (folder / NOTES).glob("*.json"):
        found = _NOTE.fullmatch(path.name)
        if found and int(found[1]) >= count:
            path.unlink()
    clear_modality(folder)
    _describe(folder, schema, notes)
    return notes


def _describe(folder: Path, schema: pa.Schema, notes: Sequence[Note]) -> None:
    content = "".join(note["sha256"] for note in notes)
    write_json(folder / "dataset_info.json", dataset_info(schema))
    state: dict[str, Any] = {
        "_data_files": [{"filename": note["file"]} for note in notes],
        "_fingerprint": hashlib.blake2b(content.encode(), digest_size=8).hexdigest(),
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    write_json(folder / "state.json", state)


class _ListColumn:
    """NumPy views of one list column of one record batch."""

    def __init__(self, column: pa.ListArray) -> None:
        self.offsets = column.offsets.to_numpy()
        self.values = column.values.to_numpy(zero_copy_only=True)

    def row(self, row: int) -> NDArray[Any]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]  # type: ignore[no-any-return]


def check_content(path: Path, digest: str) -> None:
    """Compare a survey's file with its SHA-256.

    Raises
    ------
    SurveyError
        If its content is another.
    OSError
        If it can't be read.
    """
    with open_regular(path) as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
            raise SurveyError(
                f"{path}: damaged (not the content that survey.json's checksum is of); make it again"
            )


class Shards:
    """Rows of a modality's folder, memory-mapped; files are opened when first needed.

    Parameters
    ----------
    folder
        The modality's folder.
    files
        (name, rows) of its files, in order.
    lists
        Columns that hold lists.
    digests
        SHA-256 of the files; a file is compared with its own when it is opened.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[tuple[str, int]],
        lists: Sequence[str],
        digests: Sequence[str],
    ) -> None:
        self._folder, self._lists, self._digests = folder, tuple(lists), tuple(digests)
        self._names = [name for name, _ in files]
        self._starts = [0, *np.cumsum([rows for _, rows in files], dtype=np.int64).tolist()]
        self._open: dict[int, tuple[list[int], list[Any]]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _shard(self, shard: int) -> tuple[list[int], list[Any]]:
        """(first row of each record batch, [(batch, views of its list columns)])."""
        found = self._open.get(shard)
        if found is not None:
            return found
        path = self._folder / self._names[shard]
        try:
            check_content(path, self._digests[shard])
            # The mapping lives as long as its views; the file descriptor, of which there are few, need not.
            with pa.memory_map(str(path)) as source:
                batches = list(pa.ipc.open_stream(source))
        except (OSError, pa.ArrowInvalid) as error:
            raise SurveyError(f"{path}: can't be read ({error}); make the survey again") from None
        starts = [0, *np.cumsum([batch.num_rows for batch in batches], dtype=np.int64).tolist()]
        if starts[-1] != self._starts[shard + 1] - self._starts[shard]:
            raise SurveyError(f"{path}: {starts[-1]} rows, not as many as the survey says; make it again")
        views = [(batch, {n: _ListColumn(batch.column(n)) for n in self._lists}) for batch in batches]
        with self._lock:
            return self._open.setdefault(shard, (starts, views))

    def _find(self, row: int) -> tuple[Any, int]:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        shard = bisect_right(self._starts, row) - 1
        starts, views = self._shard(shard)
        within = row - self._starts[shard]
        batch = bisect_right(starts, within) - 1
        return views[batch], within - starts[batch]

    def array(self, column: str, row: int) -> NDArray[Any]:
        """One row's list as a read-only view of the mapped file: nothing is copied."""
        (_, lists), place = self._find(row)
        found: NDArray[Any] = lists[column].row(place)
        return found

    def scalar(self, column: str, row: int, missing: Any = None) -> Any:
        """One row's value of a column that holds no lists; `missing` if the file has no such column."""
        (batch, _), place = self._find(row)
        return batch.column(column)[place].as_py() if column in batch.schema.names else missing
