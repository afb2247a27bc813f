"""The server below HTTP: clients that are slow, many, or gone."""

from __future__ import annotations

import http.client
import logging
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from desa.explore import patience
from desa.explore.table import ExploreTable
from helpers.explore_server import connected, dropped, head, served
from helpers.sky import make_embedding, with_columns

Connect = Callable[..., socket.socket]


@pytest.fixture
def port(table: ExploreTable, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(patience, "GRACE", 0.6)
    monkeypatch.setattr(patience, "LOOK", 0.1)
    with served(table) as found:
        yield found


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens connections that are closed at the end."""
    with ExitStack() as stack:
        yield lambda port, said=b"": stack.enter_context(connected(port, said))


def answered(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/star/10")
    status = connection.getresponse().status
    connection.close()
    return status == 200


def test_who_says_nothing_is_dropped(port: int, connect: Connect) -> None:
    silent = [connect(port) for _ in range(50)]
    assert answered(port)
    assert all(dropped(connection, 3) for connection in silent)


def test_who_says_it_letter_by_letter_is_dropped(port: int, connect: Connect) -> None:
    slow = connect(port, b"GET /api/about HTTP/1.1\r\n")
    start = time.monotonic()
    with pytest.raises(ConnectionError):
        while time.monotonic() - start < 5:
            slow.sendall(b"x")
            time.sleep(0.1)
    assert time.monotonic() - start < 3


def test_who_never_sends_its_rows_is_dropped(port: int, connect: Connect) -> None:
    slow = connect(port, head(port, "/api/export", "POST", "Content-Length: 40\r\n") + b"\0\0\0\0")
    assert dropped(slow, 3)


def test_who_does_not_fetch_its_answer_is_dropped(tmp_path: Path, port: int, connect: Connect) -> None:
    # More than the machine's buffers take: else the answer has left the server though nobody reads it.
    rows = 40_000
    table = ExploreTable(
        with_columns(make_embedding(tmp_path / "emb.parquet", stars=rows), x=np.arange(rows))
    )
    with served(table) as large:
        asked = [connect(large, head(large, "/api/column/x") * 100) for _ in range(3)]
        time.sleep(3)
        for connection in asked:
            got = 0
            connection.settimeout(3)
            with pytest.raises(ConnectionError):
                while part := connection.recv(1 << 20):
                    got += len(part)
                raise ConnectionError
            assert got < 100 * 4 * rows


def test_who_is_slow_but_not_idle_stays(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(6):
        connection.request("GET", "/api/star/10")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        time.sleep(0.4)
    connection.close()


def test_the_longest_waiting_makes_room(port: int, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "GRACE", 60)
    monkeypatch.setattr(patience, "MOST", 20)
    first = [connect(port, b"GET /") for _ in range(20)]
    time.sleep(0.3)
    later = [connect(port, b"GET /") for _ in range(10)]
    assert answered(port)
    assert sum(dropped(connection, 0.3) for connection in first) >= 10
    assert not any(dropped(connection, 0.1) for connection in later)


def test_who_hangs_up_leaves_no_traceback(port: int, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("uvicorn.error").propagate = True
    post = head(port, "/api/export", "POST", "Content-Length: 200\r\n")
    for said in (b"GET / HT", post, post + b"\0" * 60, head(port, "/api/column/teff"), head(port, "/") * 9):
        for _ in range(5):
            connected(port, said).close()
    time.sleep(0.3)
    assert answered(port)
    assert caplog.records == []


def test_at_the_limit_of_descriptors_the_log_stays_short(folder: Path, connect: Connect) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
    code += "from desa.cli import main; main()"
    command = [sys.executable, "-c", code, "explore", str(folder / "emb.parquet"), "--port", "0"]
    with subprocess.Popen(
        [*command, "--map", "pca", "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = next(line for line in server.stdout if line.startswith("http://"))
            port = int(address.split(":")[2].partition("/")[0])
            for _ in range(120):
                connect(port)
            time.sleep(2)
            assert answered(port)
            server.send_signal(signal.SIGINT)
            said = server.communicate(timeout=60)[1]
        finally:
            server.kill()
    assert len(said) < 2000, said[:2000]
    assert server.returncode == 0


def test_no_descriptor_left_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    say = patience.SayRarely()
    for _ in range(1000):
        say(None, {"message": "no more", "exception": OSError(24, "Too many open files")})  # type: ignore[arg-type]
    assert [record.getMessage() for record in caplog.records] == ["no more: [Errno 24] Too many open files"]


def test_connections_are_fewer_than_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (64, 64))
    assert patience.backlog() == 16
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, 0))
    assert patience.backlog() == patience.BACKLOG
