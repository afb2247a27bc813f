"""What an encoder's own head says of its labels: errors and coverage, by S/N and Teff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.conformal import calibrate, intervals
from desa.evaluation.metrics import bins, coverage_scores, regression_scores
from desa.evaluation.score import Score

Array = NDArray[np.float64]

TASK = "parameters"
SNR_EDGES = (0.0, 20.0, 40.0, 80.0, 160.0, np.inf)
TEFF_EDGES = (0.0, 4500.0, 5250.0, 6000.0, 7000.0, np.inf)


def parameters(
    quantiles: NDArray[Any],
    levels: Sequence[float],
    labels: NDArray[Any],
    names: Sequence[str],
    split: NDArray[np.str_],
    snr: NDArray[Any],
    teff: NDArray[Any],
    *,
    seed: int = 0,
    task: str = TASK,
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """Score predicted quantiles on test stars; their intervals are calibrated on the calibration split.

    Parameters
    ----------
    quantiles
        (N, K, Q) of the spectra.
    levels
        The Q levels, with 0.5.
    labels
        (N, K), NaN where missing.
    names
        The K labels.
    split
        (N,).
    snr, teff
        (N,) S/N in g and Teff [K], to bin the scores.
    seed
        Of the bootstrap.
    task
        Of the scores.

    Returns
    -------
    tuple
        Scores by label: MAE, RMSE, R2, share within 10 %, coverage, half-width, for all and by bin of S/N and
        Teff (their parts). Arrays ``<label>/truth``, ``<label>/predicted``, and ``snr`` of the test stars.
    """
    q, y, split = np.asarray(quantiles, np.float64), np.asarray(labels, np.float64), np.asarray(split)
    test, train, kept = split == "test", np.isin(split, ("train", "valid")), split == "calibration"
    middle = list(levels).index(0.5)
    ends = intervals(q[test], calibrate(q[kept], y[kept], levels)) if kept.any() else {}
    parts = {"": np.ones(int(test.sum()), dtype=bool)}
    parts |= bins(np.asarray(snr)[test], SNR_EDGES, "S/N") | bins(np.asarray(teff)[test], TEFF_EDGES, "Teff")
    scores, arrays = list[Score](), dict[str, NDArray[Any]]()
    for place, name in enumerate(names):
        truth, median = y[test, place], q[test, place, middle]
        arrays |= {f"{name}/truth": truth, f"{name}/predicted": median}
        for part, rows in parts.items():
            scores += regression_scores(
                task, name, truth[rows], median[rows], y[train, place], seed=seed, part=part
            )
            of = {c: (low[rows, place], high[rows, place]) for c, (low, high) in ends.items()}
            scores += coverage_scores(task, name, truth[rows], of, part=part)
    return scores, {**arrays, "snr": np.asarray(snr, dtype=np.float64)[test]}
