"""Tables of predictions: columns with units and descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units
from astropy.table import Column, Table

from desa.inference.estimate import Estimate
from desa.inference.labels import words_of
from desa.inference.quality import Flag, bits_in_words
from desa.words import rows_of_stars

if TYPE_CHECKING:
    from desa.models.network import Network

ABOUT = {
    "star_id": ("", "the star's name by its files"),
    "obsid": ("", "identifier of the spectrum"),
    "source": ("", "file of the spectrum, else the first of the light curve"),
    "modality": ("", "what there is: joint, spectrum or lightcurve"),
    "ra": ("deg", "right ascension (ICRS)"),
    "dec": ("deg", "declination (ICRS)"),
    "snr_g": ("", "signal-to-noise of the spectrum in g"),
    "good_days": ("d", "good samples of the light curve, in the window that the model reads"),
    "prot_p_rotation": ("", "calibrated probability that the light curve shows rotation"),
    "p_spectrum": ("", "p-value of the spectrum: share of calibration stars as far from the training stars"),
    "p_lightcurve": ("", "p-value of the light curve: share of calibration stars as far from training stars"),
}


ROTATION = "prot_p_rotation"
"""Column of models that find periods by `desa.models.period_finder`."""


@dataclass
class Columns:
    """Columns of some stars, with what each label's columns are.

    Parameters
    ----------
    values
        name -> one value a star.
    labels
        The labels' estimates of the first stars, for what they say of the label.
    """

    values: dict[str, Any]
    labels: dict[str, Estimate] = field(default_factory=dict)

    def add(self, estimate: Estimate, flags: Sequence[tuple[int, str]]) -> None:
        """Add a label's columns: values, interval ends or probabilities, flag and reason."""
        name = estimate.label
        self.labels[name] = estimate
        if estimate.classes:
            likeliest = np.nan_to_num(estimate.median, nan=-1.0).astype(int)
            self.values[name] = [estimate.classes[row] if row >= 0 else "" for row in likeliest]
            assert estimate.probabilities is not None
            for place, kind in enumerate(estimate.classes):
                self.values[f"{name}_p_{kind}"] = estimate.probabilities[:, place]
        else:
            self.values[name] = estimate.median
            for coverage, (low, high) in estimate.intervals.items():
                self.values[f"{name}_low{round(100 * coverage)}"] = low
                self.values[f"{name}_high{round(100 * coverage)}"] = high
        self.values[f"{name}_flag"] = np.array([bits for bits, _ in flags], dtype=np.int16)
        self.values[f"{name}_why"] = [reason for _, reason in flags]


def joined(parts: Sequence[Columns]) -> Columns:
    """The same columns of more stars."""
    if not parts:
        return Columns({name: np.zeros(0) for name in ABOUT if name != ROTATION})
    values = {
        name: np.concatenate([np.asarray(part.values[name]) for part in parts]) for name in parts[0].values
    }
    return Columns(values, parts[0].labels)


def build_table(columns: Columns, model: Network, data: str) -> Table:
    """The table of the columns.

    Parameters
    ----------
    columns
        Of all stars.
    model
        What predicted; its origin goes into the table's ``meta``.
    data
        What was predicted for, in words.
    """
    table = Table()
    for name, values in columns.values.items():
        unit, description = ABOUT.get(name, ("", ""))
        table[name] = Column(np.asarray(values), unit=unit or None, description=description)
    for estimate in columns.labels.values():
        for name, unit, description in _label_columns(estimate, list(columns.values)):
            table[name].unit = units.Unit(unit) if unit else None
            table[name].description = description
    table.meta["calib"] = calibrations(columns.labels.values())
    table.meta["trained"] = str(model.metadata.get("trained_on") or model.metadata.get("data", ""))
    table.meta["model"] = str(model.metadata.get("name") or model.metadata.get("survey", ""))
    table.meta["data"] = data
    table.meta["flags"] = bits_in_words(Flag)
    return table


def _label_columns(estimate: Estimate, names: Sequence[str]) -> list[tuple[str, str, str]]:
    """(column, unit, description) of a label's columns."""
    label, words = estimate.label, words_of(estimate.label)
    from_what = " and ".join("light curve" if part == "lightcurve" else part for part in estimate.needs)
    median = "likeliest class" if estimate.classes else "median"
    found = [
        (label, "" if estimate.classes else words.unit, f"{words.description}: {median}, from {from_what}"),
        (f"{label}_flag", "", f"bits of what speaks against {label}; 0: nothing"),
        (f"{label}_why", "", f"what speaks against {label}, in words"),
    ]
    for coverage in estimate.intervals:
        share = round(100 * coverage)
        for end in ("low", "high"):
            text = (
                f"{words.description}: {'lower' if end == 'low' else 'upper'} end of the {share} % interval"
            )
            found.append((f"{label}_{end}{share}", words.unit, text))
    probability = "calibrated probability" if estimate.calibrated else "probability"
    found += [(f"{label}_p_{kind}", "", f"{probability} that {label} is {kind}") for kind in estimate.classes]
    return [entry for entry in found if entry[0] in names]


def calibrations(estimates: Iterable[Estimate]) -> str:
    """What the labels' intervals were calibrated on, in words."""
    by_stars: dict[str, list[str]] = {}
    for estimate in estimates:
        by_stars.setdefault(estimate.calibrated_on if estimate.calibrated else "", []).append(estimate.label)
    return "; ".join(
        f"{', '.join(labels)}: {'calibrated on ' + stars if stars else 'not calibrated'}"
        for stars, labels in by_stars.items()
    )


def summary_lines(table: Table, path: Path | None) -> list[str]:
    """How many stars, how many of them flagged, and what the numbers rest on, in words for the screen."""
    where = f" in {path}" if path is not None else ""
    lines = [rows_of_stars(table["star_id"].tolist()) + where]
    for name in (name for name in table.colnames if name.endswith("_flag")):
        label = name.removesuffix("_flag")
        bits = np.asarray(table[name])
        told = (bits & int(Flag.WRONG_MODALITY)) == 0
        doubtful = int((bits[told] != 0).sum())
        if told.any():
            lines.append(f"{label}: {int(told.sum())} predicted, {doubtful} of them flagged")
    lines.append(f"model trained on {table.meta['trained'] or 'unknown data'}; {table.meta['calib']}")
    return lines
