"""Zero-shot classes of the colour-magnitude diagram: clusters of the embedding, named by few stars.

The paper's zero-shot task is a Gaussian mixture on a UMAP of the features; its accuracy compared the
arbitrary numbers of clusters with the codes of classes. Here clusters are found without labels, matched to
classes one to one by the Hungarian method (Kuhn 1955) on stars that are not for testing, and scored on test
stars.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from desa.evaluation.few_shot import standardised
from desa.evaluation.metrics import LEAST, accuracy, balanced_accuracy, bootstrap
from desa.evaluation.score import Score

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

METHODS = ("umap+gmm", "umap+kmeans", "gmm", "kmeans")
"""The first is the paper's. ``gmm`` works on the `COMPONENTS` first principal components."""

COMPONENTS = 10
PERMUTATIONS = 30
LEAST_CLASS = 10
"""Classes with fewer stars are left out."""


def umap_map(features: NDArray[Any], seed: int) -> Array:
    """(N, 2) UMAP coordinates (McInnes et al. 2018); needs the extra ``benchmark``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap

        neighbours = min(15, len(features) - 1)
        found = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(features)
    return np.asarray(found, dtype=np.float64)


def purity(truth: Labels, cluster: Labels) -> float:
    """Share of stars that are of the commonest class of their cluster."""
    return float(sum(np.bincount(truth[cluster == name]).max() for name in np.unique(cluster)) / len(truth))


def matched(cluster: Labels, truth: Labels, size: int) -> Labels:
    """(size,) class of each cluster: the one-to-one assignment with most stars classed correctly."""
    table = np.zeros((size, size))
    np.add.at(table, (cluster, truth), 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    found = np.zeros(size, dtype=np.int64)
    found[rows] = columns
    return found


def _clusters(method: str, x: Array, plane: Array | None, size: int, seed: int) -> Labels:
    rows = x if plane is None else plane
    if method.endswith("kmeans"):
        return np.asarray(KMeans(size, n_init=4, random_state=seed).fit_predict(rows), dtype=np.int64)
    if plane is None:
        rows = PCA(min(COMPONENTS, *x.shape), random_state=seed).fit_transform(x)
    mixture = GaussianMixture(size, n_init=4, reg_covar=1e-3, random_state=seed)
    return np.asarray(mixture.fit_predict(rows), dtype=np.int64)


def cmd_classes(
    features: NDArray[Any],
    classes: NDArray[np.str_],
    split: NDArray[np.str_],
    *,
    seed: int = 0,
    methods: Sequence[str] = METHODS,
    most: int = 6000,
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """Cluster, match, score.

    Parameters
    ----------
    features
        (N, D) of the model.
    classes
        (N,) names of classes, empty where unknown: dwarf, photometric binary, subgiant, red giant, ... as
        Godoy-Rivera et al. (2025) draw them in the colour-magnitude diagram.
    split
        (N,); clusters are found among all stars with a class, named by those that are not for testing, and
        scored on the test stars.
    seed
        Of UMAP, clustering, permutations and bootstrap.
    methods
        Of `METHODS`.
    most
        Stars that take part, test stars first: a UMAP of more takes long.

    Returns
    -------
    tuple
        Scores by method (their label): accuracy, balanced accuracy, ARI, NMI, purity, each with its
        chance, that of permuted classes. Arrays: ``row`` of each star taken, ``truth`` and the ``names`` of
        classes, ``test``, ``map`` (N, 2) and ``<method>/called``.

    Raises
    ------
    ValueError
        With fewer than two classes, or too few test stars.
    """
    split = np.asarray(split)
    counted = np.unique(classes[classes != ""], return_counts=True)
    names = counted[0][counted[1] >= LEAST_CLASS]
    row = np.flatnonzero(np.isin(classes, names))
    rng = np.random.default_rng(seed)
    if len(row) > most:
        order = rng.permutation(row)
        row = np.sort(order[np.argsort(split[order] != "test", kind="stable")][:most])
    truth, test = np.searchsorted(names, classes[row]), split[row] == "test"
    if len(names) < 2 or test.sum() < LEAST or (~test).sum() < LEAST_CLASS:
        raise ValueError(f"{len(names)} classes and {test.sum()} test stars: too few for CMD classes")
    x = standardised(features[row])
    plane = umap_map(x, seed) if any(name.startswith("umap") for name in methods) else None
    arrays: dict[str, NDArray[Any]] = {"row": row, "truth": truth, "names": names, "test": test}
    scores = []
    for method in methods:
        given = plane if method.startswith("umap") else None
        cluster = _clusters(method, x, given, len(names), seed)
        called = matched(cluster[~test], truth[~test], len(names))[cluster]
        arrays[f"{method}/called"] = called
        scores += _scores(method, truth, called, test, len(names), seed)
    return scores, arrays if plane is None else {**arrays, "map": plane}


def _scores(
    method: str, truth: Labels, called: Labels, test: NDArray[np.bool_], size: int, seed: int
) -> list[Score]:
    rng = np.random.default_rng(seed)
    chance = np.zeros((PERMUTATIONS, len(METRICS)))
    for draw in range(PERMUTATIONS):
        mixed = rng.permutation(truth)
        own = matched(called[~test], mixed[~test], size)[called]
        chance[draw] = [metric(mixed[test], own[test]) for metric in METRICS.values()]
    t, c = truth[test], called[test]
    return [
        Score(
            "cmd_classes",
            method,
            name,
            metric(t, c),
            bootstrap(metric, t, c, seed=seed, draws=100),
            float(chance[:, place].mean()),
            len(t),
        )
        for place, (name, metric) in enumerate(METRICS.items())
    ]


METRICS: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "ari": lambda t, c: float(adjusted_rand_score(t, c)),
    "nmi": lambda t, c: float(normalized_mutual_info_score(t, c)),
    "purity": purity,
}
