"""What the page shows of one star: numbers, light curve, autocorrelation, spectrum."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.explore.columns import label_of, shown_unit
from desa.explore.links import links_of
from desa.explore.predictions import COVERAGES, FLAG, PREDICTED, interval_names
from desa.explore.table import ExploreTable
from desa.explore.timeseries import LONGEST, grid_of, quarter_starts
from desa.types import LightCurve, Spectrum

Floats = NDArray[np.float32]


def _number(value: float, digits: int = 7) -> float | None:
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


def describe(table: ExploreTable, row: int) -> dict[str, Any]:
    """A row's names, values and predictions, and what its light curve and spectrum are; plain JSON."""
    return data_of(table, row) | {
        "modality": table.modality[row].as_py(),
        "in_survey": bool(table.survey_row[row] >= 0),
        "ra": _number(float(table.ra[row]), 9),
        "dec": _number(float(table.dec[row]), 9),
        "links": links_of(table, row),
        "values": values_of(table, row),
        "predictions": predictions_of(table, row),
    }


def data_of(table: ExploreTable, row: int) -> dict[str, Any]:
    """A row's names, and what its light curve and spectrum are: all that a neighbour's picture needs."""
    curve, spectrum = lightcurve_of(table, row), spectrum_of(table, row)
    return {
        "row": row,
        "star_id": table.star_id[row].as_py(),
        "obsid": table.obsid[row].as_py(),
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
        "starts": quarter_starts(curve),
        "frequencies": asdict(grid_of(curve)),
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


def spectrum_flux(spectrum: Spectrum) -> Floats:
    """(N,) flux over its median, NaN where the pixel is bad."""
    flux = np.where(spectrum.valid, spectrum.flux.astype(np.float64), np.nan)
    median = np.nanmedian(flux) if spectrum.valid.any() else 1.0
    return np.asarray(flux / median if median > 0 else flux, dtype=np.float32)
