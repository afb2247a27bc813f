"""What a user takes away: the selected rows, a star's light curve or spectrum."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from astropy import units
from astropy.table import Column, Table
from numpy.typing import NDArray
from pyarrow import csv

from desa.explore.table import ExploreTable
from desa.spreadsheet import as_words
from desa.types import LightCurve, Spectrum

Format = Literal["csv", "ecsv"]
Rows = NDArray[np.integer]

NAMES = ("star_id", "obsid", "modality")


@dataclass(frozen=True)
class Field:
    """A column of a file: its values, unit (as astropy writes it, or any word) and what it is."""

    values: pa.Array
    unit: str = ""
    description: str = ""


Fields = dict[str, Field]


def selection_bytes(table: ExploreTable, rows: Rows, keys: Sequence[str], format: Format) -> bytes:
    """Rows with ``star_id``, ``obsid``, ``modality``, ``data`` (mock or real) and the wanted columns.

    Parameters
    ----------
    table
        The table.
    rows
        (M,) places in it.
    keys
        Names of columns.
    format
        ``"csv"``, in which a spreadsheet finds no formula, or ``"ecsv"``, with units and what the data are.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    plain = format == "csv"
    places = pa.array(rows)
    fields = {
        name: Field(_words(values.take(places), plain))
        for name, values in zip(NAMES, (table.star_id, table.obsid, table.modality), strict=True)
    }
    fields["data"] = Field(pa.array([table.kind] * len(rows)))
    for key in keys:
        column = table.columns[key]
        fields[key] = Field(_values(table, key, rows, plain), column.unit, column.label)
    if plain:
        return _arrow_csv({as_words(name): found for name, found in fields.items()}, head=True)
    about = {
        "data": table.kind,
        "rows": f"{len(rows)} of {len(table)}, chosen by hand",
        **{f"desa.{key}": table.facts[key] for key in ("model", "trained_on", "data") if key in table.facts},
    }
    return ecsv_bytes(fields, ecsv_head(fields, about))


def _words(values: pa.Array, plain: bool) -> pa.Array:
    return pa.array([as_words(text) for text in values.to_pylist()]) if plain else values


def _values(table: ExploreTable, key: str, rows: Rows, plain: bool) -> pa.Array:
    """Values of a column, null where missing; categories as their words."""
    categories, values = table.columns[key].categories, table.values(key)[rows]
    missing = ~np.isfinite(values)
    if categories is None:
        return pa.array(values, mask=missing)
    places = pa.array(np.where(missing, 0, values).astype(int), mask=missing)
    return _words(pa.array(categories), plain).take(places)


def lightcurve_columns(curve: LightCurve) -> tuple[Fields, dict[str, str]]:
    """A light curve's good samples, and what it is of."""
    good = curve.valid
    known = np.isfinite(curve.start_bkjd)
    start = curve.start_bkjd if known else 0.0
    time = start + curve.cadence_days * np.flatnonzero(good)
    said = "BJD - 2454833, at the middle of the cadence" if known else "since the first sample"
    error = curve.flux_err[good]
    fields = {
        "time": Field(pa.array(time), "d", said),
        "flux": Field(pa.array(curve.flux[good]), "", "relative flux"),
        "flux_err": Field(pa.array(error, mask=~np.isfinite(error)), "", "its standard error"),
    }
    about = {"star": curve.star_id, "mission": curve.mission, "quarters": str(list(curve.quarters))}
    return fields, about


def spectrum_columns(spectrum: Spectrum) -> tuple[Fields, dict[str, str]]:
    """A spectrum's pixels, and what it is of."""
    fields = {
        "wavelength": Field(pa.array(spectrum.wavelength), "Angstrom", "in vacuum, as observed"),
        "flux": Field(pa.array(spectrum.flux), "", "on a scale of the survey's own"),
        "ivar": Field(pa.array(spectrum.ivar), "", "inverse variance, 0 where the pixel is bad"),
    }
    about = {"star": spectrum.star_id, "obsid": spectrum.obsid, "release": spectrum.release}
    return fields, about | {"z": f"{spectrum.z:.7g}"}


def ecsv_head(fields: Fields, about: dict[str, str]) -> str:
    """What stands above the rows of an ECSV file: kinds, units and descriptions of the columns."""
    head = Table()
    for name, found in fields.items():
        # ECSV keeps any word as a unit; astropy has no ppm, and a table may bring units of its own.
        unit = units.Unit(found.unit, parse_strict="silent") if found.unit else None
        kind = "U1" if pa.types.is_string(found.values.type) else found.values.type.to_pandas_dtype()
        head[name] = Column(np.zeros(0, kind), unit=unit, description=found.description or None)
    head.meta = about
    text = io.StringIO()
    head.write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue()


def ecsv_bytes(fields: Fields, head: str) -> bytes:
    """An ECSV file with that head."""
    return head.encode() + _arrow_csv(fields, head=False)


def _arrow_csv(fields: Fields, head: bool) -> bytes:
    """Rows as CSV; astropy writes 20 000 a second, Arrow a million."""
    out = pa.BufferOutputStream()
    made = pa.table({name: found.values for name, found in fields.items()})
    csv.write_csv(made, out, csv.WriteOptions(include_header=head, quoting_style="needed"))
    return bytes(out.getvalue())


def file_name(table: ExploreTable, rows: int, format: Format) -> str:
    """A name that says what data the selection is of."""
    return f"desa-selection-{table.kind}-{rows}.{format}"
