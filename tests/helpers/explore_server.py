"""The explore server in a thread of the tests, and clients below HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from desa.explore.app import create_app
from desa.explore.maps import map_of
from desa.explore.serve import bound_socket, run, server_of
from desa.explore.table import ExploreTable


@contextmanager
def served(table: ExploreTable) -> Iterator[int]:
    """The port of a server of a table."""
    listening = bound_socket(0)
    port = listening.getsockname()[1]
    server = server_of(create_app(table, map_of(table, method="pca"), port))
    thread = threading.Thread(target=run, args=(server, listening), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield port
    server.should_exit = True
    thread.join(timeout=10)
    listening.close()


def connected(port: int, said: bytes = b"") -> socket.socket:
    """A connection on which something has been said."""
    found = socket.create_connection(("127.0.0.1", port), timeout=10)
    found.sendall(said)
    return found


def head(port: int, path: str, method: str = "GET", more: str = "") -> bytes:
    """The head of a request."""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n".encode()


def dropped(connection: socket.socket, seconds: float) -> bool:
    """Whether the server ends a connection within some seconds, unasked."""
    connection.settimeout(seconds)
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True
