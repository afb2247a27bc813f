"""A Dask cluster that makes the shards of a mock survey."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from desa.errors import SettingsError


@contextmanager
def cluster_executor(address: str | None, seconds: float = 30.0) -> Iterator[Executor | None]:
    """The workers of a Dask scheduler as an executor; None where no address is given.

    Parameters
    ----------
    address
        Such as ``"tcp://10.0.0.1:8786"``. Its workers must have desa, and see the survey's folder.
    seconds
        How long to wait for the scheduler.

    Raises
    ------
    SettingsError
        If Dask is not installed, or nothing answers at the address.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise SettingsError("--scheduler needs Dask: pip install 'desa[catalog]'") from None
    try:
        client = Client(address, timeout=seconds)
    except (OSError, ValueError) as error:
        raise SettingsError(f"no Dask scheduler answers at {address}: {error}") from None
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close()
