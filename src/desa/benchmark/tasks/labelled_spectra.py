"""Cross-validation by star: the encoder and the baselines on the same folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from desa.evaluation.crossvalidation import folds
from desa.files import written_whole
from desa.models.network import Network
from desa.real.baselines import baselines
from desa.real.data import LABELS, LabelledSpectra, read_spectra, stars
from desa.real.task import observed_pixels
from desa.real.train import EPOCHS, QUANTILES, fine_tune, predict

Array = NDArray[np.float64]
Say = Callable[[str], None]

TrainOne = tuple[Path, Path, Path, int | None, int, int, int]
"""Arguments of `train_one`."""

FOLDS = 5


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions for every spectrum by models that never saw its star.

    Parameters
    ----------
    fold
        (N,) the fold it was kept back in.
    quantiles
        (N, 3, Q) of the encoder.
    baselines
        Name -> (N, 3).
    """

    fold: NDArray[np.int64]
    quantiles: Array
    baselines: dict[str, Array]

    @property
    def median(self) -> Array:
        """(N, 3)."""
        return np.asarray(self.quantiles[..., QUANTILES.index(0.5)])

    def write(self, spectra: LabelledSpectra, path: Path) -> None:
        """One row a spectrum, as Parquet."""
        columns: dict[str, object] = {"obsid": spectra.obsid, "snr_g": spectra.snr_g, "fold": self.fold}
        for place, label in enumerate(LABELS):
            columns[label] = spectra.labels[:, place]
            for level, values in zip(QUANTILES, self.quantiles[:, place].T, strict=True):
                columns[f"{label}_q{level:g}"] = values
            for name, table in self.baselines.items():
                columns[f"{label} {name}"] = table[:, place]
        with written_whole(path) as scratch:
            pq.write_table(pa.table(columns), scratch)


def fold_numbers(spectra: LabelledSpectra, seed: int) -> NDArray[np.int64]:
    """(N,) fold of each spectrum, by star."""
    return folds(stars(spectra.ra, spectra.dec, spectra.gaia), FOLDS, seed)


def train_one(
    pretrained: Path,
    directory: Path,
    out: Path,
    kept_back: int | None,
    split_seed: int,
    seed: int,
    epochs: int,
) -> Path:
    """Fine-tune on all folds but one (or on all, with None); return the model's folder."""
    spectra = read_spectra(directory)
    rows = np.ones(len(spectra), dtype=bool)
    if kept_back is not None:
        rows = fold_numbers(spectra, split_seed) != kept_back
    fine_tune(Network.load(pretrained), spectra.select(rows), out, seed=seed, epochs=epochs)
    return out / "model"


def _trained(arguments: list[TrainOne], processes: int) -> Iterator[tuple[int | None, Path]]:
    """Fold kept back and model's folder of each job as it gets done; one process is this one."""
    if processes == 1:
        for given in arguments:
            yield given[3], train_one(*given)
        return
    context, one_thread = get_context("spawn"), torch.set_num_threads
    with ProcessPoolExecutor(processes, context, one_thread, (1,)) as pool:
        waiting = {pool.submit(train_one, *given): given[3] for given in arguments}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def train_members(
    pretrained: Path,
    directory: Path,
    out: Path,
    *,
    members: int,
    split_seed: int,
    processes: int,
    epochs: int = EPOCHS,
    say: Say,
) -> dict[int | None, list[Path]]:
    """Train `members` models for each fold and for all the data (key None), side by side.

    Returns
    -------
    dict
        Fold kept back -> folders of its models.
    """
    jobs = [(kept, member) for kept in (*range(FOLDS), None) for member in range(members)]
    found: dict[int | None, list[Path]] = {kept: [] for kept, _ in jobs}
    arguments = [
        (
            pretrained,
            directory,
            out / ("all" if kept is None else f"fold-{kept}") / f"member-{member}",
            kept,
            split_seed,
            1000 * member + (FOLDS if kept is None else kept),
            epochs,
        )
        for kept, member in jobs
    ]
    for done, (kept, path) in enumerate(_trained(arguments, processes), 1):
        found[kept].append(path)
        say(f"fine-tuned {done} of {len(jobs)} models")
    return {kept: sorted(paths) for kept, paths in found.items()}


def out_of_fold(
    models: dict[int | None, list[Path]], spectra: LabelledSpectra, split_seed: int, say: Say
) -> OutOfFold:
    """Predict each fold with the models that never saw it, and with baselines fitted to the others."""
    fold = fold_numbers(spectra, split_seed)
    quantiles = np.full((len(spectra), len(LABELS), len(QUANTILES)), np.nan)
    others: dict[str, Array] = {}
    for kept in range(FOLDS):
        test = fold == kept
        members = [Network.load(path) for path in models[kept]]
        quantiles[test] = predict(members, spectra.select(test))
        pixels = observed_pixels(members[0], spectra).pixels.numpy()
        for name, values in baselines(pixels, spectra.labels, ~test, test).items():
            others.setdefault(name, np.full_like(spectra.labels, np.nan))[test] = values
        say(f"baselines of fold {kept + 1} of {FOLDS}")
    return OutOfFold(fold, quantiles, others)
