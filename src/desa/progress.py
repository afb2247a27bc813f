"""Progress bars for people; libraries only see a function of (done, total)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[int, int], None]
"""Called with how many are done and how many there are."""


@contextmanager
def progress_bar(description: str, console: Console | None = None) -> Iterator[Report]:
    """Show a bar with counts, rate and time left on standard error while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console or Console(stderr=True)) as progress:
        task = progress.add_task(description, total=None, rate="")

        def report(done: int, total: int) -> None:
            speed = progress.tasks[0].speed
            rate = f"{speed:.3g}/s" if speed else ""
            progress.update(task, completed=done, total=total, rate=rate)

        yield report
