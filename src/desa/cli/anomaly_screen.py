"""Odd stars on screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table
from rich.markup import escape
from rich.table import Table as ScreenTable

RATE = 0.1
"""False-discovery rate of the list that the summary speaks of."""


def screen_table(found: Table, most: int = 20) -> ScreenTable:
    """The oddest stars: a row each, with p-value, q-value and the reason.

    Parameters
    ----------
    found
        What `desa.find_anomalies` gave.
    most
        Rows that are shown.
    """
    screen = ScreenTable(title=f"The oddest of {len(found)} stars", title_justify="left")
    compared = bool(np.isfinite(found["q_value"]).any())
    for name in ("", "star", "p", *(("q",) if compared else ())):
        screen.add_column(name, justify="left" if name == "star" else "right", no_wrap=True)
    screen.add_column("why", max_width=80)
    for row in found[:most]:
        numbers = [f"{row['p_value']:.2g}"] + ([f"{row['q_value']:.2g}"] if compared else [])
        name = str(row["star_id"]) if "star_id" in found.colnames else ""
        screen.add_row(str(row["rank"]), escape(name), *numbers, escape(str(row["reason"])))
    return screen


def summary(found: Table, path: Path | None) -> list[str]:
    """What the list is worth, in words."""
    where = f" in {path}" if path is not None else ""
    lines = [
        f"{len(found)} stars{where}; parts: {found.meta['parts']}; against {found.meta['compared_with']}"
    ]
    q = np.asarray(found["q_value"])
    if np.isfinite(q).any():
        listed = int((q <= RATE).sum())
        lines.append(
            f"{listed} stars at a false-discovery rate of {RATE:.0%}; so many comparison stars allow no "
            f"p-value below {found.meta['least_p']:.2g}"
        )
    else:
        lines.append("give --reference, a table of ordinary stars, for p-values that mean something")
    return lines
