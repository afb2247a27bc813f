"""Columns of a survey's files, and the way between them and desa's own objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from desa.types import LightCurve, Spectrum

FORMAT = 1
"""Version of the survey's layout; a reader refuses any other."""

EARLIER_STEP = 1e-4
"""Step [dex] of the spectra of surveys that were made before it was stored."""

BANDS = ("u", "g", "r", "i", "z")

LIGHTCURVES = pa.schema(
    [
        ("star_id", pa.string()),
        ("mission", pa.string()),
        ("first_cadence", pa.int32()),
        ("start_bkjd", pa.float64()),
        ("cadence_days", pa.float64()),
        ("quarters", pa.list_(pa.int16())),
        ("magnitude", pa.float32()),
        ("flux", pa.list_(pa.float32())),
        ("flux_err_ppt", pa.list_(pa.float16())),
    ]
)
"""One light curve a row: relative flux (NaN in gaps) and its relative error times 1000."""

SPECTRA = pa.schema(
    [
        ("star_id", pa.string()),
        ("obsid", pa.string()),
        ("release", pa.string()),
        ("z", pa.float32()),
        ("log_wavelength_start", pa.float64()),
        ("log_wavelength_step", pa.float64()),
        ("object_class", pa.string()),
        ("object_subclass", pa.string()),
        *((f"snr_{band}", pa.float32()) for band in BANDS),
        ("flux", pa.list_(pa.float32())),
        ("ivar", pa.list_(pa.float32())),
    ]
)
"""One spectrum a row, as observed; ivar 0 where a pixel is bad."""

STARS = pa.schema(
    [
        ("star_id", pa.string()),
        ("kic", pa.int64()),
        ("gaia", pa.int64()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("split", pa.string()),
        ("n_lightcurves", pa.int32()),
        ("n_spectra", pa.int32()),
        ("magnitude", pa.float64()),
    ]
)
"""Columns every star table has; label columns follow."""

_HALF_MAX = float(np.finfo(np.float16).max)


def _lists(arrays: Sequence[NDArray[Any]], kind: pa.DataType) -> pa.ListArray:
    offsets = np.zeros(len(arrays) + 1, dtype=np.int32)
    np.cumsum([len(array) for array in arrays], out=offsets[1:])
    dtype = kind.to_pandas_dtype()
    values = np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.empty(0, dtype)
    return pa.ListArray.from_arrays(offsets, pa.array(values, type=kind, from_pandas=False))


def _ppt(flux_err: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(invalid="ignore"):
        ppt: NDArray[np.float16] = np.clip(flux_err * np.float32(1000), 0, _HALF_MAX).astype(np.float16)
    return ppt


def lightcurve_rows(curves: Sequence[LightCurve]) -> pa.RecordBatch:
    """Light curves as rows of the store."""
    columns = [
        pa.array([c.star_id for c in curves], pa.string()),
        pa.array([c.mission for c in curves], pa.string()),
        pa.array([c.first_cadence for c in curves], pa.int32()),
        pa.array([c.start_bkjd for c in curves], pa.float64()),
        pa.array([c.cadence_days for c in curves], pa.float64()),
        _lists([np.asarray(c.quarters, dtype=np.int16) for c in curves], pa.int16()),
        pa.array(np.asarray([c.magnitude for c in curves], dtype=np.float32)),
        _lists([c.flux for c in curves], pa.float32()),
        _lists([_ppt(c.flux_err) for c in curves], pa.float16()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=LIGHTCURVES)


def spectrum_rows(spectra: Sequence[Spectrum]) -> pa.RecordBatch:
    """Spectra as rows of the store."""
    columns = [
        pa.array([s.star_id for s in spectra], pa.string()),
        pa.array([s.obsid for s in spectra], pa.string()),
        pa.array([s.release for s in spectra], pa.string()),
        pa.array(np.asarray([s.z for s in spectra], dtype=np.float32)),
        pa.array([s.log_wavelength_start for s in spectra], pa.float64()),
        pa.array([s.log_wavelength_step for s in spectra], pa.float64()),
        pa.array([s.object_class for s in spectra], pa.string()),
        pa.array([s.object_subclass for s in spectra], pa.string()),
        *(
            pa.array(np.asarray([s.snr.get(band, np.nan) for s in spectra], dtype=np.float32))
            for band in BANDS
        ),
        _lists([s.flux for s in spectra], pa.float32()),
        _lists([s.ivar for s in spectra], pa.float32()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SPECTRA)


def lightcurve_facts(curves: Sequence[LightCurve]) -> dict[str, list[Any]]:
    """What the survey's index keeps of light curves besides their rows."""
    return {
        "star_id": [c.star_id for c in curves],
        "mission": [c.mission for c in curves],
        "ra": [_number(c.ra) for c in curves],
        "dec": [_number(c.dec) for c in curves],
        "magnitude": [_number(c.magnitude) for c in curves],
        "median_flux": [_number(c.meta.get("median_flux", np.nan)) for c in curves],
        "n_samples": [len(c) for c in curves],
        "n_good": [int(c.valid.sum()) for c in curves],
        "files": [list(c.sources) for c in curves],
    }


def spectrum_facts(spectra: Sequence[Spectrum]) -> dict[str, list[Any]]:
    """What the survey's index keeps of spectra besides their rows."""
    facts: dict[str, list[Any]] = {
        "star_id": [s.star_id for s in spectra],
        "obsid": [s.obsid for s in spectra],
        "release": [s.release for s in spectra],
        "object_class": [s.object_class for s in spectra],
        "object_subclass": [s.object_subclass for s in spectra],
        "ra": [_number(s.ra) for s in spectra],
        "dec": [_number(s.dec) for s in spectra],
        "z": [_number(s.z) for s in spectra],
        "helio_rv": [_number(s.meta.get("helio_rv", np.nan)) for s in spectra],
        "n_samples": [len(s) for s in spectra],
        "n_good": [int(s.valid.sum()) for s in spectra],
        "files": [list(s.sources) for s in spectra],
    }
    return facts | {f"snr_{band}": [_number(s.snr.get(band, np.nan)) for s in spectra] for band in BANDS}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def index_schema(modality: str) -> pa.Schema:
    """Columns of ``lightcurves.parquet`` and ``spectra.parquet``: one row a light curve or spectrum."""
    common = [("star", pa.int32()), ("star_id", pa.string()), ("ra", pa.float64()), ("dec", pa.float64())]
    counts = [("n_samples", pa.int32()), ("n_good", pa.int32()), ("files", pa.list_(pa.string()))]
    if modality == "lightcurves":
        facts = [("mission", pa.string()), ("magnitude", pa.float64()), ("median_flux", pa.float64())]
        return pa.schema([*common, *facts, *counts])
    numbers = [(name, pa.float64()) for name in ("z", "helio_rv", *(f"snr_{band}" for band in BANDS))]
    texts = [(name, pa.string()) for name in ("obsid", "release", "object_class", "object_subclass")]
    return pa.schema([*common, *texts, *numbers, *counts])


def dataset_info(schema: pa.Schema) -> dict[str, Any]:
    """Content of ``dataset_info.json``, by which Hugging Face `datasets` knows the columns."""
    return {
        "citation": "",
        "description": "",
        "features": {field.name: _feature(field.type) for field in schema},
        "homepage": "",
        "license": "",
    }


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
