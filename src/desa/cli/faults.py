"""What a user may meet that is no result: each kind of error as one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import gettempdir

from rich.console import Console

from desa.errors import DesaError
from desa.files import full, says_full

USERS, OURS, STOPPED = 2, 3, 130
"""Exit codes: nothing could be done with what was given; an error of desa's own; stopped by Ctrl-C. 1 is
for files that were left out of a result."""

TRACEBACK = "DESA_TRACEBACK"
"""Environment variable: set, the traceback of any error is shown."""

EXTRAS = {
    "astroquery": "archive",
    "lightkurve": "archive",
    "specutils": "archive",
    "lsdb": "catalog",
    "dask": "catalog",
    "distributed": "catalog",
    "codecarbon": "benchmark",
    "umap": "benchmark",
    "faiss": "search",
    "fastapi": "explore",
    "uvicorn": "explore",
}
"""Extra that brings a package."""


class Stopped(Exception):
    """Ctrl-C while a command runs."""


def sentence(error: BaseException) -> tuple[str, int]:
    """One sentence on an error, and the exit code.

    Parameters
    ----------
    error
        What a command raised.
    """
    if isinstance(error, DesaError):
        return str(error), USERS
    if isinstance(error, (Stopped, KeyboardInterrupt)):
        return "stopped; what is finished is kept, and most commands go on when they are run again", STOPPED
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").split(".")[0]
        extra = EXTRAS.get(package)
        return f"this needs {package}" + (f": pip install 'desa[{extra}]'" if extra else ""), USERS
    if isinstance(error, OSError) and says_full(error):
        if not error.filename:  # a library does not say which: the output's, or where temporary files go
            return (
                f"the disk is full, that of the output or {gettempdir()}; make room, try again",
                USERS,
            )
        return str(full(Path(os.fsdecode(error.filename)).parent, 1)), USERS
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", USERS
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "not enough memory; take fewer stars at once (--batch-size) or fewer --processes", USERS
    words = " ".join(str(error).split())[:300]
    return (
        f"an error of desa's own ({type(error).__name__}: {words}); please report it, with what "
        f"{TRACEBACK}=1 shows",
        OURS,
    )


def end(error: BaseException) -> None:
    """Say what an error is, on standard error, and leave with its exit code."""
    if isinstance(error, BrokenPipeError):  # whoever read the output, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    words, code = sentence(error)
    console = Console(stderr=True)
    if os.environ.get(TRACEBACK):
        console.print_exception()
    console.print(f"desa: {words}", markup=False, highlight=False, style="red", soft_wrap=True)
    sys.exit(code)
