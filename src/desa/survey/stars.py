"""The star table: one row a star, put together from what was stored and what is known of the stars."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from desa.catalogs.label_names import LABELS, label_type
from desa.errors import SurveyError
from desa.survey.schema import STARS
from desa.survey.shards import Note
from desa.survey.splits import split_of

_KIC = re.compile(r"KIC\s*0*(\d{1,9})")
_GAIA = re.compile(r"Gaia(?:\s+E?DR\d)?\s+(\d{5,19})")


def kic_of(star_id: str) -> int | None:
    """Kepler Input Catalog number in a star's name, None if it is no such name."""
    found = _KIC.fullmatch(star_id)
    return int(found.group(1)) if found else None


def gaia_of(star_id: str) -> int | None:
    """Gaia source identifier in a star's name (of whichever release), None if it is no such name."""
    found = _GAIA.fullmatch(star_id)
    return int(found.group(1)) if found else None


def _facts(notes: Sequence[Note], name: str) -> list[Any]:
    return [value for note in notes for value in note["facts"].get(name, [None] * note["rows"])]


def index_table(notes: Sequence[Note], stars: dict[str, int], schema: pa.Schema) -> pa.Table:
    """Index of a modality's rows: the star of each row and facts that need no reading of its arrays."""
    columns = {name: _facts(notes, name) for name in schema.names if name != "star"}
    columns["star"] = [stars[star_id] for star_id in columns["star_id"]]
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _first_known(notes: Sequence[Note], name: str) -> dict[str, float]:
    """First value of a fact for each star that has one."""
    known: dict[str, float] = {}
    for star_id, value in zip(_facts(notes, "star_id"), _facts(notes, name), strict=True):
        if value is not None:
            known.setdefault(star_id, value)
    return known


def _merged(given: list[Any], known: dict[str, float], ids: Sequence[str]) -> list[Any]:
    merged = (value if value is not None else known.get(i) for value, i in zip(given, ids, strict=True))
    return [None if isinstance(value, float) and np.isnan(value) else value for value in merged]


def complete_stars(stars: pa.Table | None, lightcurves: Sequence[Note], spectra: Sequence[Note]) -> pa.Table:
    """Fill a star table up to the survey's columns.

    Parameters
    ----------
    stars
        ``star_id`` and whatever is known; stars that were stored but are not in it are added at its end.
    lightcurves, spectra
        Notes of the stored shards.

    Returns
    -------
    pyarrow.Table
        The columns of `STARS`, then the labels that are there, in canonical order, then other columns.

    Raises
    ------
    SurveyError
        If a star is named twice or has no name.
    """
    stars = stars if stars is not None else pa.table({"star_id": pa.array([], pa.string())})
    ids: list[str] = stars.column("star_id").to_pylist()
    counts = [Counter(_facts(notes, "star_id")) for notes in (lightcurves, spectra)]
    known = set(ids)
    new = [i for i in dict.fromkeys([*counts[0], *counts[1]]) if i not in known]
    if len(known) < len(ids) or not all(known) or not all(new):
        raise SurveyError("the star table names a star twice or not at all; star_id must be unique")
    ids = [*ids, *new]

    def given(name: str) -> list[Any]:
        values = stars.column(name).to_pylist() if name in stars.column_names else [None] * stars.num_rows
        return [*values, *[None] * len(new)]

    columns: dict[str, list[Any]] = {
        "star_id": ids,
        "kic": [v if v is not None else kic_of(i) for v, i in zip(given("kic"), ids, strict=True)],
        "gaia": [v if v is not None else gaia_of(i) for v, i in zip(given("gaia"), ids, strict=True)],
        "split": [split_of(i) for i in ids],
        "n_lightcurves": [counts[0][i] for i in ids],
        "n_spectra": [counts[1][i] for i in ids],
        "magnitude": _merged(given("magnitude"), _first_known(lightcurves, "magnitude"), ids),
    }
    for name in ("ra", "dec"):
        places = _first_known(spectra, name) | _first_known(lightcurves, name)
        columns[name] = _merged(given(name), places, ids)
    table = pa.table({name: columns[name] for name in STARS.names}, schema=STARS)
    return _with_labels(table, stars, len(new))


def _with_labels(table: pa.Table, stars: pa.Table, added: int) -> pa.Table:
    order = {name: place for place, name in enumerate(n for label in LABELS for n in (label, f"{label}_err"))}
    others = [name for name in stars.column_names if name not in STARS.names]
    for name in sorted(others, key=lambda n: order.get(n, len(order))):
        column = stars.column(name)
        kind = label_type(name.removesuffix("_err")) if name in order else column.type
        values = column.to_pylist()
        if pa.types.is_floating(kind):
            values = [None if v is None or not np.isfinite(v) else float(v) for v in values]
        elif kind == pa.bool_():
            values = [None if v is None else bool(v) for v in values]
        table = table.append_column(name, pa.array([*values, *[None] * added], kind))
    return table
