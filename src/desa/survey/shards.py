"""Folders of Arrow stream files: written one at a time and whole, read memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from desa.errors import SurveyError
from desa.files import written_whole
from desa.survey.schema import dataset_info


def shard_name(index: int, total: int) -> str:
    """File name of a shard, as Hugging Face `datasets` names them."""
    return f"data-{index:05d}-of-{total:05d}.arrow"


def write_shard(path: Path, batch: pa.RecordBatch) -> str:
    """Write one shard of one record batch, whole; returns the hash of its bytes."""
    with written_whole(path) as scratch:
        with pa.OSFile(str(scratch), "wb") as sink, pa.ipc.new_stream(sink, batch.schema) as stream:
            if batch.num_rows:
                stream.write_batch(batch)
        return hashlib.blake2b(scratch.read_bytes(), digest_size=16).hexdigest()


def write_folder_description(
    folder: Path, schema: pa.Schema, shards: Sequence[str], fingerprint: str
) -> None:
    """Write what `datasets.load_from_disk` needs to open the folder."""
    state = {
        "_data_files": [{"filename": name} for name in shards],
        "_fingerprint": fingerprint[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    for name, content in {"dataset_info.json": dataset_info(schema), "state.json": state}.items():
        with written_whole(folder / name) as scratch:
            scratch.write_text(json.dumps(content, indent=2) + "\n")


class ShardedTable:
    """Rows of a folder's shards, memory-mapped: opening costs nothing, a row is a view.

    Parameters
    ----------
    folder
        Folder with ``state.json`` and the shards it names.
    """

    def __init__(self, folder: Path) -> None:
        try:
            state = json.loads((folder / "state.json").read_text())
            files = [folder / entry["filename"] for entry in state["_data_files"]]
            batches = [batch for file in files for batch in self._open(file)]
        except (OSError, ValueError, KeyError, pa.ArrowInvalid) as error:
            raise SurveyError(
                f"{folder}: the survey is damaged ({error}); ingest or simulate again"
            ) from None
        self._batches = batches
        self._ends = np.cumsum([batch.num_rows for batch in batches]) if batches else np.zeros(0, np.int64)

    @staticmethod
    def _open(path: Path) -> list[pa.RecordBatch]:
        with pa.memory_map(str(path)) as source:
            return list(pa.ipc.open_stream(source))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def _place(self, row: int) -> tuple[pa.RecordBatch, int]:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        shard = int(np.searchsorted(self._ends, row, side="right"))
        start = int(self._ends[shard - 1]) if shard else 0
        return self._batches[shard], row - start

    def array(self, name: str, row: int) -> NDArray[Any]:
        """One row of an array column, as a read-only view of the file."""
        batch, place = self._place(row)
        column = batch.column(name)
        offsets = np.frombuffer(column.buffers()[1], dtype=np.int32, count=place + 2, offset=0)
        values = column.values.to_numpy(zero_copy_only=True)
        return np.asarray(values[offsets[place] : offsets[place + 1]])

    def row(self, row: int) -> dict[str, Any]:
        """One row: arrays as views, the rest as Python objects."""
        batch, place = self._place(row)
        result: dict[str, Any] = {}
        for name in batch.schema.names:
            kind = batch.schema.field(name).type
            is_array = pa.types.is_list(kind) and not pa.types.is_integer(kind.value_type)
            result[name] = self.array(name, row) if is_array else batch.column(name)[place].as_py()
        return result

    def column(self, name: str) -> NDArray[Any]:
        """A column that holds no arrays, over all rows."""
        parts = [batch.column(name).to_numpy(zero_copy_only=False) for batch in self._batches]
        return np.concatenate(parts) if parts else np.zeros(0)
