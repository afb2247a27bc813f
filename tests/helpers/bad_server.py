"""A server on this machine that does to a client what archives do on a bad day."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler", bytes], None]


@dataclass
class Site:
    """Files by path; what goes wrong, request by request; what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    wrong: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    etag: str = '"v1"'
    url: str = ""

    def requests(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.asked if asked.split("?")[0] == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.site.asked.append((self.path, dict(self.headers.items())))
        content = self.site.files.get(path)
        wrong = self.site.wrong[path]
        self.close_connection = True
        if wrong:
            wrong.pop(0)(self, content or b"")
        elif content is None:
            self.reply(404, b"no such file")
        else:
            self.send_file(content)

    def send_file(self, content: bytes) -> None:
        wanted, version = self.headers.get("Range"), self.headers.get("If-Range")
        if wanted and version == self.site.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.reply(416, b"")
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self.reply(206, content[start:], {"Content-Range": span})
        return self.reply(200, content)

    def reply(
        self, code: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(code)
        for name, value in ({"ETag": self.site.etag} | (headers or {})).items():
            if value:
                self.send_header(name, value)
        if length != -1:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def status(code: int, headers: dict[str, str] | None = None) -> Answer:
    return lambda handler, content: handler.reply(code, b"busy", headers)


def cut(share: float) -> Answer:
    """Announce all of it, send a part, hang up."""
    return lambda handler, content: handler.reply(
        200, content[: int(share * len(content))], length=len(content)
    )


def lie(length: int, share: float = 1.0) -> Answer:
    """Announce another length than what is sent; -1: none."""
    return lambda handler, content: handler.reply(200, content[: int(share * len(content))], length=length)


def silence(seconds: float) -> Answer:
    return lambda handler, content: time.sleep(seconds)


def page(handler: Handler, content: bytes) -> None:
    body = b"<!DOCTYPE html>\n<html><body>Please sign in</body></html>"
    handler.reply(200, body, {"Content-Type": "text/html"})


def redirect(target: str) -> Answer:
    return lambda handler, content: handler.reply(302, b"", {"Location": target})


def other_part(handler: Handler, content: bytes) -> None:
    handler.reply(206, content[7:], {"Content-Range": f"bytes 7-{len(content) - 1}/{len(content)}"})


def no_ranges(handler: Handler, content: bytes) -> None:
    handler.reply(200, content)


def damaged(handler: Handler, content: bytes) -> None:
    middle = len(content) // 2
    handler.reply(200, content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *where: None  # clients that hang up are what is tested here
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
