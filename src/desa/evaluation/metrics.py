"""What predictions are worth: errors, shares, areas under curves, with standard errors and chance levels.

Standard errors are by bootstrap over the test stars. Chance is what somebody gets who knows the training
labels and nothing of the star.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from desa.conformal import empirical_coverage
from desa.evaluation.score import Score

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Metric = Callable[[NDArray[Any], NDArray[Any]], float]

DRAWS = 200
LEAST = 5
"""Fewer test stars than this (in a class, or in all) give no score."""


def bootstrap(metric: Metric, *arrays: NDArray[Any], seed: int, draws: int = DRAWS) -> float:
    """Standard deviation of a metric under resampling of the stars; NaN where it can't be had.

    Parameters
    ----------
    metric
        Of the arrays; draws in which it is NaN are left out.
    arrays
        (N, ...) each, the same stars.
    """
    rng, count = np.random.default_rng(seed), len(arrays[0])
    values = np.empty(draws)
    for draw in range(draws):
        rows = rng.integers(0, count, count)
        values[draw] = metric(*(array[rows] for array in arrays))
    kept = values[np.isfinite(values)]
    return float(kept.std(ddof=1)) if len(kept) > 1 else math.nan


def auc(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """Area under the ROC curve (Mann-Whitney), ties counting half; NaN where a class is empty."""
    member = np.asarray(truth, dtype=bool)
    inside, outside = int(member.sum()), int((~member).sum())
    if not inside or not outside:
        return math.nan
    ranks = rankdata(score)
    return float((ranks[member].sum() - inside * (inside + 1) / 2) / (inside * outside))


def auc_error(area: float, members: int, others: int) -> float:
    """Standard error of an area under the ROC curve of so many members and others (Hanley & McNeil 1982)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (members - 1) * (q1 - area**2) + (others - 1) * (q2 - area**2)
    return float(np.sqrt(variance / (members * others)))


def average_precision(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """Area under the precision-recall curve, step by step; NaN without a positive star."""
    order = np.argsort(-score, kind="stable")
    right, ends = np.cumsum(truth[order] != 0), np.flatnonzero(np.diff(score[order], append=np.nan))
    if not len(right) or not right[-1]:
        return math.nan
    # Ends of runs of equal scores: stars with the same score come together or not at all.
    found = right[ends]
    return float(np.sum(np.diff(found, prepend=0) * found / (ends + 1)) / right[-1])


def accuracy(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Share of right classes."""
    return float(np.mean(truth == predicted))


def balanced_accuracy(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Mean over the classes there are of the share of their stars that is found."""
    return float(np.mean([np.mean(predicted[truth == name] == name) for name in np.unique(truth)]))


def f1(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Harmonic mean of precision and recall of class 1; 0 where no star of it is found."""
    right = float(np.sum((truth == 1) & (predicted == 1)))
    both = float(np.sum(truth == 1) + np.sum(predicted == 1))
    return 2 * right / both if both else 0.0


def mae(truth: Array, predicted: Array) -> float:
    """Mean absolute error."""
    return float(np.abs(truth - predicted).mean())


def rmse(truth: Array, predicted: Array) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((truth - predicted) ** 2)))


def within(share: float) -> Metric:
    """Share of stars whose prediction is off by at most `share` of the true value."""

    def metric(truth: Array, predicted: Array) -> float:
        return float(np.mean(np.abs(predicted - truth) <= share * np.abs(truth)))

    return metric


def r2_about(mean: float) -> Metric:
    """Coefficient of determination about the training stars' mean, so that chance is 0."""

    def metric(truth: Array, predicted: Array) -> float:
        scatter = float(np.sum((truth - mean) ** 2))
        return 1.0 - float(np.sum((truth - predicted) ** 2)) / scatter if scatter else math.nan

    return metric


def bins(values: NDArray[Any], edges: Sequence[float], what: str) -> dict[str, NDArray[np.bool_]]:
    """Name -> members (N,) of each bin: ``"S/N 20-40"``, ``"S/N > 160"``; NaN is in none."""
    found = {}
    for low, high in pairwise(edges):
        name = f"< {high:g}" if low == 0 else f"> {low:g}" if np.isinf(high) else f"{low:g}-{high:g}"
        found[f"{what} {name}"] = (values >= low) & (values < high)
    return found


def regression_scores(
    task: str, label: str, truth: Array, predicted: Array, train: Array, *, seed: int, part: str = ""
) -> list[Score]:
    """MAE, RMSE, R2 and the share within 10 % of a predicted number.

    Parameters
    ----------
    task, label, part
        Of the scores.
    truth, predicted
        (n,) of the test stars; stars where either is NaN are left out.
    train
        (m,) labels of the training stars: chance is their median (RMSE, R2: their mean).

    Returns
    -------
    list of Score
        Empty with fewer than `LEAST` stars.
    """
    known = np.isfinite(truth) & np.isfinite(predicted)
    truth, predicted, train = truth[known], predicted[known], train[np.isfinite(train)]
    if len(truth) < LEAST or not len(train):
        return []
    middle, mean = np.full(len(truth), np.median(train)), float(train.mean())
    metrics: Mapping[str, tuple[Metric, float]] = {
        "mae": (mae, mae(truth, middle)),
        "rmse": (rmse, rmse(truth, np.full(len(truth), mean))),
        "r2": (r2_about(mean), 0.0),
        "within_10": (within(0.1), within(0.1)(truth, middle)),
    }
    return [
        Score(
            task,
            label,
            name,
            metric(truth, predicted),
            bootstrap(metric, truth, predicted, seed=seed),
            chance,
            len(truth),
            part,
        )
        for name, (metric, chance) in metrics.items()
    ]


def coverage_scores(
    task: str, label: str, truth: Array, ends: Mapping[float, tuple[Array, Array]], *, part: str = ""
) -> list[Score]:
    """Share of labels inside their interval and mean half-width, by nominal coverage.

    Parameters
    ----------
    truth
        (n,) of the test stars, NaN where missing.
    ends
        coverage -> (low, high), (n,) each.

    Returns
    -------
    list of Score
        ``coverage_68`` (its chance is the nominal share: where a right interval lands) and
        ``half_width_68``; an infinite width where there were too few stars to calibrate on.
    """
    scores = []
    for nominal, (low, high) in ends.items():
        share, error, count = empirical_coverage(low, high, truth)
        if count < LEAST:
            continue
        width = 0.5 * (high - low)[np.isfinite(truth)]
        spread = float(width.std(ddof=1) / np.sqrt(count)) if np.isfinite(width).all() else math.nan
        name = f"{round(100 * nominal)}"
        scores.append(Score(task, label, f"coverage_{name}", share, error, nominal, count, part))
        scores.append(
            Score(task, label, f"half_width_{name}", float(width.mean()), spread, math.nan, count, part)
        )
    return scores


def class_scores(
    task: str,
    label: str,
    truth: Labels,
    probabilities: Array,
    train: Labels,
    *,
    seed: int,
    part: str = "",
) -> list[Score]:
    """Accuracy and balanced accuracy; of two classes also F1, AUC and average precision of class 1.

    Parameters
    ----------
    truth
        (n,) class of each test star.
    probabilities
        (n, C) of the classes 0 .. C - 1.
    train
        (m,) classes of the training stars: chance calls every star the commonest of them.

    Returns
    -------
    list of Score
        Empty with fewer than `LEAST` stars of the commonest class, or fewer than two classes.
    """
    classes = probabilities.shape[1]
    there = np.bincount(truth, minlength=classes)
    if there.max(initial=0) < LEAST or (there > 0).sum() < 2:
        return []
    called = probabilities.argmax(axis=1)
    common = np.full(len(truth), np.bincount(train, minlength=classes).argmax())
    share = float(np.mean(truth == 1))
    metrics: dict[str, tuple[Metric, NDArray[Any], float]] = {
        "accuracy": (accuracy, called, accuracy(truth, common)),
        "balanced_accuracy": (balanced_accuracy, called, 1.0 / int((there > 0).sum())),
    }
    if classes == 2:
        metrics |= {
            "f1": (f1, called, 2 * share / (1 + share)),
            "auc": (auc, probabilities[:, 1], 0.5),
            "average_precision": (average_precision, probabilities[:, 1], share),
        }
    return [
        Score(
            task,
            label,
            name,
            metric(truth, given),
            bootstrap(metric, truth, given, seed=seed),
            chance,
            len(truth),
            part,
        )
        for name, (metric, given, chance) in metrics.items()
    ]
