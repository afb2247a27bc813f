"""Linear regression with few labels: on a share of the test stars, and against the number of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from desa.evaluation.probe import ALPHAS
from desa.evaluation.score import Score

Array = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]
Predict = Callable[[Array, Array, Array], Array]
"""(n, D) features and (n,) labels to learn from, (m, D) features -> (m,) predictions."""

SHARES = (0.01, 0.05, 0.20)
LEAST = 5
"""Labels at least, however small the share."""

DRAWS, RESAMPLES = 20, 200


@dataclass(frozen=True, eq=False)
class Draws:
    """Predictions of stars by models that had their labels from other stars.

    Parameters
    ----------
    truth
        (N,) labels.
    predicted
        (draws, N); NaN for the stars that a draw learnt from or that are no test stars.
    middle, mean
        (draws,) median and mean of the labels that a draw learnt from.
    labels
        How many those are.
    """

    truth: Array
    predicted: Array
    middle: Array
    mean: Array
    labels: int

    def _sums(self, values: Array, weights: Array) -> Array:
        return np.asarray(weights @ np.nan_to_num(values).T)

    def scores(self, task: str, label: str, part: str, seed: int) -> list[Score]:
        """R2, MAE and the share within 10 %: means over the draws.

        The standard error is that of another set of stars (bootstrap over the stars, all draws together) and
        of other draws of the labels, added in squares.
        """
        there = np.isfinite(self.predicted)
        error = np.abs(self.predicted - self.truth)
        guess = np.where(there, np.abs(self.truth - self.middle[:, None]), np.nan)
        scatter = np.where(there, (self.truth - self.mean[:, None]) ** 2, np.nan)
        close = np.where(there, error <= 0.1 * np.abs(self.truth), np.nan)
        near = np.where(there, guess <= 0.1 * np.abs(self.truth), np.nan)
        rng, stars = np.random.default_rng(seed), len(self.truth)
        weights = rng.multinomial(stars, np.full(stars, 1 / stars), size=RESAMPLES).astype(np.float64)
        weights = np.concatenate([np.ones((1, stars)), weights])
        count = np.maximum(self._sums(there.astype(np.float64), weights), 1)
        metrics = {
            "r2": (1 - self._sums(error**2, weights) / self._sums(scatter, weights), 0.0),
            "mae": (self._sums(error, weights) / count, float(np.nanmean(guess))),
            "within_10": (self._sums(close, weights) / count, float(np.nanmean(near))),
        }
        found = []
        for name, (values, chance) in metrics.items():
            own, others = values[0], values[1:].mean(axis=1)
            draws = own.std(ddof=1) / np.sqrt(len(own)) if len(own) > 1 else 0.0
            spread = np.hypot(others.std(ddof=1), draws)
            tested = int(there.any(axis=0).sum())
            found.append(Score(task, label, name, float(own.mean()), float(spread), chance, tested, part))
        return found


def ridge(x: Array, y: Array, others: Array) -> Array:
    """Ridge regression, its penalty by leave-one-out among the labels."""
    scale = y.std() or 1.0
    model = RidgeCV(alphas=ALPHAS).fit(x, (y - y.mean()) / scale)
    return np.asarray(y.mean() + scale * model.predict(others))


def standardised(features: NDArray[Any]) -> Array:
    """(N, D) to mean 0 and deviation 1; constant columns to 0."""
    x = np.asarray(features, dtype=np.float64)
    spread = x.std(axis=0)
    return np.asarray(
        (x - x.mean(axis=0)) / np.where(spread > 1e-9 * (np.abs(x).max(axis=0)), spread, np.inf)
    )


def repeated(
    features: NDArray[Any],
    label: Array,
    pool: NDArray[np.bool_],
    test: NDArray[np.bool_],
    count: int,
    *,
    seed: int,
    draws: int = DRAWS,
    predict: Predict = ridge,
) -> Draws:
    """Learn from `count` stars of the pool, predict the other test stars; many times.

    Parameters
    ----------
    features
        (N, D), finite.
    label
        (N,), NaN where missing.
    pool, test
        (N,) stars that labels may come from, and that are predicted; they may overlap.
    count
        Labels a draw.
    seed
        Of the draws: the same stars for every feature set.
    draws
        How many.
    predict
        The regression.

    Raises
    ------
    ValueError
        If the pool has too few labels, or no test star is left.
    """
    known = np.isfinite(label)
    pool, test = pool & known, test & known
    source = np.flatnonzero(pool)
    if count > len(source) or (test & ~pool).sum() + max(0, (test & pool).sum() - count) < LEAST:
        raise ValueError(f"{len(source)} labels to choose {count} from and test on the rest: too few")
    rng = np.random.default_rng(seed)
    predicted = np.full((draws, len(label)), np.nan)
    middle, mean = np.zeros(draws), np.zeros(draws)
    for draw in range(draws):
        chosen = rng.choice(source, count, replace=False)
        others = test.copy()
        others[chosen] = False
        predicted[draw, others] = predict(features[chosen], label[chosen], features[others])
        middle[draw], mean[draw] = np.median(label[chosen]), label[chosen].mean()
    return Draws(label, predicted, middle, mean, count)


def few_shot(
    features: NDArray[Any],
    labels: Mapping[str, Array],
    split: NDArray[np.str_],
    *,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    draws: int = DRAWS,
) -> tuple[list[Score], Arrays]:
    """Linear regression on a few test stars, scored on the other test stars (the paper's Table 2).

    Parameters
    ----------
    features
        (N, D) of the model; never trained on these stars' labels.
    labels
        name -> (N,), NaN where missing.
    split
        (N,); only the test stars take part.
    seed
        Of the draws and the bootstrap.
    shares
        Of the test stars with the label that are learnt from; at least `LEAST` stars.
    draws
        Choices of those stars, averaged over.

    Returns
    -------
    tuple
        Scores by label and share (their part: ``"20 %"``); arrays ``<label>/truth`` and ``<label>/predicted``
        (of the largest share's first draw, all test stars in one order, NaN where learnt from).
    """
    test = np.asarray(split) == "test"
    x, scores, arrays = standardised(features[test]), list[Score](), Arrays()
    everything = np.ones(len(x), dtype=bool)
    for name, values in labels.items():
        label = np.asarray(values, dtype=np.float64)[test]
        for share in shares:
            count = max(LEAST, round(share * int(np.isfinite(label).sum())))
            try:
                found = repeated(x, label, everything, everything, count, seed=seed, draws=draws)
            except ValueError:
                continue
            scores += found.scores("few_shot", name, f"{100 * share:g} %", seed)
            arrays |= {f"{name}/truth": found.truth, f"{name}/predicted": found.predicted[0]}
    return scores, arrays


def label_efficiency(
    features: NDArray[Any],
    labels: Mapping[str, Array],
    split: NDArray[np.str_],
    *,
    seed: int = 0,
    counts: Sequence[int] = (10, 30, 100, 300, 1000, 3000),
    draws: int = DRAWS,
) -> tuple[list[Score], Arrays]:
    """Linear regression against the number of labels: drawn from train and valid stars, scored on test stars.

    Parameters
    ----------
    features, labels, split, seed, draws
        As in `few_shot`.
    counts
        Numbers of labels; those beyond what there is are left out, and all there are are added.

    Returns
    -------
    tuple
        Scores (part: ``"100 labels"``), arrays ``<label>/labels``, ``<label>/r2``, ``<label>/r2_error``.
    """
    split = np.asarray(split)
    pool, test = np.isin(split, ("train", "valid")), split == "test"
    x, scores, arrays = standardised(features), list[Score](), Arrays()
    for name, values in labels.items():
        label = np.asarray(values, dtype=np.float64)
        there = int((pool & np.isfinite(label)).sum())
        if there < LEAST or (test & np.isfinite(label)).sum() < LEAST:
            continue
        curve = []
        for count in (*(c for c in counts if c < there), there):
            times = 1 if count == there else max(2, min(draws, 3000 // count))
            found = repeated(x, label, pool, test, count, seed=seed, draws=times)
            rows = found.scores("label_efficiency", name, f"{count} labels", seed)
            scores += rows
            curve.append((count, rows[0].value, rows[0].error))
        columns = zip(("labels", "r2", "r2_error"), np.array(curve).T, strict=True)
        arrays |= {f"{name}/{column}": values for column, values in columns}
    return scores, arrays
