"""The experiment on labelled spectra, from the files to the table: pre-train, cross-validate, save."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from desa.benchmark.tasks.labelled_spectra import OutOfFold, out_of_fold, train_members
from desa.conformal import calibrate
from desa.files import written_whole
from desa.models.network import Network
from desa.real.data import LabelledSpectra, read_spectra
from desa.real.evaluate import coverage_table, score_table
from desa.real.scores import Coverage, Score, as_json, cross_coverage, score
from desa.real.train import EPOCHS, PRETRAINING, QUANTILES, pretrain, real_settings
from desa.training.tracking import training_progress

Say = Callable[[str], None]

ENCODER = "encoder"


def save_final(folders: list[Path], calibration: dict[str, Any], out: Path) -> None:
    """Write the models trained on all the data, with their joint calibration, into one folder."""
    if out.exists():
        shutil.rmtree(out)
    for place, folder in enumerate(folders):
        model = Network.load(folder)
        model.calibration = {"spectrum": calibration}
        model.metadata |= {"members": len(folders), "calibration": "out-of-fold predictions"}
        model.save(out if len(folders) == 1 else out / f"member-{place}")


def findings(
    spectra: LabelledSpectra, predictions: OutOfFold
) -> tuple[dict[str, list[Score]], list[Coverage]]:
    """Scores of each method, and the coverage of the encoder's intervals."""
    methods = {ENCODER: predictions.median, **predictions.baselines}
    scores = {name: score(values, spectra.labels, spectra.snr_g) for name, values in methods.items()}
    covered = cross_coverage(predictions.quantiles, spectra.labels, predictions.fold, QUANTILES)
    return scores, covered


def run(
    directory: Path,
    out: Path,
    *,
    seed: int = 0,
    members: int = 1,
    processes: int = 2,
    pretraining_steps: int = PRETRAINING.steps,
    epochs: int = EPOCHS,
    console: Console,
) -> dict[str, Any]:
    """Do the whole experiment and print its tables.

    Parameters
    ----------
    directory
        The real data.
    out
        Filled with ``pretrained/``, ``fine-tuned/``, ``model/``, ``out_of_fold.parquet`` and
        ``spectra.json``.
    seed
        Of the folds, the mock spectra and the training.
    members
        Models per fold whose predictions are averaged.
    processes
        Models trained side by side.

    Returns
    -------
    dict
        What ``spectra.json`` holds.
    """
    say: Say = console.print
    spectra = read_spectra(directory)
    say(f"{len(spectra)} labelled spectra with Teff < 8000 K; pre-training on mock spectra")
    training = PRETRAINING.model_copy(update={"steps": pretraining_steps})
    with training_progress() if console.is_terminal else nullcontext() as progress:
        pretrain(
            spectra, out / "pretrained", chosen=real_settings(seed), training=training, progress=progress
        )
    models = train_members(
        out / "pretrained" / "model",
        directory,
        out / "fine-tuned",
        members=members,
        split_seed=seed,
        processes=processes,
        epochs=epochs,
        say=say,
    )
    predictions = out_of_fold(models, spectra, seed, say)
    predictions.write(spectra, out / "out_of_fold.parquet")
    calibration = calibrate(predictions.quantiles, spectra.labels, QUANTILES)
    save_final(models[None], calibration, out / "model")
    scores, covered = findings(spectra, predictions)
    console.print(score_table("Mean absolute error, out of fold (5 folds by star)", scores))
    console.print(coverage_table("Calibrated intervals, out of fold", covered))
    facts = {
        "spectra": len(spectra),
        "seed": seed,
        "members": members,
        "pretraining_steps": pretraining_steps,
        "epochs": epochs,
        "scores": {name: as_json(rows) for name, rows in scores.items()},
        "coverage": as_json(covered),
    }
    with written_whole(out / "spectra.json") as scratch:
        scratch.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return facts
