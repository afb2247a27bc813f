"""Scores by hand, beside scikit-learn's, and errors beside the scatter of many surveys."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from desa.evaluation import metrics


def by_name(scores: list) -> dict:
    return {score.metric: score for score in scores}


def test_regression_by_hand() -> None:
    truth = np.array([10.0, 20.0, 30.0, 40.0, 50.0, np.nan])
    predicted = np.array([10.5, 18.0, 33.5, 40.0, 60.0, 1.0])
    train = np.array([20.0, 30.0, 40.0, np.nan])
    found = by_name(metrics.regression_scores("t", "x", truth, predicted, train, seed=0))
    assert found["mae"].value == pytest.approx(3.2) and found["mae"].chance == pytest.approx(12.0)
    assert found["within_10"].value == pytest.approx(0.6) and found["within_10"].chance == 0.2
    squares = 0.25 + 4 + 12.25 + 0 + 100
    assert found["r2"].value == pytest.approx(1 - squares / 1000) and found["r2"].chance == 0
    assert found["rmse"].value == pytest.approx(np.sqrt(squares / 5)) and found["mae"].n == 5


def test_classes_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(400) < 0.3).astype(np.int64)
    chance = np.clip(0.35 + 0.3 * truth + 0.2 * rng.normal(size=400), 0, 1)
    shares = np.column_stack([1 - chance, chance])
    found = by_name(metrics.class_scores("t", "b", truth, shares, truth, seed=0))
    called = shares.argmax(1)
    assert found["f1"].value == pytest.approx(f1_score(truth, called))
    assert found["auc"].value == pytest.approx(roc_auc_score(truth, chance))
    assert found["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(truth, called))
    assert found["accuracy"].chance == pytest.approx(1 - truth.mean())
    assert found["average_precision"].chance == pytest.approx(truth.mean())
    rounded = np.round(chance, 1)
    assert metrics.average_precision(truth, rounded) == pytest.approx(average_precision_score(truth, rounded))
    assert np.isnan(metrics.average_precision(np.zeros(5), np.arange(5.0)))
    assert found["f1"].chance == pytest.approx(f1_score(truth, np.ones(400)))


def test_auc_is_the_mann_whitney_statistic() -> None:
    rng = np.random.default_rng(2)
    member = rng.random(200) < 0.3
    values = np.round(rng.standard_normal(200) + member, 1)
    for truth in (member, member.astype(float), member.astype(int)):
        assert metrics.auc(truth, values) == pytest.approx(roc_auc_score(member, values))
    pairs = metrics.auc(np.array([0.0, 0, 1, 1, 0]), np.array([0.1, 0.5, 0.5, 0.9, 0.2]))
    assert pairs == pytest.approx((2 + 0.5 + 3) / 6)
    assert np.isnan(metrics.auc(np.zeros(200, bool), values))


def test_auc_error_is_that_of_many_samples() -> None:
    rng = np.random.default_rng(3)
    areas = []
    for _ in range(400):
        member = np.arange(120) < 40
        areas.append(metrics.auc(member, rng.standard_normal(120) + member))
    assert metrics.auc_error(float(np.mean(areas)), 40, 80) == pytest.approx(np.std(areas), rel=0.25)


def test_many_classes_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth, called = rng.integers(0, 8, 300), rng.integers(0, 8, 300)
    assert metrics.balanced_accuracy(truth, called) == pytest.approx(balanced_accuracy_score(truth, called))


def test_one_area_under_the_curve_in_the_whole_package() -> None:
    source = Path(metrics.__file__).parents[1]
    owners = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        for text in [path.read_text(encoding="utf-8")]
        if re.search(r"roc_auc_score|average_precision_score|mannwhitneyu|balanced_accuracy_score", text)
        or re.search(r"def (?:roc_)?auc(?:_of|_score)?\(|def balanced_accuracy", text)
    }
    assert owners == {"evaluation/metrics.py"}


def test_guessing_lands_on_chance() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 2, 3000)
    guess = rng.random(3000)
    scores = metrics.class_scores("t", "b", truth, np.column_stack([1 - guess, guess]), truth, seed=0)
    for score in scores:
        if score.metric != "f1":
            assert abs(score.value - score.chance) < 4 * score.error, score


def test_errors_are_those_of_repeated_surveys() -> None:
    values, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 150)
        score = truth + rng.normal(size=150)
        values.append(metrics.auc(truth, score))
        errors.append(metrics.bootstrap(metrics.auc, truth, score, seed=seed))
    assert 0.7 < np.mean(errors) / np.std(values, ddof=1) < 1.4


def test_coverage_counts_and_too_few_stars_say_nothing() -> None:
    truth = np.arange(10.0)
    ends = {0.68: (truth - np.r_[np.ones(7), -np.ones(3)], truth + 2.0)}
    found = by_name(metrics.coverage_scores("t", "x", truth, ends))
    assert found["coverage_68"].value == 0.7 and found["coverage_68"].chance == 0.68
    assert found["half_width_68"].value == pytest.approx((7 * 1.5 + 3 * 0.5) / 10)
    few = truth[:4]
    assert metrics.regression_scores("t", "x", few, few, truth, seed=0) == []
    assert metrics.class_scores("t", "x", np.zeros(9, int), np.ones((9, 2)), np.zeros(9, int), seed=0) == []
