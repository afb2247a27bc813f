"""Neighbours tell a cluster from noise, and never count the object itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from desa.evaluation.neighbours import nearest, neighbour_error, separation


def test_neighbours_leave_the_object_itself_out() -> None:
    near = nearest(np.arange(30.0)[:, None], 2)
    assert not (near == np.arange(30)[:, None]).any()
    assert set(near[10].tolist()) == {9, 11}


def test_neighbours_and_their_auc_are_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((90, 4)) * [1.0, 10.0, 0.1, 3.0]
    member = np.arange(90) < 25
    scaled = StandardScaler().fit_transform(x)
    _, near = NearestNeighbors(n_neighbors=10).fit(scaled).kneighbors()
    np.testing.assert_array_equal(np.sort(nearest(x)), np.sort(near))
    found, _ = separation(x, member, "landmarks", "cluster")
    assert found.value == pytest.approx(roc_auc_score(member, member[near].mean(axis=1)))
    values = rng.standard_normal(90)
    assert neighbour_error(x, values)[0] == pytest.approx(np.abs(values - values[near].mean(axis=1)).mean())


def test_separation_tells_a_cluster_from_noise() -> None:
    rng = np.random.default_rng(4)
    member = np.arange(150) < 30
    clustered = rng.standard_normal((150, 4)) + 4.0 * member[:, None]
    apart, _ = separation(clustered, member, "landmarks", "cluster")
    assert apart.value > 0.97 and (apart.task, apart.label, apart.n) == ("landmarks", "cluster", 30)
    none, permuted = separation(rng.standard_normal((150, 4)), member, "landmarks", "noise")
    assert none.chance == permuted.value < 0.5
    assert abs(none.value - none.chance) < 3 * permuted.error
    assert separation(clustered, np.zeros(150, bool), "landmarks", "nobody") == []
