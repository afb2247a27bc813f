"""A fine-tuned head learns what is there, keeps to its splits, and its calibration holds."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from desa.finetune.head import fine_tune
from desa.finetune.training import best_temperature
from desa.models.finetuned import Features, FineTuning, class_sets
from desa.training.task import Interrupted

SHARES = (0.6, 0.1, 0.1, 0.2)


def split_of(count: int, seed: int = 0, shares: tuple[float, ...] = SHARES) -> np.ndarray:
    return np.random.default_rng(seed).choice(["train", "valid", "calibration", "test"], p=shares, size=count)


def data(count: int, noise: float = 0.3, seed: int = 0) -> tuple[Features, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 12)).astype(np.float32)
    label = 5000 + 400 * (x[:, 0] + 0.5 * x[:, 8] + noise * rng.normal(size=count))
    return Features(torch.from_numpy(x[:, :7]), torch.from_numpy(x[:, 7:])), label


def value(scores: list, metric: str) -> float:
    return next(score.value for score in scores if score.metric == metric)


class Mixer(nn.Module):
    """An aligner that hides what matters: training it must help."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.map = nn.Linear(12, 8)

    def forward(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> Tensor:
        x = torch.cat([spectrum, lightcurve], dim=1)
        return torch.tanh(3 * self.map(x))


@pytest.mark.parametrize("head", ["linear", "perceptron", "transformer"])
def test_every_head_learns_a_label_and_its_intervals_cover(head: str) -> None:
    count = 1500 if head == "transformer" else 900
    features, label = data(count)
    epochs = 25 if head == "perceptron" else 12
    chosen = FineTuning(head=head, epochs=epochs, blocks=1, width=16, heads=2, learning_rate=3e-3)
    found = fine_tune(features, label, split_of(count), chosen)
    r2 = value(found.scores, "r2")
    assert r2 > {"linear": 0.9, "perceptron": 0.8, "transformer": 0.6}[head]  # the best possible is 0.93
    for name, nominal in (("coverage_68", 0.68), ("coverage_90", 0.9)):
        cover = next(score for score in found.scores if score.metric == name)
        slack = np.sqrt(nominal * (1 - nominal) / found.counts["calibration"])
        assert abs(cover.value - nominal) < 3 * np.hypot(cover.error, slack)
    assert (np.diff(found.predicted, axis=1) >= 0).all()


def test_fifty_labels_do_something_sensible_and_noise_predicts_the_middle() -> None:
    features, label = data(400)
    label[50:320] = np.nan
    split = np.where(np.arange(400) < 320, split_of(400, shares=(0.7, 0.1, 0.2, 0.0)), "test")
    found = fine_tune(features, label, split, FineTuning())
    assert found.counts["train"] < 45 and found.chosen == "linear"
    assert value(found.scores, "r2") > 0.75
    assert found.model.calibration["stars"] == "held out in cross-validation"
    assert value(found.scores, "coverage_68") > 0.5 and np.isfinite(value(found.scores, "half_width_90"))
    noise = np.random.default_rng(3).normal(size=400)
    noise[50:320] = np.nan
    score = fine_tune(features, noise, split, FineTuning()).scores
    mae = next(row for row in score if row.metric == "mae")
    assert mae.value < mae.chance * 1.25


def test_classes_are_told_calibrated_and_counted_right() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 800)
    x = rng.normal(size=(800, 6)) + 1.5 * np.eye(6)[truth]
    features = Features(torch.from_numpy(x), None)
    label = truth.astype(float)
    label[::5] = np.nan
    found = fine_tune(features, label, split_of(800), FineTuning(classes=("a", "b", "c")))
    assert value(found.scores, "accuracy") > 0.75
    np.testing.assert_allclose(found.predicted.sum(axis=1), 1.0)
    sets = class_sets(found.predicted, found.model.calibration)
    inside = sets[0.9][np.arange(len(found.truth)), found.truth.astype(int)].mean()
    assert abs(inside - 0.9) < 0.1 and sets[0.9].sum() < 2.2 * len(sets[0.9])
    assert found.counts == {
        name: int((np.isfinite(label) & (split_of(800) == name)).sum()) for name in found.counts
    }


def test_a_class_that_no_training_star_has_is_not_predicted() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 300)
    x = torch.from_numpy(rng.normal(size=(300, 4)) + 3.0 * np.eye(4)[truth])
    for rare in (0, 1):
        label = truth + 1.0 if rare == 0 else 2.0 * truth
        found = fine_tune(Features(x, None), label, split_of(300), FineTuning(classes=("a", "b", "c")))
        assert found.predicted[:, rare].max() < 1e-3
        assert np.mean(found.predicted.argmax(1) == found.truth) > 0.9


def test_test_stars_change_nothing_and_calibration_stars_only_the_intervals() -> None:
    features, label = data(600)
    split = split_of(600)
    first = fine_tune(features, label, split, FineTuning(epochs=3))
    changed = label.copy()
    changed[split == "test"] += 1e4
    again = fine_tune(features, changed, split, FineTuning(epochs=3))
    np.testing.assert_array_equal(first.predicted, again.predicted)
    assert first.model.calibration == again.model.calibration
    changed = label.copy()
    changed[split == "calibration"] += 1e4
    third = fine_tune(features, changed, split, FineTuning(epochs=3))
    np.testing.assert_array_equal(first.predicted, third.predicted)
    assert first.model.calibration != third.model.calibration


def test_unfreezing_helps_where_the_aligner_hides_the_label_and_leaves_the_callers_alone() -> None:
    features, label = data(900, noise=0.1)
    aligner, split = Mixer(), split_of(900)
    before = {name: tensor.clone() for name, tensor in aligner.state_dict().items()}
    chosen = FineTuning(head="linear", unfreeze=True, epochs=40, aligner_rate=1.0, learning_rate=5e-3)
    frozen = fine_tune(features, label, split, FineTuning(head="linear"), aligner=aligner)
    free = fine_tune(features, label, split, chosen, aligner=aligner)
    assert value(free.scores, "r2") > value(frozen.scores, "r2") + 0.05
    for name, tensor in aligner.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not torch.equal(free.model.aligner.map.weight, before["map.weight"])


def test_the_same_seed_gives_the_same_head_and_leaves_torch_alone() -> None:
    features, label = data(500)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = fine_tune(features, label, split_of(500), FineTuning(head="perceptron", epochs=3), seed=1)
    assert torch.equal(torch.rand(1), expected)
    again = fine_tune(features, label, split_of(500), FineTuning(head="perceptron", epochs=3), seed=1)
    np.testing.assert_array_equal(first.predicted, again.predicted)


class Stopping(Mixer):
    """Tells its own process to stop in the middle of training, once."""

    left = 30

    def forward(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> Tensor:
        if self.training:
            Stopping.left -= 1
            if Stopping.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(spectrum, lightcurve, prior)


def test_a_stopped_head_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    features, label = data(300)
    chosen = FineTuning(head="perceptron", unfreeze=True, epochs=14)
    whole = fine_tune(features, label, split_of(300), chosen, aligner=Mixer())
    with pytest.raises(Interrupted, match="SIGTERM after step 30"):
        fine_tune(features, label, split_of(300), chosen, aligner=Stopping(), work=tmp_path)
    assert len(list(tmp_path.glob("perceptron-*/checkpoint.pt"))) == 1
    again = fine_tune(features, label, split_of(300), chosen, aligner=Stopping(), work=tmp_path)
    np.testing.assert_array_equal(again.predicted, whole.predicted)
    assert again.model.calibration == whole.model.calibration
    other = fine_tune(features, label + 1.0, split_of(300), chosen, aligner=Mixer(), work=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2, "other labels are another run"
    assert not np.array_equal(other.predicted, whole.predicted)


def test_what_cannot_be_trained_is_refused_with_a_reason() -> None:
    features, label = data(100)
    few = np.where(np.arange(100) < 3, label, np.nan)
    with pytest.raises(ValueError, match="at least 5"):
        fine_tune(features, few, split_of(100), FineTuning())
    with pytest.raises(ValueError, match="one class"):
        fine_tune(features, np.zeros(100), split_of(100), FineTuning(classes=("a", "b")))
    broken = Features(features.spectrum.clone(), None)
    broken.spectrum[0] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        fine_tune(broken, label, split_of(100), FineTuning())


def test_the_temperature_of_overconfident_logits_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(4000, 3)))
    target = torch.multinomial(logits.softmax(1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
    assert best_temperature(3.0 * logits, target) == pytest.approx(3.0, rel=0.15)


@pytest.mark.parametrize("classes", [(), ("low", "high")])
def test_thirty_stars_have_a_score_in_cross_validation(classes: tuple[str, ...]) -> None:
    features, label = data(400)
    known = np.full(400, np.nan)
    known[:30] = (label[:30] > 5000) if classes else label[:30]
    split = np.where(
        np.arange(400) % 10 == 9, "test", np.where(np.arange(400) % 10 == 8, "calibration", "train")
    )
    found = fine_tune(features, known, split, FineTuning(classes=classes))
    assert found.counts["test"] == 3 and {score.part for score in found.scores} == {"cross-validation"}
    score = next(s for s in found.scores if s.metric == ("accuracy" if classes else "mae"))
    assert score.n == 30 and np.isfinite(score.error) and score.error > 0
    assert score.value > score.chance if classes else score.value < 0.7 * score.chance
    rest = found.model.predict(features)[30:]
    if not classes:  # the score holds for stars that nobody labelled
        error = np.abs(rest[:, found.model.settings.quantiles.index(0.5)] - label[30:]).mean()
        assert abs(error - score.value) < 3 * np.hypot(score.error, 0.02 * score.value) + 0.2 * score.value


def test_noise_has_no_score_in_cross_validation() -> None:
    features, _ = data(30)
    noise = np.random.default_rng(5).normal(size=30)
    score = fine_tune(features, noise, np.full(30, "train"), FineTuning()).scores
    r2 = next(row for row in score if row.metric == "r2")
    assert r2.value < 2 * r2.error
