from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from desa.errors import ModelError
from desa.models.reference import FILE, Reference, fit_reference, read_references, write_references


def stars(count: int, seed: int) -> np.ndarray:
    """Features along a curve, very unequal in spread."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, np.pi, count)
    plane = np.stack([np.cos(angle), np.sin(angle)], 1) * 30
    return np.hstack([plane + rng.normal(0, 0.5, (count, 2)), rng.normal(0, 0.01, (count, 3))])


@pytest.fixture(scope="module")
def reference() -> Reference:
    found = fit_reference(stars(3000, 0), stars(1000, 1), data="made up")
    assert found is not None
    return found


def test_p_values_of_like_stars_are_uniform(reference: Reference) -> None:
    p = reference.p_value(stars(2000, 2))
    for level in (0.05, 0.2, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, abs=0.05)


def test_unlike_stars_are_far(reference: Reference) -> None:
    inside_the_arc, off_the_plane = np.zeros(5), np.array([0, 30, 0, 0, 0.3])
    inside_the_arc[1] = 5.0
    p = reference.p_value(np.stack([inside_the_arc, off_the_plane]))
    assert np.all(p == reference.least) and reference.least == pytest.approx(1 / 1001)


def test_distance_is_that_to_the_fifth_neighbour(reference: Reference) -> None:
    star = stars(1, 3)
    here = (star - reference.mean) @ reference.whitening
    all_distances = np.sort(np.linalg.norm(reference.points.astype(float) - here, axis=1))
    np.testing.assert_allclose(reference.distance(star), all_distances[4], rtol=1e-2)


def test_features_that_are_no_numbers_have_no_p_value(reference: Reference) -> None:
    rows = stars(2, 4)
    rows[0, 2] = np.nan
    assert np.isnan(reference.p_value(rows)).tolist() == [True, False]


def test_too_few_stars_or_no_spread_give_none() -> None:
    assert fit_reference(stars(10, 0), stars(300, 1)) is None
    assert fit_reference(stars(100, 0), stars(3, 1)) is None
    assert fit_reference(np.ones((100, 4)), np.ones((100, 4))) is None


def test_there_and_back(reference: Reference, tmp_path: Path) -> None:
    write_references(tmp_path, {"spectrum": reference})
    again = read_references(tmp_path)["spectrum"]
    rows = stars(50, 5)
    np.testing.assert_array_equal(again.p_value(rows), reference.p_value(rows))
    assert again.facts == reference.facts == {"data": "made up", "training": 3000, "calibration": 1000}
    write_references(tmp_path, {})
    assert read_references(tmp_path) == {}


def test_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\x00" * 40)
    with pytest.raises(ModelError, match="damaged"):
        read_references(tmp_path)


def test_many_stars_take_little_memory() -> None:
    """A survey's stars are compared some at a time, and to the same distances."""
    rng = np.random.default_rng(0)
    training, stars = (rng.normal(size=(count, 4)).astype(np.float32) for count in (3000, 10_000))
    reference = fit_reference(training, training[:100])
    assert reference is not None
    tracemalloc.start()
    found = reference.distance(stars)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6, "the whole matrix is 80 MB, and it is needed twice"
    np.testing.assert_allclose(found[5000:5050], reference.distance(stars[5000:5050]), rtol=1e-4)
