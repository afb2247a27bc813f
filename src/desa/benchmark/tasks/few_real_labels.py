"""What few real labels say of the encoders: spectra with 1, 5, 20 % of the labels, kinds of light curve.

No real star here has both modalities, so nothing is said of the joint embedding.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from desa import load
from desa.benchmark.candidates.handmade import (
    HANDMADE,
    INDICES,
    MOCK,
    lightcurve_sets,
    one_a_star,
    spectrum_sets,
    usable,
)
from desa.config import Training
from desa.errors import ModelError
from desa.evaluation.crossvalidation import (
    REPEATS,
    boosted,
    boosted_classes,
    class_table,
    held_out,
    linear,
    logistic,
    number_table,
)
from desa.evaluation.few_shot import SHARES, repeated
from desa.evaluation.periods import acf_peak, lomb_scargle_peak
from desa.files import written_whole
from desa.inference.encode import star_features
from desa.inference.labels import periods_of
from desa.models.network import Network
from desa.provenance import provenance
from desa.real.data import LABELS, LabelledSpectra, read_spectra
from desa.real.experiments_report import DATA, OWN_HEAD, Row, write_report
from desa.real.lightcurves import KeplerStar, read_kepler
from desa.real.masked import MASKED
from desa.real.train import features_of
from desa.training.tracking import training_progress
from desa.types import Star

Array = NDArray[np.float64]
Say = Callable[[str], None]

LEAST_LABELS = 8
"""Labels with fewer stars are left out."""

FEW_DRAWS = 10


@dataclass(frozen=True, eq=False)
class Findings:
    """All scores, and arrays to draw: ``<label>/truth``, ``<label>/<features>``."""

    rows: list[Row]
    arrays: dict[str, Array]


def spectra_few_labels(
    sets: Mapping[str, Array], labels: Array, *, seed: int, draws: int = FEW_DRAWS
) -> Findings:
    """Teff, log g and [Fe/H] of real spectra from a share of the labels; scored on all other stars.

    Parameters
    ----------
    sets
        Name -> (N, D), a row a star.
    labels
        (N, 3).
    seed, draws
        Of the labelled stars, the same for every set, and how often they are drawn.
    """
    rows, arrays = list[Row](), dict[str, Array]()
    everything = np.ones(len(labels), dtype=bool)
    for place, label in enumerate(LABELS):
        truth = labels[:, place]
        arrays[f"{label}/truth"] = truth
        for name, features in sets.items():
            learners = {"ridge": linear} | ({"boosted trees": boosted} if name == INDICES else {})
            for learner, fit in learners.items():
                for share in SHARES:
                    count = max(LEAST_LABELS, round(share * len(truth)))
                    times = draws if learner == "ridge" else max(2, draws // 3)
                    found = repeated(
                        features, truth, everything, everything, count, seed=seed, draws=times, predict=fit
                    )
                    part = f"{100 * share:g} %"
                    rows += [Row(name, learner, s) for s in found.scores("few labels", label, part, seed)]
                    arrays[f"{label}/{name}, {learner}"] = found.predicted[0]
    return Findings(rows, arrays)


def own_heads(model: Network, spectra: LabelledSpectra | None, chosen: Sequence[KeplerStar]) -> Findings:
    """What the model's own heads say of real stars: no real label was ever seen.

    Parameters
    ----------
    model
        Trained on a mock survey.
    spectra
        Labelled spectra, or None.
    chosen
        Light curves.
    """
    rows, arrays = list[Row](), dict[str, Array]()
    found: list[tuple[str, str, Array, Array]] = []
    if spectra is not None and model.spectrum_head is not None:
        features = torch.from_numpy(features_of(model, spectra))
        objective = model.settings.objective_spectrum
        median = _median(model.spectrum_quantiles, features, objective.quantiles)
        for place, label in enumerate(objective.labels):
            if label in LABELS:
                truth = spectra.labels[:, LABELS.index(label)]
                found.append(("few labels", label, truth, median[:, place]))
    prot = np.array([star.period for star in chosen])
    there = np.isfinite(prot)
    if model.lightcurve_head is not None and there.sum() >= LEAST_LABELS:
        objective = model.settings.objective_lightcurve
        curves = [star.curve for star, known in zip(chosen, there, strict=True) if known]
        rows_of = star_features(model, [Star("", curve) for curve in curves]).get("lightcurve")
        if rows_of is not None:
            median = _median(model.lightcurve_quantiles, torch.from_numpy(rows_of), objective.quantiles)
            days = periods_of(median, objective.labels)
            if days is not None:
                found.append(("numbers of light curves", "prot", prot[there], days))
    for task, label, truth, predicted in found:
        part = "0 %" if task == "few labels" else ""
        table = number_table(task, label, truth, predicted[None], seed=0)
        rows += [Row(MOCK, OWN_HEAD, replace(score, part=part)) for score in table]
        arrays[f"{label}/{MOCK}, {OWN_HEAD}"] = predicted
    return Findings(rows, arrays)


@torch.inference_mode()
def _median(head: Callable[[Tensor], Tensor], features: Tensor, levels: Sequence[float]) -> Array:
    """(N, K) medians of a head."""
    middle = int(np.argmin(np.abs(np.asarray(levels) - 0.5)))
    return np.asarray(head(features)[..., middle].double().numpy())


def lightcurve_tasks(
    sets: Mapping[str, Array], chosen: Sequence[KeplerStar], *, seed: int, repeats: int = REPEATS
) -> Findings:
    """Eclipsing binaries against the rest, giants against dwarfs, Prot, and numax of giants.

    Repeated cross-validation by star, folds of classes stratified; periods also as ACF and Lomb-Scargle
    periodogram give them, without learning.
    """
    rows, arrays = list[Row](), dict[str, Array]()
    eclipsing = np.array([star.eclipsing for star in chosen])
    giant = np.array([star.giant for star in chosen])
    known = np.array([np.isfinite(star.known("logg_huber2014")) or star.giant for star in chosen])
    classes = {
        "eclipsing binary": (np.ones(len(chosen), dtype=bool), eclipsing),
        "giant": (known & ~eclipsing, giant),
    }
    for label, (members, kind) in classes.items():
        y = kind[members].astype(np.float64)
        if min(y.sum(), (1 - y).sum()) < LEAST_LABELS:
            continue
        arrays[f"{label}/truth"] = y
        for name, features in sets.items():
            learners = {"logistic": logistic} | (
                {"boosted trees": boosted_classes} if name == HANDMADE else {}
            )
            for learner, fit in learners.items():
                found = held_out(features[members], y, fit, classes=True, seed=seed, repeats=repeats)
                scores = class_table("kinds of light curve", label, y, found, seed=seed)
                rows += [Row(name, learner, score) for score in scores]
                arrays[f"{label}/{name}, {learner}"] = found[..., 1].mean(axis=0)
    numbers = {
        "prot": np.array([star.period for star in chosen]),
        "numax": np.array([star.known("numax_yu") for star in chosen]),
    }
    for label, values in numbers.items():
        there = np.isfinite(values) & (values > 0)
        if there.sum() < LEAST_LABELS:
            continue
        y = values[there]
        arrays[f"{label}/truth"] = y
        for name, features in sets.items():
            learners = {"ridge": linear} | ({"boosted trees": boosted} if name == HANDMADE else {})
            for learner, fit in learners.items():
                found = held_out(features[there], np.log10(y), fit, classes=False, seed=seed, repeats=repeats)
                found = np.clip(10**found, 0.1 * y.min(), 10 * y.max())
                task = "numbers of light curves"
                rows += [Row(name, learner, s) for s in number_table(task, label, y, found, seed=seed)]
                arrays[f"{label}/{name}, {learner}"] = np.median(found, axis=0)
    rows += _periods(chosen, numbers["prot"], arrays, seed)
    return Findings(rows, arrays)


def _periods(chosen: Sequence[KeplerStar], prot: Array, arrays: dict[str, Array], seed: int) -> list[Row]:
    """Prot as ACF and Lomb-Scargle periodogram give it."""
    there = np.isfinite(prot)
    if there.sum() < LEAST_LABELS:
        return []
    rows = []
    for name, find in {"ACF": acf_peak, "Lomb-Scargle": lomb_scargle_peak}.items():
        curves = [star.curve for star, known in zip(chosen, there, strict=True) if known]
        found = np.array([find(curve.flux, curve.cadence_days)[0] for curve in curves])
        found = np.where(np.isfinite(found), found, np.median(prot[there]))[None]
        scores = number_table("numbers of light curves", "prot", prot[there], found, seed=seed)
        rows += [Row(f"{name} peak", "no learning", score) for score in scores]
        arrays[f"prot/{name} peak, no learning"] = found[0]
    return rows


def run(
    data: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    repeats: int = REPEATS,
    draws: int = FEW_DRAWS,
    training: Training = MASKED,
    console: Console | None = None,
) -> dict[str, Any]:
    """Do all real experiments that a folder of real files and a model allow.

    Parameters
    ----------
    data
        The folder of real files.
    model
        A model trained on a mock survey, with a spectrum encoder, a light-curve encoder, or both; as
        `desa.load` takes it.
    out
        Gets ``results.csv`` (tidy), ``results.json``, ``arrays.npz``, figures,
        ``report.html`` and its tables as ``report.md``.
    seed, repeats, draws
        Of folds and draws, and how many.
    training
        Of the encoders that fill masks of real spectra.
    console
        For what goes on; None keeps quiet.

    Returns
    -------
    dict
        What ``results.json`` holds.

    Raises
    ------
    DesaError
        If the files or the model can't be used, or the model has learned from real spectra.
    """
    screen, out = console or Console(quiet=True), Path(out)
    loaded = load(str(model))
    if "real LAMOST" in str(loaded.metadata.get("data", "")):
        raise ModelError(
            f"{model or 'the model that comes with desa'} has learned from these real spectra: nothing would "
            "be left to test it on; give a model trained on a mock survey"
        )
    rows, arrays, counts = list[Row](), dict[str, Array](), dict[str, int]()
    if loaded.spectrum_encoder is not None:
        spectra = one_a_star(read_spectra(data))
        counts["spectra"] = len(spectra)
        screen.print(f"{len(spectra)} labelled spectra, one a star; filling masks without labels")
        with training_progress() if screen.is_terminal else nullcontext() as progress:
            sets = spectrum_sets(loaded, spectra, out / "encoders", training, seed, progress)
        found = spectra_few_labels(sets, spectra.labels, seed=seed, draws=draws)
        own = own_heads(loaded, spectra, [])
        rows, arrays = rows + own.rows + found.rows, arrays | found.arrays | own.arrays
    if loaded.lightcurve_encoder is not None:
        chosen = usable(read_kepler(data)[0])
        counts["light curves"] = len(chosen)
        screen.print(f"{len(chosen)} light curves, each of at most one quarter")
        curves = [star.curve for star in chosen]
        found = lightcurve_tasks(lightcurve_sets(loaded, curves), chosen, seed=seed, repeats=repeats)
        own = own_heads(loaded, None, chosen)
        rows, arrays = rows + found.rows + own.rows, arrays | found.arrays | own.arrays
    trained_on = str(loaded.metadata.get("data", "data of unknown kind"))
    facts = provenance(data=DATA, model_trained_on=trained_on, seed=seed, repeats=repeats, draws=draws)
    return _write(out, rows, arrays, {"counts": counts, "provenance": facts})


def _write(out: Path, rows: list[Row], arrays: dict[str, Array], facts: dict[str, Any]) -> dict[str, Any]:
    tidy = [row.tidy() for row in rows]
    content = {**facts, "scores": tidy}
    with written_whole(out / "results.json") as scratch:
        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with written_whole(out / "results.csv") as scratch, scratch.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(tidy[0]) if tidy else ["data"])
        writer.writeheader()
        writer.writerows(tidy)
    stored: dict[str, Any] = {name.replace("/", "|"): values for name, values in arrays.items()}
    with written_whole(out / "arrays.npz") as scratch, scratch.open("wb") as binary:
        np.savez_compressed(binary, **stored)
    write_report(out, rows, arrays, facts)
    return content
