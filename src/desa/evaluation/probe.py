"""Linear probes: how much of a label a ridge regression reads off fixed features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

Array = NDArray[np.float64]

ALPHAS = tuple(float(alpha) for alpha in np.logspace(-3, 5, 17))
"""Ridge penalties tried, by generalised cross-validation on the training stars."""


LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "m_g")
"""Labels of the probe table; `log_prot` is log10 of the rotation period in days."""


@dataclass(frozen=True)
class Probe:
    """A probe's score on stars it has not seen.

    Parameters
    ----------
    r2
        Coefficient of determination on the test stars; 0 is what the training mean gives (chance).
    r2_error
        Its standard error, by bootstrap over test stars.
    mae
        Mean absolute error in the label's unit.
    n_train, n_test
        Stars with the label.
    truth, predicted
        (n_test,) for figures.
    """

    r2: float
    r2_error: float
    mae: float
    n_train: int
    n_test: int
    truth: Array
    predicted: Array


def r2_score(truth: ArrayLike, predicted: ArrayLike, mean: float) -> float:
    """1 - residual over the scatter about `mean`, the training stars' mean (so that chance is 0)."""
    y, p = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    return float(1.0 - np.sum((y - p) ** 2) / np.sum((y - mean) ** 2))


def bootstrap_r2(truth: Array, predicted: Array, mean: float, *, seed: int, draws: int = 200) -> float:
    """Standard error of R2 under resampling of the test stars."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(truth), size=(draws, len(truth)))
    residual, scatter = (truth - predicted) ** 2, (truth - mean) ** 2
    return float(np.std(1.0 - residual[picks].sum(axis=1) / scatter[picks].sum(axis=1), ddof=1))


def linear_probe(features: ArrayLike, label: ArrayLike, split: ArrayLike, *, seed: int = 0) -> Probe:
    """Ridge regression of one label on standardised features; trained on train + valid, scored on test.

    Parameters
    ----------
    features
        (N, D) finite features, a row a star.
    label
        (N,) the label; NaN where missing.
    split
        (N,) names of the splits; stars of the calibration split take no part.
    seed
        Of the bootstrap.

    Raises
    ------
    ValueError
        With fewer than 20 training or 5 test stars, or with features that are not finite.
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(label, dtype=np.float64)
    names = np.asarray(split)
    if not np.isfinite(x).all():
        raise ValueError("features hold NaN or infinite values")
    known = np.isfinite(y)
    train, test = known & np.isin(names, ("train", "valid")), known & (names == "test")
    if train.sum() < 20 or test.sum() < 5:
        raise ValueError(f"too few stars with the label: {train.sum()} to train on, {test.sum()} to test on")
    scaler = StandardScaler().fit(x[train])
    mean, scale = float(y[train].mean()), float(y[train].std()) or 1.0
    model = RidgeCV(alphas=ALPHAS).fit(scaler.transform(x[train]), (y[train] - mean) / scale)
    predicted = mean + scale * model.predict(scaler.transform(x[test]))
    truth = y[test]
    return Probe(
        r2=r2_score(truth, predicted, mean),
        r2_error=bootstrap_r2(truth, predicted, mean, seed=seed),
        mae=float(np.abs(truth - predicted).mean()),
        n_train=int(train.sum()),
        n_test=int(test.sum()),
        truth=truth,
        predicted=predicted,
    )


@dataclass(frozen=True)
class ProbeTable:
    """Probes of several feature sets for several labels: ``scores[features][label]``."""

    scores: Mapping[str, Mapping[str, Probe]]
    labels: Sequence[str]

    def rows(self) -> list[list[str]]:
        """A row a feature set: R2 and its standard error, label by label."""
        return [
            [name, *(f"{probes[label].r2:.3f} ±{probes[label].r2_error:.3f}" for label in self.labels)]
            for name, probes in self.scores.items()
        ]

    def numbers(self) -> list[dict[str, str | float | int]]:
        """The same as a tidy list, for JSON."""
        return [
            {
                "features": name,
                "label": label,
                "r2": probe.r2,
                "r2_error": probe.r2_error,
                "mae": probe.mae,
                "n_train": probe.n_train,
                "n_test": probe.n_test,
            }
            for name, probes in self.scores.items()
            for label, probe in probes.items()
        ]


def probe_table(
    feature_sets: Mapping[str, NDArray[np.float32]],
    labels: Mapping[str, NDArray[np.float64]],
    split: NDArray[np.str_],
    *,
    seed: int = 0,
) -> ProbeTable:
    """Probe every feature set for every label.

    Parameters
    ----------
    feature_sets
        name -> (N, D), a row a star, the same stars in all.
    labels
        name -> (N,), NaN where missing.
    split
        (N,) split of each star.
    seed
        Of the bootstrap.

    Raises
    ------
    ValueError
        If a label has too few stars, or features are not finite.
    """
    scores = {
        name: {label: linear_probe(features, values, split, seed=seed) for label, values in labels.items()}
        for name, features in feature_sets.items()
    }
    return ProbeTable(scores, list(labels))
