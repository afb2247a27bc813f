"""Neighbours on screen."""

from __future__ import annotations

import re

import numpy as np
from astropy.table import Table
from rich.markup import escape
from rich.table import Table as ScreenTable

SHOWN = ("obsid", "teff", "log_g", "fe_h", "prot", "snr_g")
"""Columns that are shown where there are any."""

MOST_COLUMNS = 6


def neighbours_table(found: Table, where: str | None = None) -> ScreenTable:
    """A row a neighbour: name, distance, some columns, those of the condition first.

    Parameters
    ----------
    found
        What `desa.search.like.search_like` gave.
    where
        The condition.
    """
    asked = [name for name in re.findall(r"[A-Za-z_]\w*", where or "") if name in found.colnames]
    names = [name for name in dict.fromkeys((*asked, *SHOWN)) if name in found.colnames][:MOST_COLUMNS]
    title = f"like {found.meta['like']}, by {found.meta['by']} ({found.meta['metric']} distance)"
    screen = ScreenTable(title=escape(title), title_justify="left")
    screen.add_column("", justify="right")
    screen.add_column("star", no_wrap=True)
    screen.add_column("distance", justify="right", no_wrap=True)
    for name in names:
        screen.add_column(name, justify="left" if found[name].dtype.kind in "OSU" else "right", no_wrap=True)
    for row in found:
        star = str(row["star_id"]) if "star_id" in found.colnames else f"row {row['row']}"
        cells = [escape(_cell(row[name])) for name in names]
        screen.add_row(str(row["rank"]), escape(star), f"{row['distance']:.4g}", *cells)
    return screen


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.5g}"
    return "" if value is None else str(value)
