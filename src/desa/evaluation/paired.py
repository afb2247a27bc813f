"""Is a model better than another? A paired bootstrap over test stars and over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.evaluation.metrics import auc, balanced_accuracy, mae, r2_about

Array = NDArray[np.float64]
Metric = Callable[[Array, Array], float]
DRAWS = 1000


@dataclass(frozen=True)
class Difference:
    """Of a metric between two models, positive where the first is better.

    Parameters
    ----------
    value, error
        Mean difference over seeds, and its bootstrap standard error.
    p
        Two-sided: twice the share of draws in which the difference changes sign (at least 2 / draws).
    n
        Test stars.
    """

    value: float
    error: float
    p: float
    n: int


def r2(truth: Array, predicted: Array) -> float:
    """Coefficient of determination about the mean of these stars."""
    return r2_about(float(truth.mean()))(truth, predicted)


def minus_mae(truth: Array, predicted: Array) -> float:
    """Mean absolute error, with a minus so that more is better."""
    return -mae(truth, predicted)


def recall(truth: Array, predicted: Array) -> float:
    """Share of ranks, in place of predictions, that are not beyond those in place of truths."""
    return float((predicted <= truth).mean())


METRICS: dict[str, Metric] = {
    "r2": r2,
    "mae": minus_mae,
    "auc": auc,
    "recall_10": recall,
    "balanced_accuracy": balanced_accuracy,
}


def compared(arrays: Mapping[str, NDArray[Any]], label: str, metric: str) -> tuple[Array, Array] | None:
    """Truth and prediction of each test star in a cell's arrays; None where the cell has none.

    Parameters
    ----------
    arrays
        Of a cell. Where it gave a test star no prediction (in few-shot regression, one that was fitted
        to), that is NaN; the metrics then leave it out.
    label, metric
        Of a task's `tested`.
    """
    if metric == "recall_10":
        ranks = arrays.get(f"{label}/rank")
        return None if ranks is None else (np.full(len(ranks), 10.0), ranks.astype(np.float64))
    if metric == "balanced_accuracy":
        called = arrays.get(f"{label}/called")
        test = arrays.get("test")
        if called is None or test is None:
            return None
        return arrays["truth"][test].astype(np.float64), called[test].astype(np.float64)
    if f"{label}/truth" not in arrays:
        return None
    return arrays[f"{label}/truth"].astype(np.float64), arrays[f"{label}/predicted"].astype(np.float64)


def paired_bootstrap(
    truth: Array,
    first: Sequence[Array],
    second: Sequence[Array],
    metric: Metric,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Difference:
    """Compare two models on the same stars.

    Each draw resamples the test stars (the same for both models: that is what pairs them) and, within each
    model, the seeds, with replacement, and takes the difference of the mean metric over the drawn seeds.

    Parameters
    ----------
    truth
        (n,) labels of the test stars.
    first, second
        A list of (n,) predictions, one a seed, of either model.
    metric
        More is better; of the stars that have truth and prediction.
    seed, draws
        Of the bootstrap.
    """
    rng = np.random.default_rng(seed)

    def of_known(true: Array, predicted: Array) -> float:
        known = np.isfinite(true) & np.isfinite(predicted)
        return metric(true[known], predicted[known]) if known.any() else float("nan")

    means_of = [np.mean([of_known(truth, p) for p in predictions]) for predictions in (first, second)]
    observed = float(means_of[0] - means_of[1])
    found = np.empty(draws)
    for draw in range(draws):
        stars = rng.integers(0, len(truth), len(truth))
        means = []
        for predictions in (first, second):
            seeds = rng.integers(0, len(predictions), len(predictions))
            cache = {k: of_known(truth[stars], predictions[k][stars]) for k in set(seeds.tolist())}
            means.append(np.mean([cache[k] for k in seeds.tolist()]))
        found[draw] = means[0] - means[1]
    found = found[np.isfinite(found)]
    if len(found) < 2:
        return Difference(observed, float("nan"), float("nan"), len(truth))
    below, above = float((found <= 0).mean()), float((found >= 0).mean())
    p = min(1.0, max(2 * min(below, above), 2 / draws))
    return Difference(observed, float(found.std(ddof=1)), p, len(truth))
