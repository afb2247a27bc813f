"""The probe finds what is there, nothing that is not, and never trains on a test star."""

from __future__ import annotations

import numpy as np
import pytest

from desa.evaluation.probe import linear_probe


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 8))
    label = 5000 + 300 * features @ rng.normal(size=8) + 50 * rng.normal(size=600)
    split = rng.choice(["train", "valid", "calibration", "test"], p=[0.6, 0.1, 0.1, 0.2], size=600)
    return features, label, split


def test_linear_label_is_read_and_noise_is_not(data: tuple[np.ndarray, ...]) -> None:
    features, label, split = data
    found = linear_probe(features, label, split)
    assert found.r2 > 0.98
    assert 30 < found.mae < 50  # sigma 50 -> mean |e| 40
    noise = linear_probe(np.random.default_rng(1).normal(size=features.shape), label, split)
    assert abs(noise.r2) < 4 * noise.r2_error + 0.05


def test_test_stars_and_calibration_stars_take_no_part_in_training(data: tuple[np.ndarray, ...]) -> None:
    features, label, split = data
    changed = label.copy()
    changed[split == "calibration"] = 1e9
    assert np.array_equal(
        linear_probe(features, changed, split).predicted, linear_probe(features, label, split).predicted
    )
    changed = label.copy()
    changed[split == "test"] += 1e6
    assert np.array_equal(
        linear_probe(features, changed, split).predicted, linear_probe(features, label, split).predicted
    )


def test_missing_labels_are_left_out(data: tuple[np.ndarray, ...]) -> None:
    features, label, split = data
    holes = label.copy()
    holes[::3] = np.nan
    found = linear_probe(features, holes, split)
    assert found.n_test == int((np.isfinite(holes) & (split == "test")).sum())
    assert np.isfinite(found.r2)


def test_standard_error_is_that_of_repeated_surveys() -> None:
    """The bootstrap's error agrees with the scatter of R2 over fresh draws of stars."""
    scores, errors = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(400, 3))
        y = x[:, 0] + rng.normal(size=400)
        split = np.where(np.arange(400) < 250, "train", "test")
        found = linear_probe(x, y, split)
        scores.append(found.r2)
        errors.append(found.r2_error)
    assert 0.6 < np.mean(errors) / np.std(scores, ddof=1) < 1.7


def test_too_few_stars_is_an_error(data: tuple[np.ndarray, ...]) -> None:
    features, label, split = data
    with pytest.raises(ValueError, match="too few stars"):
        linear_probe(features[:20], label[:20], split[:20])
