"""Predictions, neighbours and odd stars on screen: tables for people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as ScreenTable

from desa.inference.quality import Flag
from desa.words import counted, rows_of_stars

if TYPE_CHECKING:
    from desa.finetune.survey import NewHeads

MOST_ROWS = 40
MOST_WIDE = 200
WRONG = int(Flag.WRONG_MODALITY)
NEIGHBOUR_COLUMNS = ("obsid", "teff", "log_g", "fe_h", "prot", "snr_g")
"""Columns that are shown where there are any."""

MOST_NEIGHBOUR_COLUMNS = 6
RATE = 0.1
"""False-discovery rate of the list that the summary speaks of."""


def predictions_table(table: Table, most: int = MOST_ROWS) -> ScreenTable:
    """A row a star: each label as ``5778 +120 -110`` (68 % interval), what speaks against it below.

    Parameters
    ----------
    table
        What `desa.inference.predict` gave.
    most
        Rows that are shown.
    """
    labels = [name for name in label_names(table) if not np.all(table[f"{name}_flag"] & WRONG)]
    shown = min(len(table), most)
    rest = f"; the first {shown} of {counted(len(table), 'row')}" if shown < len(table) else ""
    screen = ScreenTable(title=f"Medians with 68 % intervals{rest}", title_justify="left")
    screen.add_column("star", no_wrap=True)
    screen.add_column("from", no_wrap=True)
    for name in labels:
        unit = f" [{table[name].unit}]" if table[name].unit and str(table[name].unit) != "dex" else ""
        screen.add_column(f"{name}{unit}".replace("[", "\\["), justify="right", no_wrap=True)
    screen.add_column("flags", max_width=48)
    for row in table[:shown]:
        name = str(row["star_id"] or row["obsid"] or row["source"] or "?")
        doubts = _doubts(row, labels)
        cells = [_interval(row, label) for label in labels]
        screen.add_row(name, str(row["modality"]), *cells, doubts, style="dim" if doubts else None)
    return screen


def score_table(found: NewHeads) -> ScreenTable:
    """How well new heads do on test stars: a row a score, a column a head, and what guessing gets."""
    first = found.heads[0]
    unit = ", of log10" if first.logarithm else ""
    title = f"{first.label}{unit}: stars of the {first.facts['data']} that the head has not seen"
    screen = ScreenTable("score", *(head.variant for head in found.heads), "guessing", title=title)
    trained = [str(head.facts["counts"]["train"] + head.facts["counts"]["valid"]) for head in found.heads]
    screen.add_row("stars trained on", *trained, "")
    screen.add_row("scored on", *(_scored_on(head.facts) for head in found.heads), "")
    scores = [{score["metric"]: score for score in head.facts["scores"]} for head in found.heads]
    for metric in dict.fromkeys(name for own in scores for name in own):
        chance = next(own[metric]["chance"] for own in scores if metric in own)
        cells = [_score(own.get(metric)) for own in scores]
        screen.add_row(metric.replace("_", " "), *cells, "" if chance is None else f"{chance:.3g}")
    return screen


def _scored_on(facts: dict[str, Any]) -> str:
    """The stars that scores are of: the test split's, or all where those are too few."""
    if any(score["part"] for score in facts["scores"]):
        return f"{facts['scores'][0]['n']}, in {facts['scores'][0]['part']}"
    return f"{facts['counts']['test']} test stars"


def _score(score: dict[str, Any] | None) -> str:
    if score is None or score["value"] is None:
        return "-"
    return f"{score['value']:.3g}" + ("" if score["error"] is None else f" ± {score['error']:.2g}")


def print_table(screen: ScreenTable, console: Console) -> None:
    """Print without cutting a number: where the terminal is too narrow for that, its lines wrap."""
    wide = Console(file=console.file, width=10 * MOST_WIDE)
    needed = Measurement.get(wide, wide.options, screen).maximum
    Console(file=console.file, width=max(console.width, min(needed, MOST_WIDE))).print(screen)


def label_names(table: Table) -> list[str]:
    """The labels that a table predicts."""
    return [name.removesuffix("_flag") for name in table.colnames if name.endswith("_flag")]


def _doubts(row: Any, labels: list[str]) -> str:
    """Each reason with the labels that it concerns; labels that need other data are left out."""
    predicted = [label for label in labels if not int(row[f"{label}_flag"]) & WRONG]
    holds_for: dict[str, list[str]] = {}
    for label in predicted:
        for reason in filter(None, str(row[f"{label}_why"]).split("; ")):
            holds_for.setdefault(reason, []).append(label)
    return "; ".join(
        reason if names == predicted else f"{', '.join(names)}: {reason}"
        for reason, names in holds_for.items()
    )


def _interval(row: Any, label: str) -> str:
    names = row.colnames
    if isinstance(row[label], str):
        best = [row[name] for name in names if name == f"{label}_p_{row[label]}"]
        return f"{row[label]} ({best[0]:.0%})" if best else "-"
    if not np.isfinite(row[label]):
        return "-"
    if f"{label}_low68" not in names:
        return f"{row[label]:.4g}"
    up, down = row[f"{label}_high68"] - row[label], row[label] - row[f"{label}_low68"]
    if not (np.isfinite(up) and np.isfinite(down)):
        return f"{row[label]:.4g}"
    digits = max(0, 1 - int(np.floor(np.log10(max(up, down, 1e-3, 1e-4 * abs(row[label]))))))
    return f"{row[label]:.{digits}f} +{up:.{digits}f} -{down:.{digits}f}"


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
    names = [name for name in dict.fromkeys((*asked, *NEIGHBOUR_COLUMNS)) if name in found.colnames][
        :MOST_NEIGHBOUR_COLUMNS
    ]
    title = f"like {found.meta['like']}, by {found.meta['by']} ({found.meta['metric']} distance)"
    screen = ScreenTable(title=escape(title), title_justify="left")
    screen.add_column("", justify="right")
    screen.add_column("star", no_wrap=True)
    screen.add_column("distance", justify="right", no_wrap=True)
    for name in names:
        screen.add_column(name, justify="left" if found[name].dtype.kind in "OSU" else "right", no_wrap=True)
    for row in found:
        star = str(row["star_id"]) if "star_id" in found.colnames else f"row {row['row']}"
        cells = [escape(_value(row[name])) for name in names]
        screen.add_row(str(row["rank"]), escape(star), f"{row['distance']:.4g}", *cells)
    return screen


def _value(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.5g}"
    return "" if value is None else str(value)


def anomalies_table(found: Table, most: int = 20) -> ScreenTable:
    """The oddest stars: a row each, with p-value, q-value and the reason.

    Parameters
    ----------
    found
        What `desa.find_anomalies` gave.
    most
        Rows that are shown.
    """
    screen = ScreenTable(title=f"The oddest of {_whose(found)}", title_justify="left")
    compared = bool(np.isfinite(found["q_value"]).any())
    for name in ("", "star", "p", *(("q",) if compared else ())):
        screen.add_column(name, justify="left" if name == "star" else "right", no_wrap=True)
    screen.add_column("why", max_width=80)
    for row in found[:most]:
        numbers = [f"{row['p_value']:.2g}"] + ([f"{row['q_value']:.2g}"] if compared else [])
        name = str(row["star_id"]) if "star_id" in found.colnames else ""
        screen.add_row(str(row["rank"]), escape(name), *numbers, escape(str(row["reason"])))
    return screen


def anomalies_summary(found: Table, path: Path | None) -> list[str]:
    """What the list is worth, in words."""
    where = f" in {path}" if path is not None else ""
    parts, whom = found.meta["parts"], found.meta["compared_with"]
    lines = [f"{_whose(found)}{where}; parts: {parts}; against {whom}"]
    q = np.asarray(found["q_value"])
    if np.isfinite(q).any():
        listed = int((q <= RATE).sum())
        lines.append(
            f"{counted(listed, 'star')} at a false-discovery rate of {RATE:.0%}; so many comparison stars "
            f"allow no p-value below {found.meta['least_p']:.2g}"
        )
        if "mock stars" in whom:
            lines.append(
                "a real star can look odd beside mock ones for what these lack: give --reference, real ones"
            )
    else:
        lines.append("give --reference, a table of ordinary stars, for p-values that mean something")
    return lines


def _whose(table: Table) -> str:
    names = table["star_id"] if "star_id" in table.colnames else np.arange(len(table)).astype(str)
    return rows_of_stars(names.tolist())
