"""Cross-validation by star, repeated for few stars: classes, numbers and intervals from fixed features."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from desa.conformal import calibrate, intervals
from desa.errors import SettingsError
from desa.evaluation.few_shot import Draws, ridge
from desa.evaluation.linear import linear_classes
from desa.evaluation.metrics import Metric, auc, average_precision, balanced_accuracy
from desa.evaluation.score import Score

Array = NDArray[np.float64]
Fit = Callable[[Array, Array, Array], Array]
"""(n, D) features and (n,) labels to learn from, (m, D) features -> (m,) numbers, or (m, K) probabilities."""

FOLDS, REPEATS, RESAMPLES = 5, 10, 200

COMPONENTS = 60
"""Most principal components of the features that kernel ridge regression reads."""

KERNEL_GRID = {"alpha": [1e-3, 3e-3, 1e-2, 3e-2, 1e-1], "gamma": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2]}
"""Regularisation and inverse squared width of the RBF kernel."""


def folds(
    star: NDArray[np.int64], count: int, seed: int, kind: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """(N,) fold of each row, 0 .. count - 1, all rows of a star in one; of even size in stars.

    Parameters
    ----------
    star
        (N,) which star a row is of.
    count, seed
        How many folds, and of the draw.
    kind
        (N,) class of each row's star; every fold then has its share of each class.

    Raises
    ------
    SettingsError
        If there are fewer stars than folds, or fewer than two folds.
    """
    names, first, place = np.unique(star, return_index=True, return_inverse=True)
    if count < 2 or len(names) < count:
        raise SettingsError(f"{len(names)} stars can't be split into {count} folds")
    if kind is None:
        fold = np.random.default_rng(seed).permutation(len(names)) % count
        return np.asarray(fold[place], dtype=np.int64)
    fold = np.zeros(len(names), dtype=np.int64)
    parts = StratifiedKFold(count, shuffle=True, random_state=seed).split(names, kind[first])
    for number, (_, kept) in enumerate(parts):
        fold[kept] = number
    return fold[place]


def _scaled(x: Array, others: Array) -> tuple[Array, Array]:
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-9 * (np.abs(centre) + 1e-9), spread, np.inf)
    return (x - centre) / spread, (others - centre) / spread


def logistic(x: Array, y: Array, others: Array) -> Array:
    """(m, K) by logistic regression on standardised features, its penalty by inner cross-validation."""
    own, new = _scaled(x, others)
    classes = y.astype(np.int64)
    layer = linear_classes(own, classes, int(classes.max()) + 1, seed=0).layer
    with torch.no_grad():
        return np.asarray(layer(torch.from_numpy(new).float()).softmax(1).double().numpy())


def boosted_classes(x: Array, y: Array, others: Array) -> Array:
    """(m, K) by gradient boosting of shallow trees."""
    model = GradientBoostingClassifier(n_estimators=100, max_depth=2, subsample=0.7, random_state=0)
    return np.asarray(model.fit(x, y.astype(np.int64)).predict_proba(others))


def linear(x: Array, y: Array, others: Array) -> Array:
    """(m,) by ridge regression on standardised features, its penalty by leave-one-out."""
    own, new = _scaled(x, others)
    return ridge(own, y, new)


def boosted(x: Array, y: Array, others: Array) -> Array:
    """(m,) by gradient boosting of shallow trees."""
    model = GradientBoostingRegressor(n_estimators=100, max_depth=2, subsample=0.7, random_state=0)
    return np.asarray(model.fit(x, y).predict(others))


def kernel_ridge(x: Array, y: Array, others: Array) -> Array:
    """(m,) by kernel ridge regression (RBF) on principal components, its strength and width chosen inside.

    The components are those of the rows that are learnt from. A component that only an odd new row has
    would have no spread among them, and throw that row out of the kernel's reach.
    """
    components = PCA(min(COMPONENTS, len(x) - 1, x.shape[1]), random_state=0).fit(x)
    own, new = _scaled(components.transform(x), components.transform(others))
    mean, scale = y.mean(), y.std() or 1.0
    search = GridSearchCV(KernelRidge(kernel="rbf"), KERNEL_GRID, scoring="neg_mean_absolute_error", cv=3)
    return np.asarray(search.fit(own, (y - mean) / scale).predict(new) * scale + mean)


@dataclass(frozen=True)
class Learner:
    """What learns a label from fixed features.

    Parameters
    ----------
    name
        As tables say it.
    numbers, classes
        Of the two kinds of label.
    quick
        Whether many draws take no time.
    """

    name: str
    numbers: Fit
    classes: Fit
    quick: bool = True


LINEAR = Learner("linear", linear, logistic)
TREES = Learner("boosted trees", boosted, boosted_classes, quick=False)
KERNEL = Learner("kernel ridge", kernel_ridge, logistic, quick=False)


def _fitted(fit: Fit, x: Array, y: Array, test: NDArray[np.bool_], train: NDArray[np.bool_]) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(x[train], y[train], x[test])


def _least_class(y: Array) -> int:
    counts = np.bincount(y.astype(np.int64), minlength=2)
    if counts.min() < 2:
        raise ValueError("fewer than 2 stars of a class: nothing to cross-validate")
    return int(counts.min())


def held_out(
    features: NDArray[Any], y: Array, fit: Fit, *, classes: bool, seed: int, repeats: int = REPEATS
) -> Array:
    """What models that did not learn from a star say of it: (repeats, N), or (repeats, N, K) of K classes.

    Parameters
    ----------
    features
        (N, D), a row a star: folds are by star.
    y
        (N,) labels, all finite; 0 .. K - 1 for classes, whose folds are stratified.
    fit
        What learns.
    classes, seed, repeats
        Kind of label, seed of the folds (the same for every feature set), and how often.

    Raises
    ------
    ValueError
        With fewer than 2 stars of a class.
    """
    x, star = np.asarray(features, dtype=np.float64), np.arange(len(y))
    kind = y.astype(np.int64) if classes else None
    count = min(FOLDS, _least_class(y) if classes else len(y))
    found = []
    for repeat in range(repeats):
        fold = folds(star, count, seed + repeat, kind)
        parts = [_fitted(fit, x, y, fold == number, fold != number) for number in range(count)]
        # Back from the order of the folds to that of the stars.
        found.append(np.concatenate(parts)[np.argsort(np.argsort(fold, kind="stable"))])
    return np.stack(found)


def from_few(
    features: NDArray[Any], y: Array, fit: Fit, share: float, *, seed: int, draws: int = REPEATS
) -> Array:
    """(draws, N, K) probabilities of classes learnt from a share of the stars; NaN for those learnt from.

    Parameters
    ----------
    features, y, fit, seed
        As in `held_out`, of classes. Every draw has that share of each class, and at least 2 of it.
    share
        Of the stars.
    draws
        Choices of those stars.

    Raises
    ------
    ValueError
        With fewer than 3 stars of a class.
    """
    x, kind = np.asarray(features, dtype=np.float64), y.astype(np.int64)
    if _least_class(y) < 3:
        raise ValueError("fewer than 3 stars of a class: none would be left to test on")
    members = [np.flatnonzero(kind == name) for name in range(int(kind.max()) + 1)]
    found = np.full((draws, len(y), len(members)), np.nan)
    for draw in range(draws):
        rng, train = np.random.default_rng([seed, draw]), np.zeros(len(y), dtype=bool)
        for rows in members:
            train[rng.permutation(rows)[: max(2, round(share * len(rows)))]] = True
        found[draw, ~train] = _fitted(fit, x, y, ~train, train)
    return found


def class_table(task: str, label: str, y: Array, found: Array, *, seed: int, part: str = "") -> list[Score]:
    """Balanced accuracy, and of two classes AUC and average precision: means over repeats.

    A star is called the class whose probability is highest over the class's share: classes are uneven. The
    standard error is that of another set of stars (bootstrap over stars, three repeats together) and of
    other folds, added in squares.

    Parameters
    ----------
    task, label, part
        Of the scores.
    y
        (N,) classes 0 .. K - 1.
    found
        (repeats, N, K) probabilities, NaN where a repeat says nothing of a star.
    seed
        Of the bootstrap.
    """
    truth = y.astype(np.int64)
    shares = np.bincount(truth) / len(truth)

    def balanced(t: NDArray[Any], p: NDArray[Any]) -> float:
        return balanced_accuracy(t, (p / shares).argmax(axis=1))

    metrics: dict[str, tuple[Metric, float]] = {"balanced_accuracy": (balanced, 1 / len(shares))}
    if len(shares) == 2:
        metrics["auc"] = (lambda t, p: auc(t, p[:, 1]), 0.5)
        metrics["average_precision"] = (lambda t, p: average_precision(t, p[:, 1]), float(shares[1]))

    def of_known(metric: Metric, t: NDArray[Any], p: Array) -> float:
        known = np.isfinite(p).all(axis=1)
        return metric(t[known], p[known])

    rng, scores = np.random.default_rng(seed), []
    picks = rng.integers(0, len(y), (RESAMPLES, len(y)))
    for name, (metric, chance) in metrics.items():
        own = np.array([of_known(metric, truth, each) for each in found])
        others = [np.mean([of_known(metric, truth[p], each[p]) for each in found[:3]]) for p in picks]
        repeats = own.std(ddof=1) / np.sqrt(len(own)) if len(own) > 1 else 0.0
        spread = float(np.hypot(np.nanstd(others, ddof=1), repeats))
        scores.append(Score(task, label, name, float(own.mean()), spread, chance, len(y), part))
    return scores


def number_table(task: str, label: str, y: Array, found: Array, *, seed: int, part: str = "") -> list[Score]:
    """R2, MAE and share within 10 %: means over repeats; chance is what the other stars' median gets."""
    middle, mean = np.full(len(found), np.median(y)), np.full(len(found), y.mean())
    return Draws(y, found, middle, mean, len(y)).scores(task, label, part, seed)


def cross_intervals(
    predicted: Array, labels: Array, fold: NDArray[np.int64], quantiles: tuple[float, ...]
) -> dict[float, tuple[Array, Array]]:
    """Intervals of each fold, calibrated on the out-of-fold predictions of the other folds.

    Parameters
    ----------
    predicted
        (N, K, Q) quantiles by models that never saw the row's fold.
    labels
        (N, K).
    fold
        (N,).
    quantiles
        The Q levels.

    Returns
    -------
    dict
        coverage -> (low, high), (N, K) each.
    """
    ends: dict[float, tuple[Array, Array]] = {}
    for number in np.unique(fold):
        inside = fold == number
        calibration = calibrate(predicted[~inside], labels[~inside], quantiles)
        for nominal, (low, high) in intervals(predicted[inside], calibration).items():
            lows, highs = ends.setdefault(
                nominal, (np.full_like(labels, np.nan), np.full_like(labels, np.nan))
            )
            lows[inside], highs[inside] = low, high
    return ends
