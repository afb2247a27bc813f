"""Where the tables of commands go: a file, standard output, or the screen; checked before any work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from desa.errors import OutputError, SettingsError

if TYPE_CHECKING:
    from astropy.table import Table

STDOUT = Path("-")
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Table: .ecsv, .fits, .vot, .parquet or .csv; - for CSV on standard output; left out: screen.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a row, on standard output.")]


def check_table(output: Path | None, json: bool = False) -> None:
    """Refuse a table's place and format before the work.

    Raises
    ------
    SettingsError, OutputError
        If a format is unknown, or the file can't be written.
    """
    from desa.files import check_output
    from desa.inference.table_files import table_format

    if output == STDOUT and json:
        raise SettingsError("-o - and --json both want standard output; give one of them")
    if output is None or output == STDOUT:
        return
    if output.is_dir():
        raise SettingsError(f"{output}: a folder; give the file in it that is to be written")
    table_format(output)
    check_output(output)


def check_folder(output: Path) -> None:
    """Refuse a folder that can't be filled, before the work.

    Raises
    ------
    OutputError
        If so.
    """
    from desa.files import check_output

    if output.exists() and not output.is_dir():
        raise OutputError(f"{output}: a file, not a folder; give a folder")
    check_output(output)


def check_inputs(inputs: list[Path]) -> None:
    """Refuse inputs none of which is there, before the work.

    Raises
    ------
    SettingsError
        If so.
    """
    if not any(path.exists() or "::" in str(path) for path in inputs):  # path::member is one star of a file
        reason = "can't be read (No such file or directory)"
        raise SettingsError(f"none of {len(inputs)} files could be used; {inputs[0]}: {reason}")


def on_stdout(table: Table, output: Path | None, json: bool) -> None:
    """Write a table on standard output, as CSV or JSON, if that is wanted."""
    from desa.inference.table_files import csv_text, json_lines

    if json:
        for line in json_lines(table):
            typer.echo(line)
    elif output == STDOUT:
        typer.echo(csv_text(table), nl=False)


def speaker(output: Path | None, json: bool = False) -> Console:
    """Where words for people go: standard output, or standard error where a script reads that."""
    return Console(stderr=json or output == STDOUT)
