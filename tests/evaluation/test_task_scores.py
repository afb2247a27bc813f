"""Every task finds what was put in, gives chance for noise, and never learns from test labels."""

from __future__ import annotations

import numpy as np
import pytest

from desa.evaluation import periods
from desa.evaluation.cmd_classes import cmd_classes, purity
from desa.evaluation.few_shot import few_shot, label_efficiency
from desa.evaluation.parameters import parameters
from desa.evaluation.retrieval import ranks, retrieval
from desa.evaluation.robustness import robustness
from desa.evaluation.rotation import measured, rotation

SHARES = (0.6, 0.1, 0.1, 0.2)
STEP = 0.0204336


def split_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(["train", "valid", "calibration", "test"], p=SHARES, size=count)


def find(scores: list, metric: str, part: str = "", label: str | None = None):
    return next(s for s in scores if s.metric == metric and s.part == part and label in (None, s.label))


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    kind = rng.choice(3, p=[0.6, 0.3, 0.1], size=500)
    x = rng.normal(size=(500, 6)) + 7.0 * np.eye(6)[kind]
    return x, np.array(["dwarf", "giant", "subgiant"])[kind], split_of(500, seed=7)


@pytest.mark.parametrize(
    "methods",
    [("gmm", "kmeans"), pytest.param(("umap+gmm", "umap+kmeans"), marks=pytest.mark.slow)],  # it is compiled
    ids=["plain", "umap"],
)
def test_separable_classes_are_found(blobs: tuple[np.ndarray, ...], methods: tuple[str, ...]) -> None:
    x, names, split = blobs
    names = names.copy()
    names[:20] = ""
    scores, arrays = cmd_classes(x, names, split, seed=1, methods=methods)
    assert {score.label for score in scores} == set(methods)
    for score in scores:
        assert score.value > 0.9, score
        assert score.chance < 0.75 and (score.metric != "ari" or abs(score.chance) < 0.05)
    assert ("map" in arrays) == methods[0].startswith("umap")
    assert arrays.get("map", np.empty((480, 2))).shape == (480, 2) and arrays["row"].min() >= 20


def test_classes_of_noise_are_chance(blobs: tuple[np.ndarray, ...]) -> None:
    noise = np.random.default_rng(5).normal(size=(500, 6))
    scores, _ = cmd_classes(noise, blobs[1], blobs[2], methods=("gmm", "kmeans"))
    for score in scores:
        assert abs(score.value - score.chance) < 5 * score.error + 0.03, score


def test_clusters_are_named_without_the_test_stars(blobs: tuple[np.ndarray, ...]) -> None:
    x, names, split = blobs
    swapped = np.where((split == "test") & (names == "dwarf"), "giant", names)
    swapped[(split == "test") & (names == "giant")] = "dwarf"
    scores, _ = cmd_classes(x, swapped, split, methods=("kmeans",))
    assert find(scores, "accuracy").value < 0.2
    assert find(scores, "nmi").value > 0.8  # clusters are as clean as ever


def test_purity_by_hand() -> None:
    assert purity(np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1])) == pytest.approx(3 / 5)


@pytest.fixture(scope="module")
def linear() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1500, 10))
    label = 10 + x @ rng.normal(size=10) + 0.3 * rng.normal(size=1500)
    return x, label, split_of(1500)


def test_few_shot_gets_better_with_labels_and_reads_no_other_split(linear: tuple[np.ndarray, ...]) -> None:
    x, label, split = linear
    scores, arrays = few_shot(x, {"y": label}, split, draws=8)
    values = [find(scores, "r2", f"{share} %").value for share in (1, 5, 20)]
    assert values == sorted(values) and values[2] > 0.95 > values[0]
    elsewhere = np.where(split == "test", label, np.nan)
    assert few_shot(x, {"y": elsewhere}, split, draws=8)[0] == scores
    learnt = np.isnan(arrays["y/predicted"])
    assert learnt.sum() == round(0.2 * (split == "test").sum())
    noise = np.random.default_rng(2).normal(size=x.shape)
    for score in few_shot(noise, {"y": label}, split, draws=8)[0]:
        assert score.value < score.chance + 4 * score.error + 0.02 or score.metric == "mae"
        assert score.metric != "r2" or score.value < 0.05


def test_few_shot_error_is_that_of_repeated_surveys() -> None:
    values, errors = [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(150, 3))
        label = x[:, 0] + rng.normal(size=150)
        scores, _ = few_shot(x, {"y": label}, np.full(150, "test"), shares=(0.2,), draws=8, seed=seed)
        values.append(find(scores, "r2", "20 %").value)
        errors.append(find(scores, "r2", "20 %").error)
    assert 0.6 < np.mean(errors) / np.std(values, ddof=1) < 1.7


def test_label_efficiency_rises_to_all_labels(linear: tuple[np.ndarray, ...]) -> None:
    x, label, split = linear
    scores, arrays = label_efficiency(x, {"y": label}, split, counts=(10, 100, 10**6), draws=5)
    there = int(np.isin(split, ("train", "valid")).sum())
    assert arrays["y/labels"].tolist() == [10, 100, there]
    assert (np.diff(arrays["y/r2"]) > 0).all() and arrays["y/r2"][-1] > 0.98
    assert find(scores, "r2", f"{there} labels").n == int((split == "test").sum())


def test_parameters_by_snr_see_the_noise_and_cover() -> None:
    rng = np.random.default_rng(6)
    count, levels = 6000, (0.05, 0.16, 0.5, 0.84, 0.95)
    snr, teff = rng.uniform(5, 200, count), rng.uniform(4000, 7500, count)
    sigma = 2000 / snr
    middle = teff + sigma * rng.normal(size=count)
    normal = np.array([-1.645, -0.994, 0.0, 0.994, 1.645])
    quantiles = (middle[:, None] + 0.5 * sigma[:, None] * normal)[:, None]
    found, _ = parameters(quantiles, levels, teff[:, None], ("teff",), split_of(count), snr, teff, seed=0)
    maes = [find(found, "mae", f"S/N {name}").value for name in ("< 20", "20-40", "40-80", "80-160")]
    assert maes == sorted(maes, reverse=True)
    cover = find(found, "coverage_68")
    assert abs(cover.value - 0.68) < 3 * np.hypot(cover.error, 0.02)
    assert find(found, "coverage_90", "Teff 5250-6000").n > 50


def spotted(period: float, days: float, seed: int, double: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = STEP * np.arange(int(days / STEP))
    phase = 2 * np.pi * time / period
    flux = np.sin(phase) + (1.5 * np.sin(2 * phase) if double else 0.3 * np.sin(2 * phase + 1))
    flux = 1 + 1e-3 * flux + 3e-4 * rng.normal(size=len(time))
    flux[(time % 90) < 3] = np.nan
    return flux.astype(np.float32)


@pytest.mark.parametrize("period", [0.8, 4.0, 12.0, 27.0])
def test_periods_of_spotted_stars(period: float) -> None:
    flux = spotted(period, 180.0, seed=int(period))
    assert periods.acf_peak(flux, STEP)[0] == pytest.approx(period, rel=0.06)
    assert periods.lomb_scargle_peak(flux, STEP)[0] == pytest.approx(period, rel=0.06)


def test_the_acf_is_not_fooled_by_two_spots_as_lomb_scargle_is() -> None:
    flux = spotted(10.0, 180.0, seed=1, double=True)
    assert periods.acf_peak(flux, STEP)[0] == pytest.approx(10.0, rel=0.05)
    assert periods.lomb_scargle_peak(flux, STEP)[0] == pytest.approx(5.0, rel=0.05)


def test_acf_is_that_of_the_flux_with_gaps_at_the_mean() -> None:
    x = np.random.default_rng(0).normal(size=60)
    x[[5, 6, 20]] = np.nan
    filled = np.nan_to_num(x - np.nanmean(x))
    direct = np.array([np.sum(filled[: 60 - lag] * filled[lag:]) for lag in range(60)])
    np.testing.assert_allclose(periods.acf(x), direct / direct[0], atol=1e-12)


def test_constant_and_empty_light_curves_have_no_period() -> None:
    for flux in (np.ones(4000), np.full(4000, np.nan)):
        assert np.isnan(periods.acf_peak(flux, STEP)[0]) and np.isnan(
            periods.lomb_scargle_peak(flux, STEP)[0]
        )


def test_rotation_scores_all_methods_on_the_same_stars() -> None:
    rng = np.random.default_rng(1)
    prot = rng.uniform(3, 20, 60)
    fluxes = [spotted(period, 90.0, seed) for seed, period in enumerate(prot)]
    split = np.array(["train", "test"] * 30)
    found = measured(fluxes, STEP)
    label = prot.copy()
    label[1] = np.nan
    found["blind"] = np.full(60, np.nan)
    scores, arrays = rotation(found, label, split)
    assert {score.n for score in scores} == {29}
    for method in ("ACF", "Lomb-Scargle"):
        assert find(scores, "within_10", label=method).value > 0.8
    blind = find(scores, "mae", label="blind")
    assert blind.value == pytest.approx(blind.chance)
    assert arrays["ACF/truth"].tolist() == arrays["blind/truth"].tolist()


def test_retrieval_of_matching_and_of_unrelated_rows() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=(800, 16))
    split = np.where(np.arange(800) < 400, "test", "train")
    scores, _ = retrieval(a, a + 0.2 * rng.normal(size=a.shape), split)
    assert all(s.value > 0.95 for s in scores if s.metric == "recall_1")
    noise, arrays = retrieval(a, rng.normal(size=a.shape), split)
    for score in noise:
        assert abs(score.value - score.chance) < 4 * max(score.error, 0.003), score
    assert arrays["spectrum of light curve/rank"].shape == (400,)
    assert retrieval(a[:, :0], a[:, :0], split) == ([], {})


def test_collapsed_embeddings_retrieve_nothing() -> None:
    same = np.ones((101, 4))
    assert ranks(same, same).tolist() == [51.0] * 101


def test_robustness_sees_what_is_missing_and_what_is_noisy(linear: tuple[np.ndarray, ...]) -> None:
    x, label, split = linear
    snr = np.random.default_rng(0).uniform(5, 200, len(x))
    half = x.copy()
    half[:, 5:] = x[:, 5:].mean(axis=0)
    absent = np.where(np.arange(len(x))[:, None] % 2 == 0, x, np.nan)
    scores, _ = robustness(x, {"half": half, "some": absent}, {"y": label}, split, snr=snr)
    whole, less = find(scores, "r2", "whole"), find(scores, "r2", "half")
    assert whole.value > 0.95 and less.value < whole.value - 0.1
    assert find(scores, "r2", "some").n < 0.6 * whole.n
    assert sum(s.n for s in scores if s.part.startswith("S/N") and s.metric == "mae") == whole.n
    with pytest.raises(ValueError, match="features"):
        robustness(x, {"half": half[:, :3]}, {"y": label}, split)
