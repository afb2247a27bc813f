"""Work in several processes: results in order, few tasks in flight, no worker that outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.resource_tracker import ensure_running
from typing import TypeVar

from desa.cluster import as_made
from desa.errors import SurveyError

Task = TypeVar("Task")
Result = TypeVar("Result")


def _end_with_parent() -> None:
    """Stop when the parent process is gone: a killed parent can't tell its workers to."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Workers:
    """Processes that work side by side; a context manager. With one process the caller's does it all.

    Parameters
    ----------
    processes
        How many. They are fresh interpreters: a script that uses them needs the usual
        ``if __name__ == "__main__"``.
    executor
        Does the work in place of processes of our own, such as Dask's workers.
    """

    def __init__(self, processes: int, executor: Executor | None = None) -> None:
        self.processes, self._executor = processes, executor
        self._pool: ProcessPoolExecutor | None = None
        self._children: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Workers:
        if self.processes > 1 and self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.processes, mp_context=context, initializer=_end_with_parent)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:
            if kind is not None and issubclass(kind, KeyboardInterrupt):
                for child in self._children:
                    child.terminate()
            self._pool.shutdown(cancel_futures=True)

    def _submitted(self, function: Callable[[Task], Result], task: Task) -> Future[Result]:
        """A task under way. The first ones start the processes: Ctrl-C is for the parent, which ends them."""
        assert self._pool is not None
        if len(self._children) == self.processes:
            return self._pool.submit(function, task)
        ensure_running()  # else it is started within, and takes the mask off again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        others = set(multiprocessing.active_children())
        try:
            return self._pool.submit(function, task)
        finally:
            self._children += [one for one in multiprocessing.active_children() if one not in others]
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def in_order(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Results of a module's function, in the order of the tasks.

        Tasks are taken as they are needed: at most four for each process are under way or waiting. An
        executor gets all of them.

        Raises
        ------
        SurveyError
            If a worker dies, for lack of memory for instance.
        """
        if self._executor is not None:
            yield from as_made(self._executor, function, tasks, ordered=True)
            return
        if self._pool is None:
            yield from map(function, tasks)
            return
        window: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                window.append(self._submitted(function, task))
                if len(window) >= 4 * self.processes:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        except BrokenProcessPool:
            raise SurveyError(
                "a worker process died (out of memory?); run the same command again, with fewer processes: "
                "what is finished is kept"
            ) from None
