"""Folds by star, repeated cross-validation and few labels: what is there is found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from desa.errors import SettingsError
from desa.evaluation.crossvalidation import (
    boosted_classes,
    class_table,
    cross_intervals,
    folds,
    from_few,
    held_out,
    kernel_ridge,
    linear,
    logistic,
    number_table,
)
from desa.evaluation.metrics import coverage_scores


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=60, max_size=120), st.integers(2, 6), st.integers(0, 1000))
def test_no_star_in_two_folds(names: list[int], count: int, seed: int) -> None:
    star = np.array([*names, *range(41)])
    fold = folds(star, count, seed)
    for name in np.unique(star):
        assert len(np.unique(fold[star == name])) == 1
    sizes = [len(np.unique(star[fold == k])) for k in range(count)]
    assert max(sizes) - min(sizes) <= 1


def test_too_few_stars_for_the_folds() -> None:
    with pytest.raises(SettingsError, match="3 stars"):
        folds(np.array([0, 1, 2]), 5, 0)


def test_stratified_folds_hold_their_share_of_each_class() -> None:
    star = np.repeat(np.arange(60), 2)
    kind = np.where(star < 15, 1, 0)
    fold = folds(star, 5, 3, kind)
    assert all(len(set(fold[star == name])) == 1 for name in range(60))
    assert [int((kind[fold == k] == 1).sum()) for k in range(5)] == [6] * 5


def test_repeated_cross_validation_finds_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    y = (rng.random(160) < 0.3).astype(float)
    x = rng.normal(size=(160, 20))
    noise = class_table("t", "k", y, held_out(x, y, logistic, classes=True, seed=0, repeats=2), seed=0)
    assert abs(noise[1].value - 0.5) < 3.5 * noise[1].error and noise[1].error > 0.02
    told = class_table(
        "t", "k", y, held_out(x + 2.0 * y[:, None], y, logistic, classes=True, seed=0, repeats=2), seed=0
    )
    assert told[1].metric == "auc" and told[1].value > 0.97
    label = 5 + x[:, 0]
    found = held_out(x, label, linear, classes=False, seed=0, repeats=2)
    assert np.isfinite(found).all() and number_table("t", "n", label, found, seed=0)[0].value > 0.9
    # a star's own label plays no part in what is said of it
    changed = label.copy()
    changed[7] += 100
    again = held_out(x, changed, linear, classes=False, seed=0, repeats=2)
    assert again[:, 7] == pytest.approx(found[:, 7])


def test_held_out_probabilities_and_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(5)
    y = (np.arange(120) % 3 == 0).astype(float)
    x = rng.normal(size=(120, 4)) + y[:, None]
    found = held_out(x, y, boosted_classes, classes=True, seed=7, repeats=1)
    model = GradientBoostingClassifier(n_estimators=100, max_depth=2, subsample=0.7, random_state=0)
    parts = StratifiedKFold(5, shuffle=True, random_state=7)
    theirs = cross_val_predict(model, x, y.astype(int), cv=parts, method="predict_proba")
    np.testing.assert_allclose(found[0], theirs)
    scores = {score.metric: score for score in class_table("t", "k", y, found, seed=0)}
    assert scores["auc"].value == pytest.approx(roc_auc_score(y, theirs[:, 1]))
    assert scores["average_precision"].value == pytest.approx(average_precision_score(y, theirs[:, 1]))
    called = theirs[:, 1] > y.mean()
    assert scores["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(y, called))


def test_classes_of_few_labels_are_told_and_noise_is_chance() -> None:
    rng = np.random.default_rng(6)
    y = np.repeat([0.0, 1, 2, 3], [80, 40, 20, 12])
    noise = rng.normal(size=(len(y), 6))
    told = noise + 4 * np.eye(6)[y.astype(int)]
    found = from_few(told, y, logistic, 0.2, seed=0, draws=4)
    learnt = np.isnan(found[..., 0])
    assert (learnt.sum(axis=1) == 16 + 8 + 4 + 2).all() and found.shape == (4, len(y), 4)
    assert len({row.tobytes() for row in learnt}) == 4
    (score,) = class_table("t", "k", y, found, seed=0, part="20 %")
    assert (score.metric, score.part, score.chance) == ("balanced_accuracy", "20 %", 0.25)
    assert score.value > 0.9
    (blind,) = class_table("t", "k", y, from_few(noise, y, logistic, 0.2, seed=0, draws=4), seed=0)
    assert abs(blind.value - 0.25) < 4 * blind.error and 0.01 < blind.error < 0.1
    with pytest.raises(ValueError, match="fewer than 3"):
        from_few(told, np.where(np.arange(len(y)) < 2, 4.0, y), logistic, 0.2, seed=0)


def test_cross_calibrated_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(0)
    count, levels = 3000, (0.05, 0.16, 0.5, 0.84, 0.95)
    labels = rng.standard_normal((count, 3))
    narrow = np.broadcast_to(0.3 * norm.ppf(levels), (count, 3, 5))
    ends = cross_intervals(narrow, labels, rng.integers(0, 5, count), levels)
    assert set(ends) == {0.68, 0.9}
    for place in range(3):
        of = {nominal: (low[:, place], high[:, place]) for nominal, (low, high) in ends.items()}
        for score in coverage_scores("t", "x", labels[:, place], of):
            if score.metric.startswith("coverage"):
                assert abs(score.value - score.chance) < 4 * score.error
            else:
                nominal = 0.01 * float(score.metric.removeprefix("half_width_"))
                assert score.value == pytest.approx(norm.ppf((1 + nominal) / 2), rel=0.1)


def test_an_odd_row_is_no_component_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "desa.evaluation.crossvalidation.KERNEL_GRID", {"alpha": [1e-3], "gamma": [1e-2, 1e-1]}
    )
    rng = np.random.default_rng(8)
    hidden = rng.normal(size=(200, 3))
    x = hidden @ rng.normal(size=(3, 50)) + 1e-3 * rng.normal(size=(200, 50))
    x[150, 7] += 100.0  # one bad pixel of a star that is not learnt from
    y = hidden[:, 0]
    found = kernel_ridge(x[:150], y[:150], x[150:])
    assert abs(found[0]) > 0 and np.corrcoef(found[1:], y[151:])[0, 1] > 0.8
    alone = kernel_ridge(x[:150], y[:150], x[151:])
    np.testing.assert_allclose(found[1:], alone)
