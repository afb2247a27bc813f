"""Where known kinds of star fall among real light curves and spectra, in trained and untrained features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from desa.errors import FileRefused
from desa.evaluation.neighbours import neighbour_error, separation
from desa.evaluation.score import Score
from desa.files import written_whole
from desa.inference.encode import star_features
from desa.io.registry import read_spectrum
from desa.models.network import Network
from desa.real.data import LabelledSpectra, lamost_folder, number, read_spectra, read_table
from desa.real.lightcurves import GIANT_LOG_G, KeplerStar, Refused, read_kepler
from desa.real.train import features_of
from desa.report.maps import coordinates, kinds_map, save_figure, values_map
from desa.types import Spectrum, Star

Array = NDArray[np.float64]
Features = dict[str, NDArray[np.float32]]

LEAST_MEMBERS = 5
"""Kinds with fewer members are not measured."""

OTHER_RELEASES = ("dr1_fits", "dr7_fits", "dr8_fits", "formats")


def untrained(model: Network) -> Network:
    """A model of the same settings with random weights."""
    torch.manual_seed(model.settings.seed + 1)
    return Network(model.settings, [part for part in model.parts if part != "dualformer"]).eval()


def amplitude(stars: list[KeplerStar]) -> NDArray[np.float32]:
    """(N, 1) log10 of the robust scatter of the flux: what a kind's amplitude alone tells."""
    rows = []
    for star in stars:
        flux = star.curve.flux[star.curve.valid]
        rows.append(np.log10(1e-6 + np.median(np.abs(flux - np.median(flux)))))
    return np.asarray(rows, dtype=np.float32)[:, None]


def kinds_of(stars: list[KeplerStar]) -> dict[str, NDArray[np.bool_]]:
    """Membership (N,) of each kind."""
    return {
        "eclipsing binary": np.array([star.eclipsing for star in stars]),
        "rotator": np.array([bool(np.isfinite(star.period)) for star in stars]),
        "red giant": np.array([star.giant and not star.eclipsing for star in stars]),
        "delta Scuti": np.array([star.form == "delta Scuti" for star in stars]),
    }


def lightcurve_findings(
    model: Network, stars: list[KeplerStar], out: Path, seed: int
) -> dict[str, list[Score]]:
    """Embed all stars, draw their map, and measure the kinds among the stars with one quarter each.

    Only single quarters are measured: stars with more data are of few kinds, and their length gives
    them away.
    """
    curves = [star.curve for star in stars]
    trained = star_features(model, [Star("", curve) for curve in curves]).get("lightcurve")
    random = star_features(untrained(model), [Star("", curve) for curve in curves]).get("lightcurve")
    if trained is None or random is None:
        raise ValueError("no light-curve features")
    features: Features = {
        "trained encoder": trained,
        "untrained encoder": random,
        "amplitude alone": amplitude(stars),
    }
    kinds = kinds_of(stars)
    place = coordinates(features["trained encoder"], seed)
    title = f"{len(stars)} real Kepler light curves, features of the encoder"
    save_figure(kinds_map(place, kinds, title), out / "map_lightcurves.png")
    single = np.array([star.form == "single quarter" or len(star.curve) < 5000 for star in stars])
    return {
        name: [
            score
            for kind, member in kinds.items()
            if member[single].sum() >= LEAST_MEMBERS
            for score in separation(values[single], member[single], "landmarks", kind, seed)
        ]
        for name, values in features.items()
    }


def other_spectra(directory: Path, refused: Refused) -> tuple[list[Spectrum], Array]:
    """Spectra of the other releases' FITS files, and their labels (M, 3), NaN where there are none."""
    folder = lamost_folder(directory)
    index = folder / "dr1_fits_index.csv"
    known: dict[str, tuple[float, ...]] = {}
    if index.is_file():
        table = read_table(index)
        columns = zip(table["file"], table["teff"], table["logg"], table["feh"], strict=True)
        known = {name: (number(t), number(g), number(m)) for name, t, g, m in columns}
    spectra, labels = [], []
    for release in OTHER_RELEASES:
        for path in sorted((folder / release).glob("*.fits*")):
            try:
                spectra.append(read_spectrum(path))
            except FileRefused as error:
                refused.append((str(path), error.reason))
                continue
            labels.append(known.get(path.name, (float("nan"),) * 3))
    return spectra, np.asarray(labels, dtype=np.float64).reshape(-1, 3)


def spectrum_findings(
    models: Mapping[str, Network],
    labelled: LabelledSpectra,
    others: list[Spectrum],
    labels: Array,
    out: Path,
    seed: int,
) -> dict[str, Any]:
    """Embed every spectrum, draw its maps, and measure giants and Teff among neighbours."""
    every = np.concatenate([labelled.labels, labels])
    giant = labelled.labels[:, 1] < GIANT_LOG_G
    cool = labelled.labels[:, 0] < 8000.0
    found: dict[str, Any] = {}
    for name, model in models.items():
        known = features_of(model, labelled)
        more = (
            star_features(model, [Star("", None, (one,)) for one in others])["spectrum"] if others else None
        )
        joined = known if more is None else np.concatenate([known, more])
        picture = values_map(
            coordinates(joined, seed),
            {"Teff [K]": every[:, 0], "log g [dex]": every[:, 1]},
            f"{len(joined)} real LAMOST spectra, {name}",
        )
        save_figure(picture, out / f"map_spectra_{name.replace(' ', '_')}.png")
        found[name] = {
            "giants": [
                score
                for member in (giant[cool],)
                if member.sum() >= LEAST_MEMBERS
                for score in separation(
                    known[cool], member, "landmarks", f"giant (log g < {GIANT_LOG_G})", seed
                )
            ],
            "teff": neighbour_error(known[cool], labelled.labels[cool, 0]),
        }
    return found


def _separation_rows(table: Table, name: str, rows: list[Score]) -> None:
    for found, permuted in zip(rows[::2], rows[1::2], strict=True):
        table.add_row(
            name,
            found.label,
            str(found.n),
            f"{found.value:.3f} ± {found.error:.3f}",
            f"{permuted.value:.3f} ± {permuted.error:.3f}",
        )


def separation_table(title: str, rows: Mapping[str, list[Score]]) -> Table:
    """AUC of each kind in each set of features."""
    table = Table("features", "kind", "members", "AUC (10 neighbours)", "chance", title=title)
    for name, found in rows.items():
        _separation_rows(table, name, found)
    return table


def run(
    directory: Path,
    out: Path,
    *,
    spectrum_models: Mapping[str, Path],
    lightcurve_model: Path | None,
    seed: int = 0,
    console: Console,
) -> dict[str, Any]:
    """Draw the maps and print the tables.

    Parameters
    ----------
    directory
        The real data.
    out
        Gets ``map_*.png`` and ``landmarks.json``.
    spectrum_models
        Name -> folder of a model with a spectrum encoder.
    lightcurve_model
        Folder of a model with a light-curve encoder; None leaves the light curves out.
    """
    out.mkdir(parents=True, exist_ok=True)
    refused: Refused = []
    facts: dict[str, Any] = {}
    if lightcurve_model is not None:
        stars, refused = read_kepler(directory)
        kinds = lightcurve_findings(Network.load(lightcurve_model), stars, out, seed)
        console.print(separation_table("Kinds of star among real single-quarter light curves", kinds))
        facts["lightcurves"] = {name: [asdict(row) for row in rows] for name, rows in kinds.items()}
        facts["n_lightcurves"] = len(stars)
    labelled = read_spectra(directory, max_teff=float("inf"))
    others, labels = other_spectra(directory, refused)
    models = {name: Network.load(folder) for name, folder in spectrum_models.items()}
    if models:
        models["untrained encoder"] = untrained(next(iter(models.values())))
    found = spectrum_findings(models, labelled, others, labels, out, seed)
    giants = {name: values["giants"] for name, values in found.items()}
    console.print(separation_table("Giants among real spectra", giants))
    for name, values in found.items():
        error, spread = values["teff"]
        console.print(f"{name}: neighbours differ in Teff by {error:.0f} ± {spread:.0f} K")
        facts[f"spectra, {name}"] = {
            "giants": [asdict(row) for row in values["giants"]],
            "teff": values["teff"],
        }
    facts["n_spectra"] = len(labelled) + len(others)
    facts["left_out"] = [{"file": Path(path).name, "reason": reason} for path, reason in refused]
    console.print(
        f"{facts['n_spectra']} spectra embedded; {len(refused)} files left out (see landmarks.json)"
    )
    with written_whole(out / "landmarks.json") as scratch:
        scratch.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return facts
