"""Reading ahead while the model computes, and the clock that says which of the two limits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

import torch

T = TypeVar("T")


class Clock:
    """Seconds spent in each stage of a pipeline.

    Parameters
    ----------
    device
        Where the work runs; a CUDA device is waited for at the end of each stage, as its work is
        queued otherwise.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._cuda = device if device is not None and device.type == "cuda" else None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        started = time.perf_counter()
        try:
            yield
            if self._cuda is not None:
                torch.cuda.synchronize(self._cuda)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def limit(self) -> str:
        """The stage that took longest; empty before any."""
        return max(self.seconds, key=lambda name: self.seconds[name], default="")


def prefetch(items: Iterable[T], depth: int = 2, clock: Clock | None = None) -> Iterator[T]:
    """The same items, prepared by a thread while the caller works on those before.

    Parameters
    ----------
    items
        What to go through.
    depth
        Items that may wait.
    clock
        Gets the thread's time under ``"read"``.
    """
    queue: Queue[tuple[bool, Any]] = Queue(depth)
    abandoned = Event()
    timer = clock or Clock()

    def put(entry: tuple[bool, Any]) -> None:
        while not abandoned.is_set():
            try:
                queue.put(entry, timeout=0.1)
                return
            except Full:
                continue

    def fill() -> None:
        source = iter(items)
        try:
            while not abandoned.is_set():
                with timer.stage("read"):
                    item = next(source)
                put((True, item))
        except StopIteration:
            put((False, None))
        except Exception as error:  # handed to the caller, who raises it
            put((False, error))

    thread = Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            try:
                more, item = queue.get(timeout=1.0)
            except Empty:
                continue
            if more:
                yield item
            elif item is None:
                return
            else:
                raise item
    finally:
        abandoned.set()
        thread.join()
