"""Canonical correlations: the linear alignment in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import CANDIDATES, Candidate, Embedding
from desa.benchmark.inputs import Inputs

Array = NDArray[np.float32]


def canonical(
    spectrum: Array, lightcurve: Array, train: NDArray[np.bool_], components: int = 32, ridge: float = 1e-3
) -> tuple[Array, Array]:
    """Canonical variates of both modalities' features (Hotelling 1936), weighted by their correlations.

    The closed form of a linear alignment: what a learned one should not fall short of.

    Parameters
    ----------
    spectrum, lightcurve
        (N, F1), (N, F2) features of the same stars.
    train
        (N,) rows that the correlations are taken over.
    components
        How many variates; fewer if the features are fewer.
    ridge
        Added to each covariance, as a share of its mean eigenvalue.

    Returns
    -------
    tuple
        (N, k) each, to be compared by cosine.
    """
    whitened = []
    for rows in (spectrum.astype(np.float64), lightcurve.astype(np.float64)):
        centred = rows - rows[train].mean(axis=0)
        values, vectors = np.linalg.eigh(centred[train].T @ centred[train] / train.sum())
        scale = np.sqrt(np.maximum(values, 0.0) + ridge * values.mean())
        whitened.append(centred @ vectors / scale)
    first, second = whitened
    left, correlations, right = np.linalg.svd(first[train].T @ second[train] / train.sum())
    count = min(components, len(correlations))
    weights = correlations[:count]
    pair = first @ left[:, :count] * weights, second @ right[:count].T * weights
    return pair[0].astype(np.float32), pair[1].astype(np.float32)


class Canonical(Candidate):
    """Canonical variates of both encoders' features."""

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """What retrieval compares, and nothing else."""
        train = inputs.split == "train"
        first, second = canonical(inputs.star_spectrum, inputs.star_lightcurve, train)
        return {"match_spectrum": first, "match_lightcurve": second}


CANDIDATES.add(
    Canonical(
        "canonical",
        "Canonical correlations",
        "both encoders' features turned to each other in closed form; for retrieval",
        14,
        group="reference",
        also=("retrieval",),
    )
)
