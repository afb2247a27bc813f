"""The same bits for any batch size and number of threads on one machine, where a model is set to be exact.

Matrix products, convolutions and sums choose their order of adding by the shape of what they get and by the
number of threads, so that results differ by rounding: about 1e-6 of an embedding's norm. Of one star alone,
on one thread, there is one order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from desa.errors import SettingsError
from desa.models.network import Network

T = TypeVar("T")


@contextmanager
def one_order(model: Network) -> Iterator[None]:
    """One thread inside, if the model is exact.

    Raises
    ------
    SettingsError
        If an exact model is not on a CPU: other devices choose their order themselves.
    """
    if not model.exact:
        yield
        return
    if model.device.type != "cpu":
        raise SettingsError("exact numbers are made on the CPU: use --device cpu, or leave exact out")
    from threadpoolctl import threadpool_limits  # what scikit-learn brings

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def portions(model: Network, items: Sequence[T]) -> Iterator[Sequence[T]]:
    """All items at once; of an exact model one by one."""
    size = 1 if model.exact else max(1, len(items))
    for start in range(0, len(items), size):
        yield items[start : start + size]
