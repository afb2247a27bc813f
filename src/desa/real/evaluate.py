"""Measure saved models on any folder of labelled spectra with the same layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from desa.errors import ModelError
from desa.models.network import Network
from desa.real.data import LABELS, read_spectra
from desa.real.scores import Coverage, Score, as_json, calibrated_coverage, score
from desa.real.train import QUANTILES, predict


def load_predictor(folder: Path) -> Network:
    """A model that predicts the experiment's labels.

    Raises
    ------
    ModelError
        If it can't be read or predicts other labels, or at other quantiles.
    """
    model = Network.load(folder)
    objective = model.settings.objective_spectrum
    if tuple(objective.labels) != LABELS or tuple(objective.quantiles) != QUANTILES:
        raise ModelError(f"{folder}: predicts {objective.labels} at {objective.quantiles}, not {LABELS}")
    return model


def load_members(folder: str | Path) -> list[Network]:
    """The models of a folder: itself one, or each of its ``member-*``.

    Raises
    ------
    ModelError
        If there is none, or one can't be read or predicts other labels.
    """
    folder = Path(folder)
    places = sorted(folder.glob("member-*")) or [folder]
    return [load_predictor(place) for place in places]


def evaluate(folder: str | Path, directory: str | Path) -> dict[str, Any]:
    """Errors and coverage of a model (or the mean of its members) on a folder of spectra.

    Parameters
    ----------
    folder
        Where the experiment left its model.
    directory
        Holds ``dr10_compact.npz`` and ``dr10_labels.csv``, or its folder ``lamost`` does.

    Returns
    -------
    dict
        ``spectra``, ``scores`` and ``coverage`` (empty for a model without calibration); JSON-ready.
    """
    models = load_members(folder)
    spectra = read_spectra(directory)
    quantiles = predict(models, spectra)
    scores = score(quantiles[..., QUANTILES.index(0.5)], spectra.labels, spectra.snr_g)
    calibration = models[0].calibration.get("spectrum")
    covered = calibrated_coverage(quantiles, spectra.labels, calibration) if calibration else []
    return {"spectra": len(spectra), "scores": as_json(scores), "coverage": as_json(covered)}


def score_table(title: str, rows: dict[str, list[Score]]) -> Table:
    """Mean absolute errors, a line a method and group."""
    table = Table("method", "spectra", "n", "Teff [K]", "log g [dex]", "[Fe/H] [dex]", title=title)
    for method, scores in rows.items():
        for group in dict.fromkeys(row.group for row in scores):
            cells = [row for row in scores if row.group == group]
            values = [
                f"{row.mae:.{1 if row.label == 'teff' else 4}f} ± "
                f"{row.mae_err:.{1 if row.label == 'teff' else 4}f}"
                for row in cells
            ]
            table.add_row(method, group, str(cells[0].count), *values)
    return table


def coverage_table(title: str, rows: list[Coverage]) -> Table:
    """Coverage of calibrated intervals."""
    table = Table("label", "nominal", "covered", "half-width", title=title)
    for row in rows:
        digits = 0 if row.label == "teff" else 3
        table.add_row(
            row.label,
            f"{row.nominal:.0%}",
            f"{row.share:.1%} ± {row.share_err:.1%}",
            f"{row.half_width:.{digits}f}",
        )
    return table
