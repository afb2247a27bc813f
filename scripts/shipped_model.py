"""Measures the model that comes with desa on real stars and writes docs/results/shipped-model.md.

``python scripts/shipped_model.py SURVEY SHARED`` takes the survey of real LAMOST DR10 spectra that ``make
model`` ingests, and the folder of real files. With ``--candidate`` a model of one fold (``desa pretrain
spectrum --fold 1/5``) is compared with the shipped one on the stars that it has not seen.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table as AstropyTable
from numpy.typing import NDArray

import desa
from desa.files import written_whole
from desa.inference.encode import split_quantiles
from desa.inference.model import Desa
from desa.inference.predict import predict_files, predict_survey
from desa.models.network import Network
from desa.provenance import provenance
from desa.report.markdown import table_text
from desa.report.page import Table
from desa.survey.store import Survey
from desa.training.folds import Fold
from shipped_flags import (
    COLUMNS,
    CURVES,
    CURVES_NOTE,
    NOTE,
    flag_lines,
    later_releases,
    lightcurve_flags,
    release_kinds,
    share,
    survey_flags,
    templates,
    told_flags,
)

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results" / "shipped-model.md"
PERIODS = ROOT / "docs" / "results" / "periods.md"
LABELS = ("teff", "log_g", "fe_h")
NAMES = {"teff": "Teff [K]", "log_g": "log g [dex]", "fe_h": "[Fe/H] [dex]"}
Array = NDArray[np.float64]
Rows = NDArray[np.bool_]


def number(label: str, value: float) -> str:
    """A value with the digits that its label has."""
    return f"{value:.0f}" if label == "teff" else f"{value:.3f}"


def error(label: str, off: Array) -> str:
    """Mean absolute error with its standard error."""
    size = np.abs(off[np.isfinite(off)])
    if len(size) < 2:
        return "-"
    return f"{number(label, size.mean())} ± {number(label, size.std(ddof=1) / np.sqrt(len(size)))}"


def groups(truth: Array, snr: Array) -> dict[str, Rows]:
    """Stars by temperature and, below 8000 K, by S/N, log g and [Fe/H]; all by the survey."""
    teff, log_g, fe_h = truth.T
    cool = teff < 8000
    found = {"below 8000 K": cool, "below 8000 K, S/N > 30": cool & (snr > 30)}
    for low, high in ((0, 5000), (5000, 6000), (6000, 7000), (7000, 8000), (8000, 9500), (9500, 1e5)):
        name = f"below {high} K" if not low else f"{low} to {high} K" if high < 1e5 else f"above {low} K"
        found[name] = (teff >= low) & (teff < high)
    for low, high in ((10, 20), (20, 30), (30, 50), (50, 100), (100, 1e9)):
        name = f"S/N {low} to {high}" if high < 1e9 else f"S/N above {low}"
        found[name] = cool & (snr >= low) & (snr < high)
    found["giants (log g < 3.5)"] = cool & (log_g < 3.5)
    found["[Fe/H] < -1"] = cool & (fe_h < -1)
    return found


def out_of_fold(measured: dict[str, Any]) -> Table:
    """What was measured when the model was made, by models that had not seen the star."""
    lines = []
    for group in dict.fromkeys(row["group"] for row in measured["real"]):
        rows = {row["label"]: row for row in measured["real"] if row["group"] == group}
        cells = (f"{number(k, rows[k]['mae'])} ± {number(k, rows[k]['mae_err'])}" for k in LABELS)
        lines.append((group, str(rows["teff"]["count"]), *cells))
    for nominal in dict.fromkeys(row["nominal"] for row in measured["real_coverage"]):
        held = {row["label"]: row for row in measured["real_coverage"] if row["nominal"] == nominal}
        cells = (
            f"{held[k]['share']:.3f} ± {held[k]['share_err']:.3f} ({number(k, held[k]['half_width'])})"
            for k in LABELS
        )
        lines.append((f"in the {nominal:.0%} interval (half width)", lines[0][1], *cells))
    note = (
        "Mean absolute error, and share of stars inside the intervals, out of fold: 1611 real LAMOST DR10 "
        "spectra below 8000 K, each by a model that had not seen it. Kept in model.json since the model was "
        "made; the program that made them is gone, so they can't be remade."
    )
    return Table(("stars", "N", *(NAMES[name] for name in LABELS)), lines, note)


def accuracy(off: Array, sets: dict[str, Rows]) -> Table:
    """Errors of the shipped model by group."""
    lines = [
        (name, str(int(rows.sum())), *(error(k, off[rows, i]) for i, k in enumerate(LABELS)))
        for name, rows in sets.items()
    ]
    note = (
        "Mean absolute error of the shipped model on DR10. The model was trained on the stars below 8000 K: "
        "their rows compare groups with each other and are no measure of accuracy (see the table before). "
        "Those above 8000 K it has not seen: it can't tell their labels, and says so (see the flags)."
    )
    return Table(("stars", "N", *(NAMES[name] for name in LABELS)), lines, note)


def coverage(table: AstropyTable, truth: Array, sets: dict[str, Rows], note: str) -> Table:
    """Shares inside the intervals with widths, of stars that have intervals."""
    given = np.isfinite(np.asarray(table["teff_low68"], float))
    lines = []
    for name, rows in sets.items():
        rows = rows & given
        cells = [name, str(int(rows.sum()))]
        for place, label in enumerate(LABELS):
            for width in (68, 90):
                low, high = (
                    np.asarray(table[f"{label}_{end}{width}"], float)[rows] for end in ("low", "high")
                )
                held = (low <= truth[rows, place]) & (truth[rows, place] <= high)
                half = number(label, float(np.median(high - low)) / 2) if rows.any() else "-"
                cells.append(f"{share(held)} ({half})")
        lines.append(tuple(cells))
    columns = [f"{NAMES[label]}, {width} %" for label in LABELS for width in (68, 90)]
    return Table(("stars", "N", *columns), lines, note)


def speed(model: Desa, shared: Path) -> Table:
    """Files a second from disk to table."""
    lines = []
    sets = {
        "LAMOST spectra (FITS)": sorted((shared / "data" / "lamost" / "dr10_fits").glob("*.fits*")),
        "Kepler quarters (FITS)": sorted((shared / "data" / "kepler" / "singlequarter").glob("*.fits*"))[:60],
    }
    for name, files in sets.items():
        predict_files(model, files[:3])
        busy, begun, worked = os.getloadavg()[0], time.perf_counter(), time.process_time()
        predict_files(model, files, every_spectrum=True)
        seconds, work = time.perf_counter() - begun, time.process_time() - worked
        rates = (f"{len(files) / seconds:.1f}", f"{len(files) / work:.1f}")
        lines.append((name, str(len(files)), *rates, f"{busy:.1f}"))
    note = (
        f"From files to the table on {os.cpu_count()} cores with {torch.get_num_threads()} threads, reading "
        "included. The load is that of the machine before the run: where it is above 0, other programs took "
        "part of the cores, and the speed by the clock is a lower limit. The speed by the processor's own "
        "seconds is what one free core would do."
    )
    return Table(
        ("what", "files", "files a second", "files a second of a core", "load of the machine"), lines, note
    )


def candidate_table(shipped: Desa, path: Path, survey: Survey) -> tuple[Table, str]:
    """A model of one fold and the shipped one on the stars that the former has not seen."""
    other = Network.load(path)
    fold = Fold.of(str(other.metadata["fold"]))
    own = fold.split(survey)
    snr = own.spectrum_column("snr_g")[own.split[own.spectrum_star] == "test"].astype(np.float64)
    lines = []
    for name, model in (("candidate, not seen", other), ("shipped, seen below 8000 K", shipped)):
        quantiles, truth = split_quantiles(model, own, "spectrum", "test")
        off = quantiles[..., quantiles.shape[-1] // 2] - truth
        cool = truth[:, 0] < 8000
        for group, rows in (
            ("below 8000 K", cool),
            ("below 8000 K, S/N > 30", cool & (snr > 30)),
            ("above 8000 K", ~cool),
        ):
            cells = (error(label, off[rows, place]) for place, label in enumerate(LABELS))
            lines.append((name, group, str(int(rows.sum())), *cells))
    note = (
        f"Mean absolute error on fold {fold} of the DR10 stars of one training by the recipe "
        f"(recipes/lines.yaml, then recipes/spectrum.yaml, {other.metadata['steps']} steps each, three "
        "quarters of a batch real), and of the shipped model on the same stars, which it has seen below "
        "8000 K: to compare there take the out-of-fold table. One fold of five: the stars are not all the "
        "same. Not clearly better below 8000 K, so it does not ship; above, it is."
    )
    return Table(("model", "stars", "N", *(NAMES[name] for name in LABELS)), lines, note), str(fold)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("survey", type=Path)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--candidate", type=Path)
    parser.add_argument("--periods", type=Path, help="survey of light curves that `make periods` ingests")
    chosen = parser.parse_args()
    model, survey = desa.load(), Survey.open(chosen.survey)
    measured = json.loads((ROOT / "src/desa/pretrained/model.json").read_text("utf-8"))["metadata"][
        "measured"
    ]
    speeds = speed(model, chosen.shared)
    table = predict_survey(model, survey, every_spectrum=True)
    place = {name: row for row, name in enumerate(survey.stars.column("star_id").to_pylist())}
    stars = [place[name] for name in table["star_id"]]
    truth = np.stack([survey.labels(label)[stars].astype(float) for label in LABELS], axis=1)
    off = np.stack([np.asarray(table[label], float) for label in LABELS], axis=1) - truth
    sets = groups(truth, np.asarray(table["snr_g"], float))
    later, index = later_releases(model, chosen.shared / "data" / "lamost")
    files, kinds = templates(model, chosen.shared / "data/templates/pyhammer_templates_lamostgrid.npz")
    parts = [
        ("Accuracy, out of fold", [out_of_fold(measured)]),
        ("By temperature and S/N", [accuracy(off, sets)]),
    ]
    if chosen.candidate is not None:
        parts.append(("A new training, not shipped", [candidate_table(model, chosen.candidate, survey)[0]]))
    dr1 = [row if row.get("release") == "DR1" and row.get("teff") else None for row in index]
    names = {"teff": "teff", "log_g": "logg", "fe_h": "feh"}
    theirs = np.array([[float(row[names[k]]) if row else np.nan for k in LABELS] for row in dr1])
    unflagged = np.isfinite(theirs[:, 0]) & (np.asarray(later["teff_flag"]) == 0)
    theirs_off = np.stack([np.asarray(later[label], float) for label in LABELS], axis=1) - theirs
    unseen = accuracy(theirs_off, {"DR1, not flagged": unflagged})
    unseen = Table(
        unseen.columns, unseen.rows, "Spectra of DR1 with that release's own labels, not seen by the model."
    )
    within = {name: rows for name, rows in sets.items() if "above 9500" not in name and "8000 to" not in name}
    parts += [
        ("Another release", [unseen]),
        (
            "Intervals",
            [
                coverage(table, truth, within, SEEN),
                coverage(later, theirs, {"DR1, not flagged": unflagged}, DR1),
            ],
        ),
    ]
    lines = survey_flags(model, survey, table, truth)
    lines += flag_lines(release_kinds(later, index), *told_flags(later)) + flag_lines(
        kinds, *told_flags(files)
    )
    flags = [Table(COLUMNS, lines, NOTE)]
    if chosen.periods is not None:
        curves = lightcurve_flags(model, Survey.open(chosen.periods), chosen.shared / "data" / "kepler")
        flags.append(Table(CURVES, curves, CURVES_NOTE))
    parts += [("Flags", flags), ("Speed", [speeds])]
    facts = provenance(data=f"{survey.kind} survey {survey.identity}; files of DR1, DR5, DR7, DR8; templates")
    facts["command"] = "make shipped-model"
    write(parts, "\n".join(f"{name}: {value}" for name, value in facts.items()))


SEEN = (
    "Share of stars in the intervals ± binomial standard error (median half width), of DR10 stars that get "
    "an interval. The model was trained on these stars: shares are too high. The intervals hold on average "
    "over the stars that they were calibrated on; by group they do not (no calibration by group is "
    "shipped)."
)
DR1 = (
    "The same for DR1, not seen. That release's own labels are cooler by some 150 K than DR10's, which the "
    "model learned: the intervals do not know of it."
)
LEAD = (
    "What the model in the package does on real stars, with standard errors. It was trained on 1611 LAMOST "
    "DR10 spectra below 8000 K and on mock stars; its finder of periods on real Kepler, K2 and TESS light "
    "curves. `make shipped-model` writes this page."
)
NOT_REACHED = """## Not reached

| goal | what there is |
| --- | --- |
| below 8000 K: Teff to 68 K, log g to 0.080, [Fe/H] to 0.057 dex | 85 K, 0.089, 0.071 (first table) |
| the same for S/N > 30: 52 K, 0.056, 0.042 | 68 K, 0.065, 0.049 |
| above 8000 K: Teff to 400 K | no labels there: such stars are flagged and get no interval |
| intervals that hold by S/N, Teff, log g and [Fe/H] | on average only; `desa calibrate --twin` makes others |
| every star beyond the labels flagged | nearly all from 8500 K on, fewer between 8000 and 8500 K (table) |
| periods within 10 %: Kepler quarters 0.90, TESS 0.45 | see the periods' table |
| 30 spectra and 10 Kepler quarters a second on 2 cores | see the speeds |
| a model remade by `make model` alone | the encoders that ship were made by a program that is gone |"""


def write(parts: Sequence[tuple[str, Sequence[Table]]], facts: str) -> None:
    """Write the page."""
    found = [f"# The shipped model on real stars\n\nData: **real stars**\n\n{LEAD}"]
    for title, tables in parts:
        found += [f"## {title}", *map(table_text, tables)]
    periods = PERIODS.read_text(encoding="utf-8").split("\n\n")
    first = next(place for place, part in enumerate(periods) if part.startswith("|"))
    found += ["## Rotation periods", *periods[first : first + 2], "More in [Rotation periods](periods.md)."]
    found += [NOT_REACHED, f"## What made these tables\n\n```text\n{facts}\n```\n"]
    with written_whole(PAGE) as scratch:
        scratch.write_text("\n\n".join(found), encoding="utf-8")


if __name__ == "__main__":
    main()
