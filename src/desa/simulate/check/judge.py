"""Judges: classifiers that learn to tell mock from real, and how well they do on stars they have not seen.

An area under the ROC curve of 0.5 means that nobody could tell, 1 that mock objects always give themselves
away. A real object and its mock twins are never split between the folds, and errors come from drawing such
groups again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from desa.evaluation.metrics import auc

FloatArray = NDArray[np.float64]
FOLDS: Final = 5
SPECTRUM_KINDS: Final = ("linear", "squares", "boosting")
FEATURE_KINDS: Final = ("logistic", "boosting on features")


@dataclass(frozen=True)
class Verdict:
    """Area under the ROC curve, and its standard error."""

    auc: float
    error: float


def _model(kind: str, columns: int) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler

    def pca(n: int) -> PCA:
        return PCA(min(n, columns), svd_solver="randomized", random_state=0)

    logistic = LogisticRegression(C=0.01, max_iter=300)
    makers: dict[str, Callable[[], Any]] = {
        "linear": lambda: make_pipeline(pca(100), StandardScaler(), logistic),
        "squares": lambda: make_pipeline(
            pca(40), StandardScaler(), PolynomialFeatures(2), StandardScaler(), logistic
        ),
        "boosting": lambda: make_pipeline(
            pca(60), HistGradientBoostingClassifier(max_iter=150, learning_rate=0.06, random_state=0)
        ),
        "logistic": lambda: make_pipeline(
            QuantileTransformer(n_quantiles=50, output_distribution="normal", random_state=0),
            LogisticRegression(C=0.1, max_iter=500, class_weight="balanced"),
        ),
        "boosting on features": lambda: HistGradientBoostingClassifier(
            max_iter=120, learning_rate=0.06, min_samples_leaf=10, class_weight="balanced", random_state=0
        ),
    }
    if kind not in makers:
        raise ValueError(f"kind {kind!r} must be one of {', '.join(makers)}")
    return makers[kind]()


def verdict(
    score: FloatArray, is_mock: NDArray[np.bool_], group: NDArray[np.intp], draws: int = 200
) -> Verdict:
    """AUC of scores, with the error from drawing groups with replacement."""
    rng = np.random.default_rng(0)
    names, place = np.unique(group, return_inverse=True)
    members = [np.flatnonzero(place == k) for k in range(len(names))]
    found = []
    for _ in range(draws):
        rows = np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))])
        found.append(auc(is_mock[rows], score[rows]))
    return Verdict(auc(is_mock, score), float(np.nanstd(found)))


def judged(
    features: FloatArray,
    is_mock: NDArray[np.bool_],
    group: NDArray[np.intp],
    kind: str,
    permuted: Sequence[int] = (),
) -> tuple[Verdict, list[float]]:
    """Cross-validated verdict of one kind of classifier, and what it loses without some columns.

    Parameters
    ----------
    features
        (M, P).
    is_mock
        (M,).
    group
        (M,) number of the group that is never split between folds.
    kind
        Of `SPECTRUM_KINDS` (on principal components of pixels: logistic regression; the same with squares;
        gradient boosting) or of `FEATURE_KINDS` (on the columns themselves).
    permuted
        Columns to shuffle among the held-out rows: what the AUC then loses is a column's importance.

    Returns
    -------
    tuple
        The verdict, and the loss of AUC by column of `permuted`.
    """
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    score = np.zeros(len(features))
    shuffled = np.zeros((len(permuted), len(features)))
    # The fits are small: on a busy machine threads would only wait for each other.
    with threadpool_limits(limits=1):
        for train, test in GroupKFold(FOLDS).split(features, is_mock, group):
            model = _model(kind, features.shape[1])
            model.fit(features[train], is_mock[train])
            score[test] = model.predict_proba(features[test])[:, 1]
            for row, column in enumerate(permuted):
                changed = features[test].copy()
                changed[:, column] = rng.permutation(changed[:, column])
                shuffled[row, test] = model.predict_proba(changed)[:, 1]
    whole = verdict(score, is_mock, group)
    return whole, [whole.auc - auc(is_mock, row) for row in shuffled]
