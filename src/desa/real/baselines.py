"""What the encoder must beat: principal components of the same pixels with ridge and kernel ridge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV

Array = NDArray[np.float64]

COMPONENTS = 60

KERNEL_GRID = {"alpha": [1e-3, 3e-3, 1e-2, 3e-2, 1e-1], "gamma": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2]}
"""Regularisation and inverse squared width of the RBF kernel, chosen by inner 3-fold cross-validation."""

RIDGE_GRID = np.logspace(-3, 4, 15)


def components(train: NDArray[np.float32], test: NDArray[np.float32]) -> tuple[Array, Array]:
    """`COMPONENTS` principal components of `train`, of both, over their standard deviations in `train`."""
    count = min(COMPONENTS, *train.shape)
    pca = PCA(count, random_state=0).fit(train)
    first, second = pca.transform(train), pca.transform(test)
    scale = first.std(axis=0)
    return first / scale, second / scale


def ridge(train: Array, labels: Array, test: Array) -> Array:
    """Ridge regression, its strength by leave-one-out: labels (M, K) of the test rows."""
    columns = [RidgeCV(RIDGE_GRID).fit(train, column).predict(test) for column in labels.T]
    return np.column_stack(columns)


def kernel_ridge(train: Array, labels: Array, test: Array) -> Array:
    """Kernel ridge regression (RBF), each label with its own strength and width: (M, K)."""
    columns = []
    for column in labels.T:
        mean, scale = column.mean(), column.std()
        search = GridSearchCV(KernelRidge(kernel="rbf"), KERNEL_GRID, scoring="neg_mean_absolute_error", cv=3)
        columns.append(search.fit(train, (column - mean) / scale).predict(test) * scale + mean)
    return np.column_stack(columns)


def baselines(
    pixels: NDArray[np.float32], labels: Array, train: NDArray[np.bool_], test: NDArray[np.bool_]
) -> dict[str, Array]:
    """Predictions of both baselines for the test rows.

    Parameters
    ----------
    pixels
        (N, P) normalised pixels.
    labels
        (N, K).
    train, test
        (N,) masks.
    """
    first, second = components(pixels[train], pixels[test])
    return {
        "60 components + ridge": ridge(first, labels[train], second),
        "60 components + kernel ridge": kernel_ridge(first, labels[train], second),
    }
