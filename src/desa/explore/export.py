"""The selected rows as a table to take away."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from astropy import units
from astropy.table import MaskedColumn, Table
from numpy.typing import NDArray

from desa.explore.table import ExploreTable
from desa.spreadsheet import words_only

Format = Literal["csv", "ecsv"]


def selection_table(table: ExploreTable, rows: NDArray[np.integer], keys: Sequence[str]) -> Table:
    """Rows with ``star_id``, ``obsid``, ``modality``, ``data`` (mock or real) and the wanted columns.

    Parameters
    ----------
    table
        The table.
    rows
        (M,) places in it.
    keys
        Names of columns; their units go along.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    wanted: dict[str, object] = {}
    places = rows.tolist()
    for name in ("star_id", "obsid", "modality"):
        wanted[name] = getattr(table, name).take(places).to_pylist()
    wanted["data"] = [table.kind] * len(rows)
    for key in keys:
        column, values = table.columns[key], table.values(key)[rows]
        missing = ~np.isfinite(values)
        if column.categories is None:
            # ECSV keeps any word as a unit; astropy has no ppm, and a table may bring units of its own.
            unit = units.Unit(column.unit, parse_strict="silent") if column.unit else None
            wanted[key] = MaskedColumn(values, mask=missing, unit=unit, description=column.label)
        else:
            words = np.asarray((*column.categories, ""))[np.where(missing, -1, values).astype(int)]
            wanted[key] = MaskedColumn(words, mask=missing, description=column.label)
    made = Table(wanted)
    made.meta = {
        "data": table.kind,
        "rows": f"{len(rows)} of {len(table)}, chosen by hand",
        **{f"desa.{key}": table.facts[key] for key in ("model", "trained_on", "data") if key in table.facts},
    }
    return made


def selection_bytes(
    table: ExploreTable, rows: NDArray[np.integer], keys: Sequence[str], format: Format
) -> bytes:
    """`selection_table` as a file: CSV without formulas, or ECSV with units and what the data are."""
    text = io.StringIO()
    chosen = selection_table(table, rows, keys)
    if format == "csv":
        words_only(chosen).write(text, format="ascii.csv")
    else:
        chosen.write(text, format="ascii.ecsv")
    return text.getvalue().encode()


def file_name(table: ExploreTable, rows: int, format: Format) -> str:
    """A name that says what data the selection is of."""
    return f"desa-selection-{table.kind}-{rows}.{format}"
