"""More columns for the rows of a table of embeddings: of a survey, of a table of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from desa.catalogs.labels import read_labels
from desa.survey.store import Survey

SPECTRUM_COLUMNS = ("snr_g", "snr_r", "snr_i", "z", "release", "object_subclass")
"""Columns of a survey's index of spectra that go beside a row, of the row's own spectrum."""

Rows = NDArray[np.int64]


def with_survey(table: pa.Table, survey: Survey) -> pa.Table:
    """The table with the survey's columns of the same star and of the same spectrum.

    Parameters
    ----------
    table
        With ``star_id`` and, for the columns of spectra, ``obsid``. Its own columns win.
    survey
        Where stars and spectra are.
    """
    if "star_id" not in table.column_names:
        return table
    stars = survey.stars
    of_star = _places(table.column("star_id"), stars.column("star_id"))
    for field in stars.schema:
        if not pa.types.is_nested(field.type):
            table = _added(table, field.name, stars.column(field.name), of_star)
    if "obsid" in table.column_names and survey.n_spectra:
        own = spectrum_rows(table, survey)
        for name in SPECTRUM_COLUMNS:
            table = _added(table, name, pa.array(survey.spectrum_column(name).tolist()), own)
    return table


def spectrum_rows(table: pa.Table, survey: Survey) -> Rows:
    """(N,) the survey's spectrum that each row was made from, by ``obsid``; -1 where there is none."""
    obsid = pc.fill_null(table.column("obsid").cast(pa.string()), "")
    known = pa.array(survey.spectrum_column("obsid").astype(str).tolist(), pa.string())
    return _places(pc.if_else(pc.equal(obsid, ""), pa.scalar(None, pa.string()), obsid), known)


def with_labels(table: pa.Table, path: str | Path) -> pa.Table:
    """The table with the labels of a catalogue, found by KIC, star_id, obsid or Gaia number.

    Parameters
    ----------
    table
        With ``star_id`` and ``obsid``.
    path
        CSV, ECSV, FITS, VOTable or Parquet, as `desa.catalogs.labels.read_labels` takes them.
    """
    labels = read_labels(path)
    rows = np.full(table.num_rows, -1, np.int64)
    for key, form, column in (
        ("star_id", "{}", "star_id"),
        ("kic", "KIC {}", "star_id"),
        ("gaia", "Gaia DR3 {}", "star_id"),
        ("obsid", "{}", "obsid"),
    ):
        if key in labels.keys and column in table.column_names:
            known = [None if value is None else form.format(value) for value in labels.keys[key]]
            found = _places(table.column(column), pa.array(known, pa.string()))
            rows = np.where(rows >= 0, rows, found)
    for name, values in {**labels.values, **labels.own}.items():
        table = _added(table, name, pa.array(values), rows)
    return table


def _added(table: pa.Table, name: str, values: Any, rows: Rows) -> pa.Table:
    if name in table.column_names or pa.types.is_null(values.type):
        return table
    return table.append_column(name, values.take(pa.array(rows, mask=rows < 0)))


def _places(names: Any, known: Any) -> Rows:
    """Where each name is among the known ones; -1 where it isn't."""
    if isinstance(known, pa.ChunkedArray):
        known = known.combine_chunks()
    found = pc.fill_null(pc.index_in(names.cast(pa.string()), value_set=known, skip_nulls=True), -1)
    return np.asarray(found.to_numpy(), dtype=np.int64)
