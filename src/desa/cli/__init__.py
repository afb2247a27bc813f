"""The `desa` command: arguments in, tables out; the work is done elsewhere. A file a group of commands."""

from __future__ import annotations

from desa.cli import ages, benchmark, catalogs, data, explore, fetch, mock, models, observe, search, training
from desa.cli.common import app
from desa.cli.faults import STOPPED, Stopped, end

__all__ = [
    "ages",
    "app",
    "benchmark",
    "catalogs",
    "data",
    "explore",
    "fetch",
    "main",
    "mock",
    "models",
    "observe",
    "search",
    "training",
]


def main() -> None:
    """Entry point: whatever goes wrong becomes one sentence and an exit code."""
    try:
        app()
    except SystemExit as leaving:
        if leaving.code == STOPPED:  # Ctrl-C outside of a command, which says nothing of itself
            end(Stopped())
        raise
    except Exception as error:
        end(error)
