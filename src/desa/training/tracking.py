"""What a run leaves behind and shows: metrics.jsonl, TensorBoard, a progress bar."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from desa.documents import parse_json
from desa.files import read_bytes, written_whole

METRICS = "metrics.jsonl"
MAX_BYTES = 1 << 30


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every record of a metrics file up to one that is none, such as a line cut short by a kill."""
    if not path.exists():
        return []
    records = []
    for line in read_bytes(path, MAX_BYTES).splitlines():
        try:
            record = parse_json(line)
        except ValueError:
            break
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            break
        records.append(record)
    return records


def training_progress() -> Progress:
    """A rich progress bar with the columns that `Tracker` fills: rate, losses, time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[losses]}"),
        TimeRemainingColumn(),
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: such a number becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


class Tracker:
    """Writes the metrics of one run.

    Parameters
    ----------
    out
        The run's folder; gets ``metrics.jsonl`` and ``tensorboard/``. None: nothing is written.
    step
        Records after this step are dropped first: a resumed run writes them again.
    total
        Steps of the whole run, for the bar.
    name
        What the bar says.
    progress
        A bar that is running already; None shows nothing.
    active
        False in every process but the main one: nothing is written.
    """

    def __init__(
        self,
        out: Path | None,
        *,
        step: int = 0,
        total: int = 0,
        name: str = "training",
        progress: Progress | None = None,
        active: bool = True,
    ) -> None:
        self.active = active and out is not None
        self._progress = progress if self.active else None
        self._bar: TaskID | None = None
        self._losses: dict[str, str] = {}
        if not active or out is None:
            return
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and only trainers need it

        path = out / METRICS
        kept = [record for record in read_metrics(path) if record["step"] <= step] if step else []
        with written_whole(path) as scratch:
            scratch.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)
        if self._progress is not None:
            self._bar = self._progress.add_task(name, total=total, completed=step, rate="", losses="")

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def record(self, step: int, phase: str, values: Mapping[str, Any]) -> None:
        """Append one record and send its numbers to TensorBoard."""
        if not self.active:
            return
        self._file.write(json.dumps({"step": step, "phase": phase, **_plain(values)}) + "\n")
        self._file.flush()
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(f"{phase}/{name}", value, step)

    def show(self, step: int, phase: str, loss: float, rate: float | None = None) -> None:
        """Move the bar."""
        if self._progress is None or self._bar is None:
            return
        self._losses[phase] = f"{phase} {loss:.4g}"
        fields: dict[str, Any] = {"losses": "  ".join(self._losses.values())}
        if rate is not None:
            fields["rate"] = f"{rate:.3g} steps/s"
        self._progress.update(self._bar, completed=step, **fields)

    def close(self) -> None:
        """Finish the files."""
        if self.active:
            self._file.close()
            self._board.close()
