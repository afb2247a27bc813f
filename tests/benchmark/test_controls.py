"""Controls of embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.candidates.canonical import canonical
from desa.evaluation.retrieval import ranks

TRAIN = np.arange(600) < 400


def two_views(shared: int, noise: float = 0.3) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features of 600 stars that have some latent numbers in common, each with more of its own."""
    rng = np.random.default_rng(3)
    common = rng.normal(size=(600, shared))
    views = []
    for width in (12, 20):
        latents = np.concatenate(
            [common + noise * rng.normal(size=common.shape), 3 * rng.normal(size=(600, 6))], 1
        )
        views.append((latents @ rng.normal(size=(shared + 6, width)) + 5).astype(np.float32))
    return views[0], views[1]


def middle_rank(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.median(ranks(first[~TRAIN], second[~TRAIN])))


def test_canonical_variates_find_the_partner_among_stars_that_were_not_fitted() -> None:
    assert middle_rank(*canonical(*two_views(shared=4), TRAIN)) < 10
    assert middle_rank(*canonical(*two_views(shared=0), TRAIN)) > 60


def test_canonical_variates_do_not_depend_on_the_features_basis() -> None:
    first, second = two_views(shared=4)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0].astype(np.float32)
    plain, turned = canonical(first, second, TRAIN), canonical(first @ turn + 7, second, TRAIN)
    similar = [np.abs(pair[0] @ pair[1].T) for pair in (plain, turned)]
    np.testing.assert_allclose(similar[0], similar[1], atol=2e-3 * similar[0].max())


def test_canonical_variates_are_no_more_than_the_features() -> None:
    pair = canonical(*two_views(shared=2), TRAIN, components=32)
    assert pair[0].shape == pair[1].shape == (600, 12)
