"""A head for few labels: a linear map with the penalty chosen by cross-validation.

It has a closed form: 50 labels are enough for it to do no worse than their mean. Its quantiles
are the fitted line plus quantiles of residuals of stars that the line was not fitted to.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from torch import Tensor, nn

Array = NDArray[np.float64]

PENALTIES = tuple(float(value) for value in np.logspace(-2, 5, 15))
"""Ridge penalties tried, in units of a standardised feature's squared length."""

INVERSE_PENALTIES = tuple(float(value) for value in np.logspace(-5, 0, 6))
"""Inverse penalties of the logistic regression tried."""

FOLDS = 5

NEWTON = 800
"""Weights up to which a logistic regression is fitted by Newton's method."""


@dataclass(frozen=True)
class LinearFit:
    """A fitted linear head.

    Parameters
    ----------
    layer
        The head.
    held_out
        (N, outputs) what folds predicted of the stars that they were not fitted to.
    penalty
        The one chosen.
    """

    layer: nn.Linear
    held_out: Array
    penalty: float


def _layer(weight: Array, bias: Array) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


def linear_quantiles(x: Array, y: Array, levels: Sequence[float], seed: int) -> LinearFit:
    """Ridge regression with quantiles of its held-out residuals.

    Parameters
    ----------
    x
        (N, D) standardised features.
    y
        (N,) standardised labels, all finite.
    levels
        Quantiles wanted.

    Returns
    -------
    LinearFit
        With one output a level.

    Raises
    ------
    ValueError
        With fewer than 5 stars.
    """
    folds = folds_of(len(y), seed)
    held = np.zeros((len(PENALTIES), len(y)))
    for train, test in folds:
        centre = y[train].mean()
        left, sizes, right = np.linalg.svd(x[train] - x[train].mean(0), full_matrices=False)
        turned = left.T @ (y[train] - centre)
        for row, penalty in enumerate(PENALTIES):
            weight = right.T @ (sizes / (sizes**2 + penalty) * turned)
            held[row, test] = centre + (x[test] - x[train].mean(0)) @ weight
    best = int(np.argmin(((held - y) ** 2).mean(axis=1)))
    model = Ridge(alpha=PENALTIES[best]).fit(x, y)
    offsets = np.quantile(y - held[best], levels)
    layer = _layer(np.tile(model.coef_, (len(levels), 1)), model.intercept_ + offsets)
    return LinearFit(layer, held[best][:, None] + offsets, PENALTIES[best])


def linear_classes(x: Array, y: NDArray[np.int64], classes: int, seed: int) -> LinearFit:
    """Logistic regression; of classes that have no star the outputs stay far below the others.

    Parameters
    ----------
    x
        (N, D) standardised features.
    y
        (N,) classes.
    classes
        How many there are; one output (logit) each.

    Raises
    ------
    ValueError
        With fewer than 5 stars, or stars of one class only.
    """
    if len(np.unique(y)) < 2:
        raise ValueError("all training stars are of one class: there is nothing to tell apart")
    # A penalised fit lies in the space of the rows: with fewer stars than features it is done there.
    basis = np.linalg.svd(x, full_matrices=False)[2] if len(x) < x.shape[1] else None
    x = x if basis is None else x @ basis.T
    least = int(np.bincount(y)[np.unique(y)].min())
    folds = folds_of(len(y), seed, y if least >= 2 else None)
    scored = []
    for inverse in INVERSE_PENALTIES:
        held = np.full((len(y), classes), -30.0)
        for train, test in folds:
            if len(np.unique(y[train])) > 1:
                held[test] = _logits(_logistic(x[train], y[train], inverse), x[test], classes)
        scored.append((_cross_entropy(held, y), held))
    best = int(np.argmin([loss for loss, _ in scored]))
    model = _logistic(x, y, INVERSE_PENALTIES[best])
    weight, bias = np.zeros((classes, x.shape[1])), np.full(classes, -30.0)
    if len(model.classes_) == 2:
        weight[model.classes_[1]], bias[model.classes_] = model.coef_[0], [0.0, model.intercept_[0]]
    else:
        weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    weight = weight if basis is None else weight @ basis
    return LinearFit(_layer(weight, bias), scored[best][1], INVERSE_PENALTIES[best])


def folds_of(count: int, seed: int, y: NDArray[np.int64] | None = None) -> list[tuple[Array, Array]]:
    """(train, test) rows of each fold; with classes `y`, each fold has its share of every class.

    Raises
    ------
    ValueError
        With fewer than 5 stars.
    """
    if count < FOLDS:
        raise ValueError(f"{count} labelled stars to train on; at least {FOLDS} are needed")
    if y is None:
        return list(KFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(count)))
    parts = int(np.clip(np.bincount(y)[np.unique(y)].min(), 2, FOLDS))
    split = StratifiedKFold(parts, shuffle=True, random_state=seed).split(np.zeros(count), y)
    return cast("list[tuple[Array, Array]]", list(split))


def _logistic(x: Array, y: NDArray[np.int64], inverse: float) -> LogisticRegression:
    """A fit; Newton's steps where the matrix they need is small."""
    small = x.shape[1] * (1 if len(np.unique(y)) == 2 else len(np.unique(y))) <= NEWTON
    model = LogisticRegression(
        C=inverse, max_iter=100 if small else 500, solver="newton-cholesky" if small else "lbfgs"
    )
    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def _logits(model: LogisticRegression, x: Array, classes: int) -> Array:
    found = np.full((len(x), classes), -30.0)
    values = model.decision_function(x)
    if values.ndim == 1:
        values = np.column_stack([np.zeros(len(x)), values])
    found[:, model.classes_] = values
    return found


def _cross_entropy(logits: Array, y: NDArray[np.int64]) -> float:
    return float(torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(y)))


def standardised(rows: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature over some rows; constant features get the deviation 1."""
    centre, scale = rows[train].mean(0), rows[train].std(0)
    return centre, torch.where(scale > 1e-6 * (centre.abs() + 1e-6), scale, torch.ones_like(scale))
