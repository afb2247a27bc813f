"""What the page shows of one star: numbers, light curve, autocorrelation, spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.explore.columns import label_of, shown_unit
from desa.explore.predictions import COVERAGES, FLAG, PREDICTED, interval_names
from desa.explore.table import ExploreTable
from desa.types import LightCurve, Spectrum

Floats = NDArray[np.float32]

LONGEST_LAG_DAYS = 90.0
LONGEST = 400_000
"""Samples of a light curve that are sent at most: eleven times Kepler's whole mission at 30 min."""


def _number(value: float, digits: int = 7) -> float | None:
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


def describe(table: ExploreTable, row: int) -> dict[str, Any]:
    """A row's names, values and predictions, and what its light curve and spectrum are; plain JSON."""
    curve, spectrum = lightcurve_of(table, row), spectrum_of(table, row)
    return {
        "row": row,
        "star_id": table.star_id[row].as_py(),
        "obsid": table.obsid[row].as_py(),
        "modality": table.modality[row].as_py(),
        "in_survey": bool(table.survey_row[row] >= 0),
        "values": values_of(table, row),
        "predictions": predictions_of(table, row),
        "lightcurve": None if curve is None else _about_curve(curve),
        "spectrum": None if spectrum is None else _about_spectrum(spectrum),
    }


def values_of(table: ExploreTable, row: int) -> list[dict[str, Any]]:
    """What is known of a row, without predictions: name, unit, value or word, error."""
    errors = {f"{key}_err" for key in table.columns}
    found = []
    for key, column in table.columns.items():
        value = float(table.values(key)[row])
        if key in errors or column.source == "map" or _is_predicted(table, key) or not np.isfinite(value):
            continue
        word = column.categories[int(value)] if column.categories is not None else None
        error = f"{key}_err"
        found.append(
            {
                "key": key,
                "label": column.label,
                "unit": shown_unit(column.unit),
                "value": _number(value) if word is None else word,
                "error": _cell(table, error, row),
            }
        )
    return found


def _is_predicted(table: ExploreTable, key: str) -> bool:
    """Whether a column is one of a predicted label's."""
    for label in table.predicted:
        ends = [name for share in COVERAGES for name in interval_names(label, share)]
        if key in (label + PREDICTED, label + FLAG, *ends) or key.startswith(f"{label}_p_"):
            return True
    return False


def predictions_of(table: ExploreTable, row: int) -> list[dict[str, Any]]:
    """Predicted labels of a row, what speaks against them, and what a catalogue says.

    Of a number median and intervals, of a class its name and the probabilities.
    """
    found = []
    for label in table.predicted:
        column = table.columns.get(label + PREDICTED)
        if column is None or not np.isfinite(value := float(table.values(column.key)[row])):
            continue
        reasons = table.reasons.get(label)
        name, unit = label_of(label)
        chances = [key for key in table.columns if key.startswith(f"{label}_p_")]
        found.append(
            {
                "key": label,
                "label": name,
                "unit": shown_unit(unit),
                "median": _number(value) if column.categories is None else None,
                "class": None if column.categories is None else column.categories[int(value)],
                "chances": {key.removeprefix(f"{label}_p_"): _cell(table, key, row) for key in chances},
                "intervals": {
                    str(share): [_cell(table, end, row) for end in interval_names(label, share)]
                    for share in COVERAGES
                },
                "flag": _cell(table, label + FLAG, row),
                "why": "" if reasons is None else reasons[row].as_py() or "",
                "catalogue": _cell(table, label, row) if column.categories is None else None,
            }
        )
    return found


def _cell(table: ExploreTable, key: str, row: int) -> float | None:
    return _number(float(table.values(key)[row])) if key in table.columns else None


def lightcurve_of(table: ExploreTable, row: int) -> LightCurve | None:
    """A row's light curve in the survey, if there is one."""
    place = int(table.lightcurve_row[row])
    return None if table.survey is None or place < 0 else table.survey.lightcurve(place)


def spectrum_of(table: ExploreTable, row: int) -> Spectrum | None:
    """A row's spectrum in the survey, if there is one."""
    place = int(table.spectrum_row[row])
    return None if table.survey is None or place < 0 else table.survey.spectrum(place)


def _about_curve(curve: LightCurve) -> dict[str, Any]:
    return {
        "start": _number(curve.start_bkjd, 12),
        "step": curve.cadence_days,
        "samples": min(len(curve), LONGEST),
        "good": int(curve.valid.sum()),
        "mission": curve.mission,
        "quarters": list(curve.quarters),
    }


def _about_spectrum(spectrum: Spectrum) -> dict[str, Any]:
    return {
        "log_start": spectrum.log_wavelength_start,
        "log_step": spectrum.log_wavelength_step,
        "z": _number(spectrum.z),
        "obsid": spectrum.obsid,
        "release": spectrum.release,
        "subclass": spectrum.object_subclass,
        "snr": {band: _number(value, 4) for band, value in spectrum.snr.items()},
    }


def flux_ppt(curve: LightCurve) -> Floats:
    """(L,) flux in parts per thousand about its median, NaN in gaps."""
    flux = curve.flux[:LONGEST].astype(np.float64)
    median = np.nanmedian(flux) if np.isfinite(flux).any() else 1.0
    return np.asarray(1000 * (flux / median - 1) if median > 0 else flux * np.nan, dtype=np.float32)


def autocorrelation(curve: LightCurve) -> Floats:
    """(K,) autocorrelation by lag in cadences from 0, as the light-curve encoder is given it.

    Lags go up to half of the curve and `LONGEST_LAG_DAYS`.
    """
    import torch

    from desa.config import LightCurvePreprocessing
    from desa.preprocess.lightcurve import LightCurvePreprocessor

    flux = np.array(curve.flux[:LONGEST], dtype=np.float32)
    if len(flux) < 2:
        return np.zeros(0, np.float32)
    channels = LightCurvePreprocessor(LightCurvePreprocessing())(torch.from_numpy(flux)[None]).channels
    lags = max(2, min(len(flux) // 2, int(LONGEST_LAG_DAYS / curve.cadence_days)))
    return np.asarray(channels[0, 2, :lags].numpy(), dtype=np.float32)


def spectrum_flux(spectrum: Spectrum) -> Floats:
    """(N,) flux over its median, NaN where the pixel is bad."""
    flux = np.where(spectrum.valid, spectrum.flux.astype(np.float64), np.nan)
    median = np.nanmedian(flux) if spectrum.valid.any() else 1.0
    return np.asarray(flux / median if median > 0 else flux, dtype=np.float32)
