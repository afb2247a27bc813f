"""The `desa` command: arguments in, tables out; the work is done elsewhere. A file a group of commands."""

from __future__ import annotations

import sys

from rich.console import Console

from desa.cli import benchmark, catalogs, data, explore, fetch, mock, models, observe, search, training
from desa.cli.common import app
from desa.errors import DesaError

__all__ = [
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
    """Entry point: errors that are the input's fault become one sentence and exit code 2."""
    try:
        app()
    except DesaError as error:
        Console(stderr=True).print(
            f"desa: {error}", markup=False, highlight=False, style="red", soft_wrap=True
        )
        sys.exit(2)
