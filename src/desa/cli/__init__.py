"""The `desa` command: arguments in, tables out; the work is done elsewhere. A file a group of commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from desa.cli import benchmark, catalogs, data, explore, fetch, mock, models, observe, search, training
from desa.cli.common import app
from desa.errors import DesaError
from desa.files import full, says_full

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
    """Entry point: errors that are the input's or the machine's fault become one sentence and exit code 2."""
    try:
        app()
    except DesaError as error:
        _end(str(error))
    except MemoryError:
        _end("there is not enough memory for this; give fewer stars at once, or smaller files")
    except BrokenPipeError:
        raise
    except OSError as error:
        # A disk that gets full, or loses its permissions, under any of the many files that are written.
        place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else Path()
        if says_full(error):
            _end(str(full(place.parent if error.filename else place, 1)))
        if error.filename is None:
            raise
        _end(f"{place}: can't be used ({error.strerror or error})")


def _end(sentence: str) -> NoReturn:
    Console(stderr=True).print(
        f"desa: {sentence}", markup=False, highlight=False, style="red", soft_wrap=True
    )
    sys.exit(2)
