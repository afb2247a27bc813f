"""How fast a server is asked: a rate, pauses that it asks for, and longer waits after each failure."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0


class Stopped(Exception):
    """The user, or an error that no file survives, ended the run."""


class Pace:
    """When the next request may start; shared by all threads that ask one server.

    Parameters
    ----------
    rate
        Requests a second.
    clock, jitter
        Seconds, and numbers from 0 to 1; tests give their own.
    """

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._step = 1 / rate
        self._clock = clock
        self._jitter = jitter
        self._next = 0.0
        self._pause_until = float("-inf")
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def stop(self) -> None:
        """End every wait, now and later."""
        self._stop.set()

    def check(self) -> None:
        """Raise `Stopped` once `stop` was called."""
        if self._stop.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise `Stopped` as soon as `stop` is called."""
        if self._stop.wait(max(seconds, 0)):
            raise Stopped

    def wait(self) -> None:
        """Wait for this thread's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._step
        self.sleep(turn - now)
        while (left := self._pause_left()) > 0:
            self.sleep(left)

    def _pause_left(self) -> float:
        with self._lock:
            return self._pause_until - self._clock()

    def pause(self, seconds: float) -> None:
        """Let no thread start a request for so long: the server asked for it."""
        with self._lock:
            self._pause_until = max(self._pause_until, self._clock() + seconds)

    def backoff(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row: doubled each time, half of it at random."""
        longest = min(FIRST_WAIT_S * 2.0 ** (failures - 1), LONGEST_WAIT_S)
        return longest * (0.5 + 0.5 * self._jitter())


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header (a number or a date); None if it is neither.

    RFC 9110, section 10.2.3.
    """
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max((when - (now or datetime.now(UTC))).total_seconds(), 0.0)
