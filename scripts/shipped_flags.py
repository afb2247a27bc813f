"""Which spectra the model that comes with desa flags, by kind: a part of what shipped_model.py measures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table as AstropyTable
from numpy.typing import NDArray

from desa.inference.model import Desa
from desa.inference.predict import predict_files, predict_table
from desa.inference.quality import Flag, Limits
from desa.survey.store import Survey
from desa.training.spectrum_check import cross_validated, known_spectra
from desa.types import Spectrum

LATER = {"DR1": 1, "DR5": 5, "DR7": 7, "DR8": 8}
TEMPLATE_SNR = 50.0
MOST_CURVES = 60
"""Light curves of a kind, drawn at random."""
COLUMNS = ("spectra", "N", "hotter", "components leave more", "features unlike", "no star", "any")
Array = NDArray[np.float64]
Rows = NDArray[np.bool_]

NOTE = (
    "Share of spectra flagged, by reason and by any of them (S/N aside: spectra of S/N below 10 are flagged "
    "anyway and left out, but for M stars and what is no star). Of DR10 the first two are by fits that have "
    "not seen the star (five folds by star), though the threshold of 'hotter' was set on all of them, and "
    "'features unlike' is by the encoder, trained on the stars below 8000 K. Templates are nearly free of "
    "noise and of O to M dwarfs. No real carbon star, white dwarf, quasar or emission-line star is among "
    "our files: what the flags do there is not known."
)


CURVES = ("light curves", "N", "no rotation seen", "unlike", "any")
CURVES_NOTE = (
    "Share of light curves whose period is flagged, of stars in which a period is not rotation's. The "
    "finder was not trained on eclipsing binaries; giants and pulsators may be among its stars without "
    "rotation. What is not flagged gets the orbital or pulsation period as if it were rotation's. Rotators "
    "and quiet stars: see the page of the periods."
)


def share(held: Rows) -> str:
    """A share with its binomial standard error."""
    if not len(held):
        return "-"
    part = float(held.mean())
    return f"{part:.3f} ± {np.sqrt(part * (1 - part) / len(held)):.3f}"


def flag_lines(
    kinds: dict[str, Rows], hot: Rows, leftover: Rows, features: Rows, other: Rows
) -> list[tuple[str, ...]]:
    """A line a kind: share flagged by each reason, and by any."""
    every = hot | leftover | features | other
    return [
        (name, str(int(rows.sum())), *(share(one[rows]) for one in (hot, leftover, features, other, every)))
        for name, rows in kinds.items()
        if rows.any()
    ]


def told_flags(table: AstropyTable) -> tuple[Rows, Rows, Rows, Rows]:
    """Hotter, leftover, features, no star: of predictions of stars that nothing was fitted to."""
    bits, why = np.asarray(table["teff_flag"]), np.asarray(table["teff_why"]).astype(str)
    return (
        (bits & int(Flag.HOTTER)) > 0,
        np.array(["features of no kind" in words for words in why], dtype=bool),
        np.asarray(table["p_spectrum"], float) < Limits().p_value,
        (bits & int(Flag.NOT_A_STAR)) > 0,
    )


def survey_flags(model: Desa, survey: Survey, table: AstropyTable, truth: Array) -> list[tuple[str, ...]]:
    """Flags of labelled stars, the check's by fits that have not seen the star."""
    check = model.spectrum_check
    assert check is not None
    known = known_spectra(model, survey)
    told = cross_validated(known, check.hottest, model.settings.seed)
    row_of = {name: row for row, name in enumerate(survey.spectrum_column("obsid").astype(str))}
    rows = np.array([row_of[str(name)] for name in table["obsid"]])
    assert len(known.teff) == len(row_of), "every spectrum of the survey has a temperature"
    teff = truth[:, 0]
    hot = (told.temperature[rows] > check.threshold) | (np.asarray(table["teff"], float) > check.hottest)
    leftover = check.p_value(told.leftover[rows]) < Limits().p_value
    features = np.asarray(table["p_spectrum"], float) < Limits().p_value
    good = known.snr[rows] >= Limits().snr_g
    kinds = {
        "DR10, below 7500 K": teff < 7500,
        "DR10, 7500 to 8000 K": (teff >= 7500) & (teff < 8000),
        "DR10, 8000 to 8500 K": (teff >= 8000) & (teff < 8500),
        "DR10, 8500 to 9500 K": (teff >= 8500) & (teff < 9500),
        "DR10, above 9500 K": teff >= 9500,
    }
    return flag_lines(
        {name: one & good for name, one in kinds.items()}, hot, leftover, features, np.zeros(len(hot), bool)
    )


def later_releases(model: Desa, lamost: Path) -> tuple[AstropyTable, list[dict[str, str]]]:
    """Predictions of the files of other releases, and what their indices say of them."""
    index = {}
    for name, release in LATER.items():
        with (lamost / f"dr{release}_fits_index.csv").open(newline="") as stream:
            index |= {Path(row["file"]).name: {**row, "release": name} for row in csv.DictReader(stream)}
    folders = [lamost / f"dr{release}_fits" for release in LATER.values()]
    table, _ = predict_files(model, folders, every_spectrum=True)
    return table, [index.get(str(source), {}) for source in table["source"]]


def release_kinds(table: AstropyTable, index: Sequence[dict[str, str]]) -> dict[str, Rows]:
    """Kinds of object by the files' own class, at S/N of 10 or more, and no star at any."""
    good = np.asarray(table["snr_g"], float) >= Limits().snr_g
    cls = np.array([row.get("cls", "") for row in index])
    first = np.array([row.get("subclass", "?")[:1] for row in index])
    star = cls == "STAR"
    return {
        "other releases, F, G and K": star & good & np.isin(first, list("FGK")),
        "other releases, A": star & good & (first == "A"),
        "other releases, M": star & np.isin(first, list("Md")),
        "other releases, galaxies": cls == "GALAXY",
        "other releases, unknown": ~star & (cls != "GALAXY"),
    }


def templates(model: Desa, path: Path) -> tuple[AstropyTable, dict[str, Rows]]:
    """Predictions of spectral templates, and their kinds."""
    with np.load(path) as stored:
        flux, names, start = stored["flux"].astype(float), stored["name"], float(stored["loglam"][0])
    spectra = []
    for row, values in enumerate(flux):
        good = np.isfinite(values) & (values != 0)
        noise = np.abs(np.nanmedian(values[good])) / TEMPLATE_SNR
        ivar = np.where(good, noise**-2, 0).astype(np.float32)
        spectra.append(
            Spectrum(
                np.nan_to_num(values).astype(np.float32),
                ivar,
                star_id=f"template {row}",
                log_wavelength_start=start,
                z=0.0,
                obsid=str(row),
                object_class="STAR",
                snr={"g": TEMPLATE_SNR},
            )
        )
    table = predict_table(model, spectrum=spectra)
    first = np.array([names[int(row)][:1] for row in table["obsid"]])
    kinds = {f"templates, {kind}": first == kind for kind in "OBAFGKM"}
    return table, kinds


def lightcurve_flags(model: Desa, survey: Survey, kepler: Path) -> list[tuple[str, ...]]:
    """Light curves whose period is flagged, of kinds that show other periods than rotation's, or none."""
    star = survey.lightcurve_star
    names = np.array(survey.stars.column("star_id").to_pylist(), dtype=str)[star]
    files = [path.stem for folder in kepler.glob("fullmission_dsct*") for path in folder.glob("kic*.parquet")]
    pulsators = {f"KIC {int(stem.removeprefix('kic'))}" for stem in files}
    binary = survey.labels("binary")[star] == 1
    tess = np.array([survey.lightcurve(row).mission == "TESS" for row in range(len(star))])
    kinds = {
        "eclipsing binaries, Kepler": binary & ~tess,
        "eclipsing binaries, TESS": binary & tess,
        "delta Scuti stars, Kepler": np.isin(names, sorted(pulsators)) & ~tess,
        "red giants with oscillations": np.isfinite(survey.labels("numax")[star]) & ~binary,
    }
    lines = []
    for kind, rows in kinds.items():
        chosen = np.random.default_rng(0).permutation(np.flatnonzero(rows))[:MOST_CURVES]
        table = predict_table(model, lightcurve=[survey.lightcurve(int(row)) for row in np.sort(chosen)])
        bits = np.asarray(table["prot_flag"])
        told = [(bits & int(flag)) > 0 for flag in (Flag.NO_ROTATION, Flag.UNLIKE_TRAINING)]
        lines.append((kind, str(len(bits)), *(share(one) for one in (*told, bits > 0))))
    return lines
