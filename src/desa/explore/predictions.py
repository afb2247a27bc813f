"""Predicted labels beside the rows of a table of embeddings, by the columns that ``desa predict`` writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io.registry import IORegistryError
from astropy.table import Table
from numpy.typing import NDArray

from desa.catalogs.labels import read_columns
from desa.errors import DesaError, UnsupportedFile
from desa.inference.table_files import table_format

FLAG, WHY, PREDICTED = "_flag", "_why", "_predicted"
COVERAGES = (68, 90)
SIDES = ("low", "high")
LEFT = {"star_id", "obsid", "source", "modality", "ra", "dec", "snr_g"}
"""Columns of a table of predictions that the page has from elsewhere."""


def predicted_labels(names: Iterable[str]) -> tuple[str, ...]:
    """Labels among column names: those that come with ``<label>_flag``."""
    there = list(names)
    return tuple(name for name in there if name + FLAG in there)


def interval_names(label: str, coverage: int) -> list[str]:
    """Names of the lower and the upper end of a label's interval."""
    return [f"{label}_{side}{coverage}" for side in SIDES]


def read_predictions(
    path: str | Path, star_ids: Sequence[str], obsids: Sequence[str]
) -> dict[str, pa.ChunkedArray]:
    """Columns of a table of predictions, in the order of the rows that are given.

    Parameters
    ----------
    path
        Written by ``desa predict``, in any of its formats.
    star_ids, obsids
        (N,) of the rows. A row takes the prediction of its star and spectrum; where there is none, that of
        its star.

    Returns
    -------
    dict
        name -> (N,) values, null where there is no prediction.

    Raises
    ------
    UnsupportedFile
        If it holds no predictions, or none of these stars.
    """
    columns = read_columns(path)
    labels = predicted_labels(columns)
    if "star_id" not in columns or not labels:
        raise UnsupportedFile(path, "no table of predictions (no star_id or no label)", "see desa predict")
    places = _matched(columns, star_ids, obsids)
    if not (places >= 0).any():
        raise UnsupportedFile(
            path, "none of its stars is in the table of embeddings", "predict for the same stars"
        )
    taken = pa.array(places, mask=places < 0)
    found = {}
    for name, values in columns.items():
        if name not in LEFT:
            column = _array([_plain(value) for value in values])
            if column is not None:
                found[name] = pa.chunked_array([column.take(taken)])
    return found


def calibration_of(path: str | Path) -> str:
    """What a table of predictions says that its intervals were calibrated on; empty where it doesn't say."""
    try:
        meta = Table.read(path, format=table_format(path)).meta
    except (OSError, ValueError, DesaError, IORegistryError):
        return ""
    return next((str(value) for name, value in meta.items() if str(name).lower() == "calib"), "")


def _matched(
    columns: dict[str, list[Any]], star_ids: Sequence[str], obsids: Sequence[str]
) -> NDArray[np.int64]:
    names = [str(name) for name in columns["star_id"]]
    spectra = [str(_plain(value) or "") for value in columns.get("obsid", [""] * len(names))]
    both = {pair: place for place, pair in reversed(list(enumerate(zip(names, spectra, strict=True))))}
    star = {name: place for place, name in reversed(list(enumerate(names)))}
    rows = zip(star_ids, obsids, strict=True)
    return np.array([both.get(row, star.get(row[0], -1)) for row in rows], dtype=np.int64)


def _plain(value: Any) -> Any:
    """A value without NumPy's or astropy's wrapping; None where it is masked."""
    if value is None or np.ma.is_masked(value):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return value.item() if isinstance(value, np.generic) else value


def _array(values: list[Any]) -> pa.Array | None:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
