"""Does a pair of modalities reward alignment, prediction, both or neither?

The question of the phase diagram of Kamai et al. 2026 (arXiv 2606.11190), asked of held-out labels and not of
their spiked model: alignment stands for canonical correlations, prediction for reduced-rank regression of
either modality on the other. A way pays where its probe beats the better single modality by more than its
standard error. Their regime turned with 12 stars more or less, so each verdict comes with its stability over
subsamples, and with the concatenation, which every claim of gain has to beat.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.evaluation.probe import linear_probe

Array = NDArray[np.float64]

DRAWS = 10
SHARE = 0.8
COMPONENTS = 16
RIDGE = 1e-3


@dataclass(frozen=True)
class Phase:
    """Verdict for a label.

    Parameters
    ----------
    label
        Its name.
    verdict
        ``"both"``, ``"alignment"``, ``"prediction"`` or ``"neither"`` pays, on all stars.
    stability
        Share of the subsamples with the same verdict.
    r2, r2_error
        R2 on test stars of ``spectrum``, ``lightcurve``, ``alignment``, ``prediction``, ``concatenation``.
    n_train, n_test
        Stars with the label.
    """

    label: str
    verdict: str
    stability: float
    r2: dict[str, float]
    r2_error: dict[str, float]
    n_train: int
    n_test: int


def _whitened(rows: Array, train: NDArray[np.bool_]) -> Array:
    centred = rows - rows[train].mean(axis=0)
    values, vectors = np.linalg.eigh(centred[train].T @ centred[train] / train.sum())
    scale = np.sqrt(np.maximum(values, 0.0) + RIDGE * max(float(values.mean()), 1e-12))
    return np.asarray(centred @ vectors / scale)


def aligned(first: Array, second: Array, train: NDArray[np.bool_], components: int) -> Array:
    """(N, 2 k) canonical variates of both, found on training rows (Hotelling 1936)."""
    a, b = _whitened(first, train), _whitened(second, train)
    left, _, right = np.linalg.svd(a[train].T @ b[train] / train.sum(), full_matrices=False)
    return np.concatenate([a @ left[:, :components], b @ right[:components].T], axis=1)


def predicted(first: Array, second: Array, train: NDArray[np.bool_], components: int) -> Array:
    """(N, 2 k) what either modality predicts of the other, at rank k (Izenman 1975)."""
    found = []
    for source, target in ((first, second), (second, first)):
        x = _whitened(source, train)
        y = target - target[train].mean(axis=0)
        slope = x[train].T @ y[train] / train.sum()
        directions = np.linalg.svd(x[train] @ slope, full_matrices=False)[2]
        found.append(x @ slope @ directions[:components].T)
    return np.concatenate(found, axis=1)


def phase_of(
    spectrum: NDArray[Any],
    lightcurve: NDArray[Any],
    values: Array,
    split: NDArray[np.str_],
    label: str,
    *,
    components: int = COMPONENTS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Phase:
    """The verdict for one label.

    Parameters
    ----------
    spectrum, lightcurve
        (N, F1), (N, F2) finite features of the same stars.
    values
        (N,) the label, NaN where unknown.
    split
        (N,) ``train``, ``valid``, ``calibration``, ``test``.
    label
        Its name.
    components
        Rank of alignment and prediction.
    draws
        Subsamples of 80 % of the stars.
    seed
        Of these and of the probes' bootstrap.

    Raises
    ------
    ValueError
        If too few stars have the label.
    """
    first, second = (_scaled(rows, split == "train") for rows in (spectrum, lightcurve))
    whole, scores, errors, counts = _verdict(first, second, values, split, components, seed)
    rng = np.random.default_rng(seed)
    same = Counter[str]()
    for draw in range(draws):
        rows = np.sort(rng.permutation(len(values))[: int(SHARE * len(values))])
        parts = (first[rows], second[rows], values[rows], split[rows])
        same[_verdict(*parts, components, seed + draw)[0]] += 1
    return Phase(label, whole, same[whole] / max(1, draws), scores, errors, *counts)


def _scaled(rows: NDArray[Any], train: NDArray[np.bool_]) -> Array:
    x = np.asarray(rows, dtype=np.float64)
    spread = x[train].std(axis=0)
    return np.asarray((x - x[train].mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0))


def _verdict(
    first: Array, second: Array, values: Array, split: NDArray[np.str_], components: int, seed: int
) -> tuple[str, dict[str, float], dict[str, float], tuple[int, int]]:
    train = split == "train"
    sets = {
        "spectrum": first,
        "lightcurve": second,
        "alignment": aligned(first, second, train, components),
        "prediction": predicted(first, second, train, components),
        "concatenation": np.concatenate([first, second], axis=1),
    }
    probes = {name: linear_probe(rows, values, split, seed=seed) for name, rows in sets.items()}
    scores = {name: probe.r2 for name, probe in probes.items()}
    errors = {name: probe.r2_error for name, probe in probes.items()}
    best = max(scores["spectrum"], scores["lightcurve"])
    pays = [name for name in ("alignment", "prediction") if scores[name] - errors[name] > best]
    counts = (probes["spectrum"].n_train, probes["spectrum"].n_test)
    return ("both" if len(pays) == 2 else pays[0] if pays else "neither"), scores, errors, counts
