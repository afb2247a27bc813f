"""What a request must be like before it is answered; and the headers of every answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MOST_URL = 8192
"""Bytes of path and query."""

NAMES = ("localhost", "127.0.0.1", "[::1]")

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)


class TooLarge(Exception):
    """The body is larger than is allowed."""


class Guard:
    """ASGI middleware that answers only the page itself, on this machine.

    A web site open in the same browser could send requests to this port, directly or by a name of its own
    that resolves to 127.0.0.1. So the ``Host`` must be this machine's own with the right port, ``Origin`` and
    ``Sec-Fetch-Site``, where given, must be the page's; addresses and bodies are short.

    Parameters
    ----------
    app
        What answers.
    port
        The server's port.
    most_body
        Bytes of a request's body.
    """

    def __init__(self, app: App, port: int, most_body: int) -> None:
        self._app, self._most_body = app, most_body
        self._hosts = {f"{name}:{port}".encode() for name in NAMES}
        if port == 80:
            self._hosts |= {name.encode() for name in NAMES}
        self._origins = {b"http://" + host for host in self._hosts}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in HEADERS}
                kept = [item for item in message.get("headers", []) if item[0].lower() not in own]
                message["headers"] = [*kept, *HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await _say(send_guarded, *refusal)
            return
        read, started = 0, False

        async def receive_short() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most_body:
                raise TooLarge
            return message

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send_guarded(message)

        try:
            await self._app(scope, receive_short, send_noted)
        except ClientDisconnect:
            return  # there is nobody left to answer
        except TooLarge:
            if started:
                raise
            await _say(send_guarded, 413, "too large")

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        given: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            given.setdefault(name.lower(), []).append(value)
        if given.get(b"host", []) == [] or any(host.lower() not in self._hosts for host in given[b"host"]):
            return 421, "this server answers to localhost only"
        if any(origin.lower() not in self._origins for origin in given.get(b"origin", [])):
            return 403, "another site's request"
        foreign = any(site not in {b"same-origin", b"none"} for site in given.get(b"sec-fetch-site", []))
        if foreign and not _is_a_link_to_the_page(scope, given):
            return 403, "another site's request"
        if scope["method"] not in {"GET", "HEAD", "POST"}:
            return 405, "not allowed"
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_URL:
            return 414, "too long"
        lengths = given.get(b"content-length", [])
        if any(not size.isdigit() for size in lengths):
            return 400, "a length that is no number"
        if any(len(size) > 12 or int(size) > self._most_body for size in lengths):
            return 413, "too large"
        return None


def _is_a_link_to_the_page(scope: Message, given: dict[bytes, list[bytes]]) -> bool:
    """Whether somebody follows a link to the page, in a notebook say: it shows itself, in no frame."""
    opened = given.get(b"sec-fetch-mode") == [b"navigate"] and given.get(b"sec-fetch-dest") == [b"document"]
    return opened and scope["method"] == "GET" and scope["path"] == "/"


async def _say(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
