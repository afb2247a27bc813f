"""Cross-validation of few stars, many times: classes and numbers from fixed features."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.model_selection import KFold, StratifiedKFold

from desa.evaluation.few_shot import Draws, ridge
from desa.evaluation.linear import linear_classes
from desa.evaluation.metrics import Metric, auc, average_precision, balanced_accuracy
from desa.evaluation.score import Score

Array = NDArray[np.float64]
Fit = Callable[[Array, Array, Array], Array]
"""(n, D) features and (n,) labels to learn from, (m, D) features -> (m,): a number, or P of class 1."""

FOLDS, REPEATS, RESAMPLES = 5, 10, 200
DATA = "real stars"
OWN_HEAD = "own head, no real label"


@dataclass(frozen=True)
class Row:
    """A score with what it is of.

    Parameters
    ----------
    features, learner
        What was learnt from, and by what.
    score
        The number.
    """

    features: str
    learner: str
    score: Score

    def tidy(self) -> dict[str, Any]:
        """One line of the table."""
        return {"data": DATA, "features": self.features, "learner": self.learner, **asdict(self.score)}


def _scaled(x: Array, others: Array) -> tuple[Array, Array]:
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-9 * (np.abs(centre) + 1e-9), spread, np.inf)
    return (x - centre) / spread, (others - centre) / spread


def logistic(x: Array, y: Array, others: Array) -> Array:
    """Logistic regression on standardised features, its penalty by inner cross-validation."""
    own, new = _scaled(x, others)
    layer = linear_classes(own, y.astype(np.int64), 2, seed=0).layer
    with torch.no_grad():
        return np.asarray(layer(torch.from_numpy(new).float()).softmax(1)[:, 1].double().numpy())


def boosted_class(x: Array, y: Array, others: Array) -> Array:
    """Gradient boosting of shallow trees."""
    model = GradientBoostingClassifier(n_estimators=100, max_depth=2, subsample=0.7, random_state=0)
    return np.asarray(model.fit(x, y.astype(np.int64)).predict_proba(others)[:, 1])


def linear(x: Array, y: Array, others: Array) -> Array:
    """Ridge regression on standardised features, its penalty by leave-one-out."""
    own, new = _scaled(x, others)
    return ridge(own, y, new)


def boosted(x: Array, y: Array, others: Array) -> Array:
    """Gradient boosting of shallow trees."""
    model = GradientBoostingRegressor(n_estimators=100, max_depth=2, subsample=0.7, random_state=0)
    return np.asarray(model.fit(x, y).predict(others))


def _folds(y: NDArray[Any], classes: bool, seed: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    if classes:
        parts = int(min(FOLDS, np.bincount(y.astype(np.int64)).min()))
        yield from StratifiedKFold(parts, shuffle=True, random_state=seed).split(y, y)
    else:
        yield from KFold(min(FOLDS, len(y)), shuffle=True, random_state=seed).split(y)


def held_out(
    features: NDArray[Any], y: Array, fit: Fit, *, classes: bool, seed: int, repeats: int = REPEATS
) -> Array:
    """(repeats, N) what models that did not learn from a star say of it.

    Parameters
    ----------
    features
        (N, D), a row a star: folds are by star.
    y
        (N,) labels, all finite; 0 or 1 for classes, whose folds are stratified.
    fit
        What learns.
    classes, seed, repeats
        Kind of label, seed of the folds (the same for every feature set), and how often.

    Raises
    ------
    ValueError
        With fewer than 2 stars of a class.
    """
    x = np.asarray(features, dtype=np.float64)
    if classes and np.bincount(y.astype(np.int64), minlength=2).min() < 2:
        raise ValueError("fewer than 2 stars of a class: nothing to cross-validate")
    found = np.full((repeats, len(y)), np.nan)
    for repeat in range(repeats):
        for train, test in _folds(y, classes, seed + repeat):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[repeat, test] = fit(x[train], y[train], x[test])
    return found


def class_table(task: str, label: str, y: Array, found: Array, *, seed: int) -> list[Score]:
    """AUC, average precision and balanced accuracy: means over repeats.

    The standard error is that of another set of stars (bootstrap over stars, all repeats together) and of
    other folds, added in squares.
    """
    truth, share = y.astype(np.int64), float(y.mean())

    def balanced(t: NDArray[Any], p: NDArray[Any]) -> float:
        # Called a member where the probability is above the share of members: classes are uneven.
        return balanced_accuracy(t, (p > share).astype(np.int64)) if 0 < t.sum() < len(t) else np.nan

    metrics: dict[str, tuple[Metric, float]] = {
        "auc": (auc, 0.5),
        "average_precision": (average_precision, share),
        "balanced_accuracy": (balanced, 0.5),
    }
    rng, scores = np.random.default_rng(seed), []
    picks = rng.integers(0, len(y), (RESAMPLES, len(y)))
    for name, (metric, chance) in metrics.items():
        own = np.array([metric(truth, row) for row in found])
        others = np.array([np.mean([metric(truth[p], row[p]) for row in found[:3]]) for p in picks])
        repeats = own.std(ddof=1) / np.sqrt(len(own)) if len(own) > 1 else 0.0
        spread = np.hypot(np.nanstd(others, ddof=1), repeats)
        scores.append(Score(task, label, name, float(own.mean()), float(spread), chance, len(y)))
    return scores


def number_table(task: str, label: str, y: Array, found: Array, *, seed: int) -> list[Score]:
    """R2, MAE and share within 10 %: means over repeats; chance is what the other stars' median gets."""
    middle, mean = np.full(len(found), np.median(y)), np.full(len(found), y.mean())
    return Draws(y, found, middle, mean, len(y)).scores(task, label, "", seed)
