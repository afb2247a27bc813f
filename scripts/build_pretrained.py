"""Make `src/desa/pretrained/`: the small model that comes with the package.

    python scripts/build_pretrained.py ../shared/data -o work

A mock survey is simulated; a share of its light curves is cut to a quarter or less, as many real ones are.
The light-curve encoder is trained on it. The spectrum encoder is trained on mock spectra and fine-tuned on
mock and real LAMOST spectra together; it is calibrated on real ones that the model of their fold never saw.
Both are aligned on the mock survey. Only weights and derived numbers are stored. Interrupted, the same
command goes on; about 40 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from desa.catalogs.label_names import LABELS
from desa.config import Settings, settings
from desa.conformal import calibrate, empirical_coverage, intervals
from desa.evaluation.crossvalidation import folds
from desa.evaluation.retrieval import retrieval
from desa.inference.encode import lightcurve_features, spectrum_features, split_quantiles, star_features
from desa.io.lamost import LAMOST_PIXELS
from desa.models.network import Network
from desa.models.reference import Reference, fit_reference
from desa.progress import progress_bar
from desa.real.data import LABELS as SPECTRUM_LABELS
from desa.real.data import LabelledSpectra, read_spectra, stars
from desa.real.lightcurves import PERIODS, read_kepler
from desa.real.scores import as_json, cross_coverage, score
from desa.real.train import QUANTILES, features_of, fine_tune, predict, pretrain, real_settings
from desa.simulate.survey import simulate_survey
from desa.survey.selection import best_pairs
from desa.survey.store import Survey, SurveyWriter
from desa.training.stages import align, pretrain_lightcurve
from desa.training.tracking import training_progress
from desa.types import PARTS, LightCurve, Star

TARGET = Path(__file__).parents[1] / "src" / "desa" / "pretrained"
TRAINED_ON = (
    "a mock Kepler + LAMOST survey of {stars} stars; the spectrum encoder also on {real} real LAMOST DR10 "
    "spectra of A, F, G and K stars with that survey's labels (Teff < 8000 K), beside {mock} mock ones"
)
SEED = 20263
STARS = 4000
QUARTERS = range(4, 8)
CUT_SHARE, CUT_CADENCES = 0.4, (1200, 4500)
"""Light curves that are cut to a piece of 25 to 92 days."""

MOCK_SPECTRA = 1600
"""Mock spectra beside the 1611 real ones in fine-tuning: the kinds of star that those lack."""

FOLDS, EPOCHS = 4, 16

LEVELS = (0.05, 0.16, 0.5, 0.84, 0.95)
"""The median, and the ends of the 68 % and 90 % intervals."""


def cut(curve: LightCurve, rng: np.random.Generator) -> LightCurve:
    """A random piece of a light curve."""
    length = int(rng.integers(*CUT_CADENCES))
    start = int(rng.integers(0, max(1, len(curve) - length)))
    good = start + np.flatnonzero(curve.valid[start : start + length])
    if len(good) < 500:
        return curve
    piece = slice(good[0], good[-1] + 1)
    return replace(
        curve,
        flux=curve.flux[piece],
        flux_err=curve.flux_err[piece],
        first_cadence=curve.first_cadence + int(good[0]),
        start_bkjd=curve.start_bkjd + int(good[0]) * curve.cadence_days,
    )


def mock_survey(out: Path, stars: int, processes: int) -> Survey:
    """The mock survey, some of its light curves cut."""
    if (out / "survey" / "survey.json").exists():
        return Survey.open(out / "survey")
    with progress_bar("simulating") as progress:
        simulate_survey(stars, SEED, out / "whole", quarters=QUARTERS, processes=processes, progress=progress)
    whole = Survey.open(out / "whole")
    writer = SurveyWriter(out / "survey", "mock")
    for row in range(whole.n_lightcurves):
        rng = np.random.default_rng([SEED, row])
        curve = whole.lightcurve(row)
        writer.add_lightcurve(cut(curve, rng) if rng.random() < CUT_SHARE else curve)
    for row in range(whole.n_spectra):
        writer.add_spectrum(whole.spectrum(row))
    names = [n for n in whole.stars.column_names if n.removesuffix("_err") in LABELS]
    return writer.finish(whole.stars.select(["star_id", *names]), {})


def chosen_settings() -> Settings:
    """The `mini` preset with longer training; rotation periods by their logarithm."""
    return settings(
        "mini",
        seed=SEED,
        objective_lightcurve={"labels": ["log_prot"], "scales": [0.5], "quantiles": LEVELS},
        train_lightcurve={"steps": 2400, "warmup": 100, "validate_every": 200},
        train_align={"steps": 1200, "validate_every": 200},
    )


def mock_spectra(survey: Survey, split: str, most: int) -> LabelledSpectra:
    """Spectra of a split with labels, in the form of the real ones."""
    labels = np.stack([survey.labels(name) for name in SPECTRUM_LABELS], axis=1)[survey.spectrum_star]
    known = np.isfinite(labels).all(axis=1) & (survey.split[survey.spectrum_star] == split)
    rows = np.sort(np.random.default_rng(SEED).permutation(np.flatnonzero(known))[:most])
    flux, ivar = np.zeros((2, len(rows), LAMOST_PIXELS), np.float32)
    for place, row in enumerate(rows.tolist()):
        values, weights = survey.spectrum_arrays(row)
        level = float(np.median(values[weights > 0]))
        flux[place, : len(values)] = values / level
        ivar[place, : len(values)] = weights * level**2
    columns = {name: survey.spectrum_column(name)[rows] for name in ("z", "snr_g", "ra", "dec")}
    none = np.zeros(len(rows), np.int64)
    return LabelledSpectra(obsid=none, flux=flux, ivar=ivar, labels=labels[rows], gaia=none, **columns)


def together(one: LabelledSpectra, other: LabelledSpectra) -> LabelledSpectra:
    """Two sets of spectra as one."""
    names = [field.name for field in fields(one)]
    return LabelledSpectra(**{n: np.concatenate([getattr(one, n), getattr(other, n)]) for n in names})


def spectrum_model(real: LabelledSpectra, survey: Survey, out: Path) -> tuple[Network, dict[str, Any]]:
    """The spectrum encoder and its head, calibrated on real spectra; and what it was measured to do."""
    first, mock = out / "spectrum", mock_spectra(survey, "train", MOCK_SPECTRA)
    if not (first / "model").exists():
        with training_progress() as bar:
            pretrain(real, first, chosen=real_settings(SEED), progress=bar)
    start = Network.load(first / "model")
    fold = folds(stars(real.ra, real.dec, real.gaia), FOLDS, SEED)
    quantiles = np.full((len(real), len(SPECTRUM_LABELS), len(QUANTILES)), np.nan)
    for kept in range(FOLDS):
        found = tuned(start, together(real.select(fold != kept), mock), out / f"fold-{kept}", SEED + kept)
        quantiles[fold == kept] = predict([found], real.select(fold == kept))
    model = tuned(start, together(real, mock), out / "fine-tuned", SEED + FOLDS)
    model.calibration["spectrum"] = calibrate(quantiles, real.labels, QUANTILES)
    test = mock_spectra(survey, "test", len(survey.spectrum_star))
    measured = {
        "real": as_json(score(quantiles[..., QUANTILES.index(0.5)], real.labels, real.snr_g)),
        "real_coverage": as_json(cross_coverage(quantiles, real.labels, fold, QUANTILES)),
        "mock": as_json(score(predict([model], test)[..., QUANTILES.index(0.5)], test.labels, test.snr_g)),
    }
    return model, measured


def tuned(start: Network, spectra: LabelledSpectra, out: Path, seed: int) -> Network:
    """A fine-tuned copy, or the one that an earlier run made."""
    if not (out / "model").exists():
        with training_progress() as bar:
            fine_tune(start, spectra, out, seed=seed, epochs=EPOCHS, progress=bar)
    return Network.load(out / "model")


def spectrum_reference(model: Network, real: LabelledSpectra, survey: Survey) -> Reference:
    """Training spectra, mock and real, and how far others lie from them.

    Those others are the calibration split of the mock survey and a fold of the real spectra; the final model
    has learned from the latter too, so that their distances are a little small.
    """
    fold = folds(stars(real.ra, real.dec, real.gaia), FOLDS, SEED)
    points = together(real.select(fold != 0), mock_spectra(survey, "train", MOCK_SPECTRA))
    others = together(real.select(fold == 0), mock_spectra(survey, "calibration", MOCK_SPECTRA))
    words = "real LAMOST DR10 spectra and mock ones"
    found = fit_reference(features_of(model, points), features_of(model, others), seed=SEED, data=words)
    assert found is not None
    return found


def calibrate_periods(model: Network, data: Path) -> dict[str, Any]:
    """Calibrate the rotation periods on real light curves, and measure them."""
    found = [star for star in read_kepler(data)[0] if not star.eclipsing]
    period = np.array([[next(filter(np.isfinite, map(star.known, PERIODS)), np.nan)] for star in found])
    known = np.isfinite(period[:, 0])
    curves = [star.curve for star, there in zip(found, known, strict=True) if there]
    truth = np.log10(period[known])
    features = torch.from_numpy(star_features(model, [Star("", curve) for curve in curves])["lightcurve"])
    assert features is not None
    with torch.inference_mode():
        quantiles = model.lightcurve_quantiles(features).numpy()
    before = model.calibration["lightcurve"]
    model.calibration["lightcurve"] = calibrate(quantiles, truth, LEVELS) | {
        "stars": f"{len(truth)} real Kepler stars with published rotation periods"
    }
    error = np.abs(quantiles[:, 0, LEVELS.index(0.5)] - truth[:, 0])
    return {
        "stars": len(truth),
        "mean_absolute_error_dex": float(error.mean()),
        "its_standard_error": float(error.std(ddof=1) / np.sqrt(len(error))),
        "median_absolute_error_dex": float(np.median(error)),
        "median_guess_error_dex": float(np.abs(truth - np.median(truth)).mean()),
        "coverage_if_calibrated_on_mock": {
            str(coverage): empirical_coverage(low, high, truth)[0]
            for coverage, (low, high) in intervals(quantiles, before).items()
        },
    }


def mock_periods(model: Network, survey: Survey) -> dict[str, Any]:
    """Errors of the rotation periods on the mock survey's test split."""
    quantiles, truth = split_quantiles(model, survey, "lightcurve", "test")
    error = np.abs(quantiles[:, 0, LEVELS.index(0.5)] - truth[:, 0])[np.isfinite(truth[:, 0])]
    return {
        "stars": len(error),
        "mean_absolute_error_dex": float(error.mean()),
        "its_standard_error": float(error.std(ddof=1) / np.sqrt(len(error))),
    }


def mock_matches(model: Network, survey: Survey) -> dict[str, Any]:
    """How often a mock test star's light curve finds its spectrum among the first ten, by each alone."""
    pairs = best_pairs(survey)
    test = pairs.where(survey.split[pairs.star] == "test")
    features = {
        "spectrum": spectrum_features(model, survey)[test.spectrum],
        "lightcurve": lightcurve_features(model, survey)[test.lightcurve],
    }
    vectors = [
        model.require("dualformer").alone(torch.from_numpy(rows), PARTS.index(kind)).detach().numpy()
        for kind, rows in features.items()
    ]
    stacked = [np.stack(rows) for rows in vectors if rows is not None]
    scores, _ = retrieval(stacked[0], stacked[1], np.full(len(test), "test"), seed=SEED)
    found = next(s for s in scores if (s.label, s.metric) == ("spectrum of light curve", "recall_10"))
    measured = {"recall_10": found.value, "its_standard_error": found.error, "chance": found.chance}
    return {"stars": found.n, **measured}


def finish(model: Network, measured: dict[str, Any], spectra: LabelledSpectra, target: Path) -> None:
    """Store the model in half precision, with what it was trained on and what that changes."""
    model.metadata = {
        **{key: model.metadata[key] for key in ("survey", "seed", "versions")},
        "name": "desa-mini",
        "data": "mock survey and real LAMOST spectra",
        "trained_on": TRAINED_ON.format(stars=STARS, real=len(spectra), mock=MOCK_SPECTRA),
        "measured": measured,
        "made_by": "scripts/build_pretrained.py",
    }
    model.save(target, half=True)
    stored, some = Network.load(target), spectra.select(np.arange(0, len(spectra), 8))
    change = np.abs(predict([stored], some) - predict([model], some)).max(axis=(0, 2))
    model.metadata["half_precision_changes_at_most"] = dict(
        zip(SPECTRUM_LABELS, change.tolist(), strict=True)
    )
    model.save(target, half=True)


def main() -> None:
    """Everything, stage by stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of real files with lamost/ and kepler/")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to work in")
    parser.add_argument("--stars", type=int, default=STARS, help="mock stars")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--target", type=Path, default=TARGET, help="folder of the model")
    given = parser.parse_args()
    survey = mock_survey(given.output, given.stars, given.processes)
    pretrain_lightcurve(survey, chosen_settings(), given.output / "lightcurve", progress=True)
    spectra = read_spectra(given.data)
    model, measured = spectrum_model(spectra, survey, given.output)
    model.calibration["spectrum"]["stars"] = f"{len(spectra)} real LAMOST DR10 spectra (out of fold)"
    model.references["spectrum"] = spectrum_reference(model, spectra, survey)
    encoders = given.output / "spectrum-final", given.output / "lightcurve" / "model"
    model.save(encoders[0])
    model = align(survey, *encoders, chosen_settings(), given.output / "joint", progress=True)
    measured["prot_real"] = calibrate_periods(model, given.data)
    measured["prot_mock"] = mock_periods(model, survey)
    measured["match_mock"] = mock_matches(model, survey)
    finish(model, measured, spectra, given.target)
    print(json.dumps(model.metadata, indent=1))


if __name__ == "__main__":
    main()
