"""Clients that are too slow, too many, or gone: what the server does about them below HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds that a client may take for a request or for fetching its answer, however little that is: on a busy
machine a browser gets no turn for many seconds."""

RATE = 8_000.0
"""Bytes a second, beyond `GRACE`, that a client must send or fetch in the mean; bad mobile links do it."""

LOOK = 1.0
"""Seconds between two looks at a connection."""

MOST = 256
"""Connections at once; a browser opens six."""

BACKLOG = 64
"""Connections that wait to be accepted: so many may come in before the first of them is looked at."""

SILENCE = 60.0
"""Seconds between two messages about what is wrong with the machine."""


def descriptors() -> int:
    """How many files and connections this process may have open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 1 << 20
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 20 if soft == resource.RLIM_INFINITY else int(soft)


def backlog() -> int:
    """`BACKLOG`, or a quarter of the descriptors where there are few."""
    return max(1, min(BACKLOG, descriptors() // 4))


class Counted:
    """A transport that counts what is written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self.written = transport, 0

    def write(self, data: bytes) -> None:
        """Write, and count."""
        self.written += len(data)
        self._transport.write(data)

    @property
    def sent(self) -> int:
        """Bytes that have left this process."""
        return self.written - self._transport.get_write_buffer_size()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class PatientProtocol(H11Protocol):
    """HTTP that drops who keeps it waiting.

    A request must come, and its answer be fetched, within `GRACE` and at `RATE`. Beyond `MOST` connections
    (half of the process's descriptors, if that is less) the one goes that has waited longest for its client,
    so that many slow clients do not shut out a quick one.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        self.received = 0
        self._phase, self._since, self._base = "", self.loop.time(), 0
        self._counted = Counted(transport)
        super().connection_made(self._counted)  # type: ignore[arg-type]
        self._looking = self.loop.call_later(LOOK, self._look)
        if len(self.connections) > min(MOST, descriptors() // 2):
            self._make_room()

    def _make_room(self) -> None:
        others = [other for other in self.connections if isinstance(other, PatientProtocol)]
        waiting = [other for other in others if other.phase()[0] != "working"]
        longest = min(waiting, key=lambda other: other._since, default=self)
        # Those that come in at once are counted before the loop has told the loss of any.
        self.connections.discard(longest)
        longest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Count what comes."""
        self.received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Begin to wait anew: for the answer to be fetched, and the next request."""
        self._phase = ""
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        self._looking.cancel()
        super().connection_lost(exc)

    def phase(self) -> tuple[str, int]:
        """What the connection waits for, and how many bytes of it have come or gone."""
        if self._counted.get_write_buffer_size():
            return "sending", self._counted.sent
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return "receiving", self.received
        return "working", 0

    def _look(self) -> None:
        phase, done = self.phase()
        now = self.loop.time()
        if phase != self._phase:
            self._phase, self._since, self._base = phase, now, done
        elif phase != "working" and now - self._since > GRACE + (done - self._base) / RATE:
            self._counted.abort()
            return
        self._looking = self.loop.call_later(LOOK, self._look)


class SayRarely:
    """The event loop's messages as one sentence, and not more than one in `SILENCE` seconds.

    Where no descriptor is left, asyncio reports each connection that it can't accept with a traceback, some
    thousand a second.
    """

    def __init__(self) -> None:
        self._last = -SILENCE

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an exception that reached the event loop."""
        now = time.monotonic()
        if now - self._last >= SILENCE:
            self._last = now
            logger.warning("%s: %s", context.get("message", "error"), context.get("exception", ""))
