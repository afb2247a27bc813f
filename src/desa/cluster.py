"""A Dask cluster, or any other executor, that makes the shards of a survey or the parts of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from typing import TypeVar

from desa.errors import DesaError, SettingsError

Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def cluster_executor(address: str | None, seconds: float = 30.0) -> Iterator[Executor | None]:
    """The workers of a Dask scheduler as an executor; None where no address is given.

    Parameters
    ----------
    address
        Such as ``"tcp://10.0.0.1:8786"``. Its workers must have desa, and see the same folders.
    seconds
        How long to wait for the scheduler.

    Raises
    ------
    SettingsError
        If Dask is not installed, or nothing answers at the address.
    DesaError
        If the same task was under way each time that several workers ended, as when memory is short.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise SettingsError("--scheduler needs Dask: pip install 'desa[catalog]'") from None
    try:
        client = Client(address, timeout=seconds)
    except (OSError, ValueError) as error:
        raise SettingsError(f"no Dask scheduler answers at {address}: {error}") from None
    try:
        yield client.get_executor(pure=False)
    except KilledWorker:
        raise DesaError(
            "workers ended one after another at the same task (out of memory?); start workers with fewer "
            "threads or more memory, then run the same command again: what is finished is kept"
        ) from None
    finally:
        client.close()


def as_made(
    executor: Executor, make: Callable[[Task], Result], tasks: Iterable[Task], *, ordered: bool = False
) -> Iterator[Result]:
    """Results of a module's function as they come, or in the tasks' order.

    A failure cancels what has not begun. Dask gives the tasks of a worker that is lost to others, also
    finished ones whose results it kept: what writes a file must see that it is there already.
    """
    futures = [executor.submit(make, task) for task in tasks]
    try:
        for future in futures if ordered else as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
