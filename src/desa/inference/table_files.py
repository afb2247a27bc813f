"""Tables as files, in the format of the file's ending; as CSV text and as JSON for scripts."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desa.errors import SettingsError
from desa.files import written_whole

if TYPE_CHECKING:
    from astropy.table import Table

FORMATS = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".fit": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
}
"""Format by file ending, as astropy calls it."""


def table_format(path: str | Path) -> str:
    """Format of a table's file, by its ending.

    Raises
    ------
    SettingsError
        For an ending that is none of them.
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise SettingsError(f"{path}: the ending of a table is {', '.join(FORMATS)}, not '{ending}'")
    return FORMATS[ending]


def write_table(table: Table, path: str | Path) -> None:
    """Write a table whole, in the format of its file's ending (`FORMATS`).

    CSV keeps no units, a vector becomes a column a number (``joint_0``, ``joint_1``, ...), and what a
    spreadsheet would run in it is made words (`desa.spreadsheet`).

    Raises
    ------
    SettingsError
        For another ending, or a place that can't be written to.
    """
    form = table_format(path)
    chosen = _ascii(table) if form in ("fits", "votable") else table
    if form == "ascii.csv":
        chosen = _cells(table)
    try:
        with written_whole(path) as scratch:
            chosen.write(scratch, format=form, overwrite=True)
    except OSError as error:
        raise SettingsError(f"{path}: can't be written ({error})") from None


def csv_text(table: Table) -> str:
    """The CSV that `write_table` writes."""
    text = io.StringIO()
    _cells(table).write(text, format="ascii.csv")
    return text.getvalue()


def json_lines(table: Table) -> Iterator[str]:
    """A JSON object a row; null where there is no number."""
    for row in table:
        yield json.dumps({name: _json(row[name]) for name in table.colnames})


def _json(value: Any) -> Any:
    import numpy as np

    if value is np.ma.masked:
        return None
    plain = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(plain, list):
        return [_json(item) for item in plain]
    if isinstance(plain, float) and not np.isfinite(plain):
        return None
    return plain


def _cells(table: Table) -> Table:
    """One number or word a cell, none of which a spreadsheet would run."""
    from astropy.table import Table as AstropyTable

    from desa.spreadsheet import words_only

    flat = AstropyTable()
    for name in table.colnames:
        column = table[name]
        if column.ndim == 1:
            flat[name] = column
        else:
            for place in range(column.shape[1]):
                flat[f"{name}_{place}"] = column[:, place]
    return words_only(flat)


def _ascii(table: Table) -> Table:
    """For formats that know ASCII only, and no dex: that unit goes into the description."""
    from astropy import units
    from astropy.table import Column

    changed = table.copy()
    for name in changed.colnames:
        column = changed[name]
        if column.dtype.kind == "U":
            texts = [str(value).encode("ascii", "backslashreplace").decode() for value in column]
            changed.replace_column(name, Column(texts, description=column.description))
        elif column.unit == units.dex:
            column.unit, column.description = None, f"{column.description} [dex]"
    return changed
