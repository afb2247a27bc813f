"""Starting the page: the table, its map, a port of this machine, a browser."""

from __future__ import annotations

import asyncio
import socket
import threading
import webbrowser
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from desa.errors import SettingsError
from desa.explore.maps import map_of
from desa.explore.table import ExploreTable
from desa.survey.store import Survey

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

HOST = "127.0.0.1"
THREADS = 8
"""Answers that are worked on at once."""

KEEP_ALIVE = 60
"""Seconds after which an unused connection is closed; `desa.explore.patience` drops it before."""

NEEDED = ("fastapi", "uvicorn")


def check_installed() -> None:
    """Refuse to start where the extra is missing.

    Raises
    ------
    SettingsError
        If a needed package is not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise SettingsError(f"desa explore needs {' and '.join(missing)}: pip install 'desa[explore]'")


def bound_socket(port: int) -> socket.socket:
    """A socket that listens on this machine only.

    Raises
    ------
    SettingsError
        If the port is taken or not allowed.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        raise SettingsError(
            f"port {port} can't be used ({error.strerror}); take another with --port, or 0 for any free one"
        ) from None
    return found


def server_of(app: FastAPI) -> uvicorn.Server:
    """The server of an application."""
    import uvicorn

    from desa.explore.patience import PatientProtocol, backlog

    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        backlog=backlog(),
        timeout_keep_alive=KEEP_ALIVE,
        log_level="error",
        access_log=False,
        server_header=False,
    )
    return uvicorn.Server(config)


def run(server: uvicorn.Server, listening: socket.socket) -> None:
    """Serve on a socket until the server is told to stop."""
    from anyio.to_thread import current_default_thread_limiter

    from desa.explore.patience import SayRarely

    async def served() -> None:
        # A thread more than the cores helps nobody, and each keeps memory of its own.
        current_default_thread_limiter().total_tokens = THREADS
        asyncio.get_running_loop().set_exception_handler(SayRarely())
        await server.serve(sockets=[listening])

    asyncio.run(served())


def serve(
    path: Path,
    survey: Path | None,
    predictions: Path | None = None,
    *,
    port: int,
    browser: bool,
    vector: str | None = None,
    method: str = "auto",
    say: Callable[[str], None],
) -> None:
    """Serve the page until it is interrupted.

    Parameters
    ----------
    path
        Table of embeddings.
    survey
        Folder of the survey with the stars' light curves, spectra and labels, or None.
    predictions
        Table by ``desa predict``, or None.
    port
        Port of this machine; 0: any free one.
    browser
        Open the page in a browser.
    vector, method
        Of the map, see `desa.explore.maps.map_of`.
    say
        Called with sentences for the user.
    """
    check_installed()
    from desa.explore.app import create_app
    from desa.explore.patience import backlog

    listening = bound_socket(port)
    try:
        table = ExploreTable(path, None if survey is None else Survey.open(survey), predictions)
        if table.warning:
            say(table.warning)
        say(f"{len(table)} rows, {table.kind} data; making or reading their map")
        places = map_of(table, vector, method)
        number = listening.getsockname()[1]
        address = f"http://{HOST}:{number}/"
        app = create_app(table, places, number)
        listening.listen(backlog())  # who connects as soon as the address is said must wait, not fail
        say(f"{address} (stop with Ctrl-C)")
        app.state.stars.near.prepare(say)
        if browser:
            opening = threading.Timer(0.7, webbrowser.open, [address])
            opening.daemon = True
            opening.start()
        run(server_of(app), listening)
    except KeyboardInterrupt:
        say("stopped")
    finally:
        listening.close()
