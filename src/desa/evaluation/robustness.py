"""How a linear probe of an embedding fares where the data get worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from desa.evaluation.metrics import LEAST, bins, regression_scores
from desa.evaluation.parameters import SNR_EDGES
from desa.evaluation.probe import ALPHAS
from desa.evaluation.score import Score

TASK = "robustness"


def robustness(
    features: NDArray[Any],
    conditions: Mapping[str, NDArray[Any]],
    labels: Mapping[str, NDArray[Any]],
    split: NDArray[np.str_],
    *,
    snr: NDArray[Any] | None = None,
    edges: Sequence[float] = SNR_EDGES,
    seed: int = 0,
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """Fit a ridge regression to the features as they are; score it on test stars under each condition.

    Parameters
    ----------
    features
        (N, D) of whole data.
    conditions
        Name -> (N, D) of the same stars with less data: a modality missing, a shorter light curve, more
        noise. Rows of stars that a condition does not have are NaN.
    labels
        Name -> (N,), NaN where missing.
    split
        (N,); train and valid stars are fitted to.
    snr
        (N,) S/N in g; scores by its bins too, of the features as they are.
    edges
        Of those bins.
    seed
        Of the bootstrap.

    Returns
    -------
    tuple
        MAE and R2 by label, for ``"whole"``, each condition, and each bin (their parts; in a bin, R2 is about
        all training stars' mean); arrays ``<label>/<part>/truth`` and ``/predicted``.

    Raises
    ------
    ValueError
        If a condition's features have another width.
    """
    split = np.asarray(split)
    train, test = np.isin(split, ("train", "valid")), split == "test"
    x = np.asarray(features, dtype=np.float64)
    centre, spread = x[train].mean(axis=0), x[train].std(axis=0)
    spread = np.where(spread > 1e-9 * (np.abs(centre) + 1e-9), spread, np.inf)
    members = {} if snr is None else bins(np.asarray(snr, dtype=np.float64), edges, "S/N")
    scores, arrays = list[Score](), dict[str, NDArray[Any]]()
    for condition, given in conditions.items():
        if given.shape[1] != x.shape[1]:
            raise ValueError(f"{condition}: {given.shape[1]} features, not {x.shape[1]}")
    for name, values in labels.items():
        label = np.asarray(values, dtype=np.float64)
        fitted, tested = train & np.isfinite(label), test & np.isfinite(label)
        if fitted.sum() < LEAST or tested.sum() < LEAST:
            continue
        mean, scale = float(label[fitted].mean()), float(label[fitted].std()) or 1.0
        probe = RidgeCV(alphas=ALPHAS).fit((x[fitted] - centre) / spread, (label[fitted] - mean) / scale)
        parts = {"whole": (x, tested)}
        parts |= {part: (np.asarray(given, np.float64), tested) for part, given in conditions.items()}
        parts |= {part: (x, tested & rows) for part, rows in members.items()}
        for part, (given, rows) in parts.items():
            known = rows & np.isfinite(given).all(axis=1)
            if known.sum() < LEAST:
                continue
            found = mean + scale * probe.predict((given[known] - centre) / spread)
            of = regression_scores(TASK, name, label[known], found, label[fitted], seed=seed, part=part)
            scores += [score for score in of if score.metric in ("mae", "r2")]
            arrays |= {f"{name}/{part}/truth": label[known], f"{name}/{part}/predicted": found}
    return scores, arrays
