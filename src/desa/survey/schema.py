"""Columns of the Arrow tables, and the way between them and desa's types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from desa.types import LightCurve, Spectrum

BANDS = "ugriz"

LIGHTCURVES = pa.schema(
    {
        "star_id": pa.string(),
        "mission": pa.string(),
        "first_cadence": pa.int32(),
        "start_bkjd": pa.float64(),
        "cadence_days": pa.float64(),
        "quarters": pa.list_(pa.int16()),
        "magnitude": pa.float32(),
        "ra": pa.float64(),
        "dec": pa.float64(),
        "flux": pa.list_(pa.float32()),
        "flux_err_ppt": pa.list_(pa.float16()),
    }
)
"""A row a star: flux is relative (NaN = gap), its error is in parts per thousand."""

SPECTRA = pa.schema(
    {
        "star_id": pa.string(),
        "obsid": pa.string(),
        "release": pa.string(),
        "z": pa.float64(),
        "log_wavelength_start": pa.float64(),
        "object_class": pa.string(),
        "object_subclass": pa.string(),
        "ra": pa.float64(),
        "dec": pa.float64(),
        **{f"snr_{band}": pa.float32() for band in BANDS},
        "flux": pa.list_(pa.float32()),
        "ivar": pa.list_(pa.float32()),
    }
)
"""A row an observation: flux as observed, ivar 0 where the pixel is bad."""

ARRAYS = ("flux", "ivar", "flux_err_ppt")
"""Columns that hold arrays; the others make the small index tables."""


def _lists(values: Sequence[Any], kind: Any) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in values])]).astype(np.int32)
    flat = (
        np.concatenate([np.asarray(value, dtype=kind) for value in values]) if values else np.empty(0, kind)
    )
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, from_pandas=False))


def lightcurve_batch(items: Sequence[LightCurve]) -> pa.RecordBatch:
    """Light curves as one record batch of `LIGHTCURVES`."""
    with np.errstate(over="ignore", invalid="ignore"):
        errors = [np.clip(item.flux_err * 1e3, 0, 65000).astype(np.float16) for item in items]
    columns = {
        "star_id": pa.array([item.star_id for item in items], pa.string()),
        "mission": pa.array([item.mission for item in items], pa.string()),
        "first_cadence": pa.array([item.first_cadence for item in items], pa.int32()),
        "start_bkjd": pa.array([item.start_bkjd for item in items], pa.float64()),
        "cadence_days": pa.array([item.cadence_days for item in items], pa.float64()),
        "quarters": _lists([item.quarters for item in items], np.int16),
        "magnitude": pa.array([item.magnitude for item in items], pa.float32()),
        "ra": pa.array([item.ra for item in items], pa.float64()),
        "dec": pa.array([item.dec for item in items], pa.float64()),
        "flux": _lists([item.flux for item in items], np.float32),
        "flux_err_ppt": _lists(errors, np.float16),
    }
    return pa.record_batch(columns, schema=LIGHTCURVES)


def spectrum_batch(items: Sequence[Spectrum]) -> pa.RecordBatch:
    """Spectra as one record batch of `SPECTRA`."""
    columns = {
        name: pa.array([getattr(item, name) for item in items], SPECTRA.field(name).type)
        for name in SPECTRA.names
        if not name.startswith("snr_") and name not in ARRAYS
    }
    for band in BANDS:
        columns[f"snr_{band}"] = pa.array([item.snr.get(band, np.nan) for item in items], pa.float32())
    columns["flux"] = _lists([item.flux for item in items], np.float32)
    columns["ivar"] = _lists([item.ivar for item in items], np.float32)
    return pa.record_batch(columns, schema=SPECTRA)


def lightcurve_of(row: dict[str, Any]) -> LightCurve:
    """The light curve of a stored row."""
    return LightCurve(
        flux=row["flux"],
        flux_err=row["flux_err_ppt"].astype(np.float32) * np.float32(1e-3),
        first_cadence=row["first_cadence"],
        start_bkjd=row["start_bkjd"],
        cadence_days=row["cadence_days"],
        star_id=row["star_id"],
        mission=row["mission"],
        quarters=tuple(row["quarters"]),
        ra=row["ra"],
        dec=row["dec"],
        magnitude=row["magnitude"],
    )


def spectrum_of(row: dict[str, Any]) -> Spectrum:
    """The spectrum of a stored row."""
    return Spectrum(
        flux=row["flux"],
        ivar=row["ivar"],
        log_wavelength_start=row["log_wavelength_start"],
        z=row["z"],
        star_id=row["star_id"],
        obsid=row["obsid"],
        release=row["release"],
        object_class=row["object_class"],
        object_subclass=row["object_subclass"],
        snr={band: row[f"snr_{band}"] for band in BANDS},
        ra=row["ra"],
        dec=row["dec"],
        meta={"is_star": row["object_class"] in ("STAR", "")},
    )


def dataset_info(schema: pa.Schema) -> dict[str, Any]:
    """The description that Hugging Face `datasets` keeps beside the Arrow files."""

    def feature(kind: pa.DataType) -> dict[str, Any]:
        if pa.types.is_list(kind):
            return {"feature": feature(kind.value_type), "_type": "Sequence"}
        name = {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind))
        return {"dtype": name, "_type": "Value"}

    return {"features": {field.name: feature(field.type) for field in schema}}
