from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from desa.pipeline import Clock, prefetch


def test_same_items_in_order() -> None:
    assert list(prefetch(range(100), depth=3)) == list(range(100))
    assert list(prefetch([])) == []
    assert list(prefetch([None, 0, False])) == [None, 0, False]


def test_errors_come_through_after_the_items_before() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken file")

    source = prefetch(failing())
    assert next(source) == 1
    with pytest.raises(ValueError, match="broken file"):
        next(source)


def test_reads_ahead_but_not_without_bound() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = prefetch(source(), depth=2)
    next(items)
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(made) == 4, "one taken, two waiting, one in hand"
    items.close()


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    items = prefetch(iter(int, 1))
    next(items)
    items.close()
    assert threading.active_count() == before


def test_clock_names_the_slowest_stage() -> None:
    clock = Clock()
    assert clock.limit() == ""
    with clock.stage("model"):
        time.sleep(0.02)
    with clock.stage("read"):
        pass
    assert clock.limit() == "model" and set(clock.seconds) == {"model", "read"}
