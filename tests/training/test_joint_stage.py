from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from desa.config import Settings, with_changes
from desa.errors import SettingsError
from desa.inference.embed import embed_stars
from desa.inference.encode import lightcurve_features, spectrum_features
from desa.inference.joint import has_both, joint_estimates
from desa.inference.predict import predict_stars
from desa.inference.quality import Flag
from desa.models.network import Network
from desa.survey.mixture import Mixture
from desa.survey.selection import stars_of_survey
from desa.training.joining import Join, JointBatch
from desa.training.joint_stage import JointData, train_joint
from desa.training.stages import joined_model
from desa.training.task import Interrupted
from helpers.tiny import Trained

LABELS = {"labels": ["teff", "log_g", "log_prot"], "scales": [1000.0, 0.5, 0.4]}
SMALL = {
    "joining": {"width": 16, "heads": 2, "blocks": 1, "hidden": 16, "dropout": 0.0},
    "objective_joint": LABELS,
    "train_joint": {"steps": 30, "batch_size": 16, "learning_rate": 3e-3, "validate_every": 10},
}


def small(trained: Trained, **joining: object) -> Settings:
    return with_changes(with_changes(trained.settings, SMALL), {"joining": joining})


def parts(trained: Trained) -> tuple[Path, Path]:
    return trained.folder / "spectrum" / "model", trained.folder / "lightcurve" / "model"


@pytest.fixture(scope="module")
def untrained(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, JointData]:
    settings = small(trained)
    spectrum, lightcurve = map(Network.load, parts(trained))
    model = joined_model(spectrum, lightcurve, settings, ("lightcurve", "spectrum", "joint"))
    model.require("joint").copy_tails(model.require("spectrum_encoder"), model.require("lightcurve_encoder"))
    data = JointData(model, Mixture.of(trained.survey), settings, tmp_path_factory.mktemp("tokens"))
    data.standardise(model.require("joint"), data.pairs("train"))
    return model.eval(), data


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(trained: Trained, runs: Path) -> Network:
    """The stage in one go."""
    return train_joint(trained.survey, *parts(trained), small(trained), runs / "whole", device="cpu")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@torch.no_grad()
def test_it_begins_as_the_encoders_features_side_by_side(
    untrained: tuple[Network, JointData], trained: Trained
) -> None:
    model, data = untrained
    pairs, joint = data.pairs("train"), model.require("joint")
    said = data.said(model, pairs)["joint"]
    features = [
        spectrum_features(model, trained.survey)[pairs.spectrum],
        lightcurve_features(model, trained.survey)[pairs.lightcurve],
    ]
    plain = np.concatenate([(rows - rows.mean(0)) / rows.std(0).clip(1e-6) for rows in features], axis=1)
    moving = plain.std(0) > 0.5
    size = sum(rows.shape[1] for rows in features)
    # the tokens are kept in half precision
    assert np.abs(said[:, :size] - plain)[:, moving].mean() < 0.02
    assert said.shape[1] == size + 16 and np.all(said[:, size:] == 0.0)
    assert joint.size == said.shape[1]


@torch.no_grad()
def test_what_is_not_there_is_not_read(untrained: tuple[Network, JointData]) -> None:
    model, data = untrained
    joint = model.require("joint")
    torch.nn.init.normal_(joint.out.weight)
    batch = data.batches(data.pairs("train"))[0]
    alone = joint(batch.tokens.only(0)).joint
    other = batch.tokens.only(0)
    other.flux, other.frequency, other.reading = (
        x.roll(1, 0) for x in (other.flux, other.frequency, other.reading)
    )
    torch.testing.assert_close(joint(other).joint, alone)
    assert not torch.allclose(joint(batch.tokens).fused, joint(batch.tokens.only(0)).fused)
    torch.nn.init.zeros_(joint.out.weight)


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ({}, {"supervised"}),
        ({"supervised": 0.0, "contrastive": 1.0}, {"contrastive"}),
        ({"supervised": 0.0, "fused_contrast": 1.0}, {"fused_contrast"}),
        ({"supervised": 0.0, "fill": 1.0}, {"fill"}),
        ({"fusion": "none"}, {"supervised"}),
    ],
)
def test_each_objective_reaches_what_it_trains(
    trained: Trained, untrained: tuple[Network, JointData], weights: dict[str, object], names: set[str]
) -> None:
    settings = small(trained, encoder_rate=0.1, **weights)
    spectrum, lightcurve = map(Network.load, parts(trained))
    model = joined_model(spectrum, lightcurve, settings, ("lightcurve", "spectrum", "joint"))
    task = Join(settings, model.require("joint"))
    torch.nn.init.normal_(task.joint.head.skip.weight)
    torch.nn.init.normal_(task.joint.out.weight)
    batch: JointBatch = untrained[1].batches(untrained[1].pairs("train"))[0]
    loss, terms = task(batch, generator())
    assert set(terms) == names
    loss.backward()
    (_, first), (tails, rate) = task.groups()
    assert first == 1.0 and rate == 0.1 and tails
    grads = [p.grad for p in tails if p.requires_grad]
    assert any(grad is not None and grad.abs().sum() > 0 for grad in grads)


def test_modality_dropout_leaves_each_star_one(
    trained: Trained, untrained: tuple[Network, JointData]
) -> None:
    task = Join(small(trained, modality_dropout=0.8), untrained[0].require("joint"))
    batch = untrained[1].batches(untrained[1].pairs("train"))[0]
    present = task.dropped(batch.tokens, generator()).present
    assert present.any(1).all() and 0.5 < float((~present.all(1)).float().mean()) < 1.0


def test_the_stage_trains_and_calibrates(whole: Network, trained: Trained, runs: Path) -> None:
    assert set(whole.calibration) == {"spectrum", "lightcurve", "joint"}
    assert len(whole.calibration["joint"]["counts"]) == 3
    loaded = Network.load(runs / "whole" / "model")
    same_weights(whole, loaded)
    for part in ("spectrum", "lightcurve"):
        before = Network.load(trained.folder / part / "model").require(f"{part}_encoder").state_dict()
        after = loaded.require(f"{part}_encoder").state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
    uses(loaded, trained)


def test_a_stopped_stage_goes_on_to_the_same_bits(
    whole: Network, trained: Trained, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    step = Join.training_step

    def stopping(task: Join, *given: Any) -> Any:
        asked.append(1)
        if len(asked) == 12:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(task, *given)

    monkeypatch.setattr(Join, "training_step", stopping)
    stage = (trained.survey, *parts(trained), small(trained), runs / "stopped")
    with pytest.raises(Interrupted, match="SIGTERM after step 12 of 30"):
        train_joint(*stage, device="cpu")
    again = train_joint(*stage, device="cpu", resume=True)
    same_weights(again, whole)
    assert str(again.calibration) == str(whole.calibration)  # NaN is no number's equal
    assert len(asked) == 30, "no step was done twice"


def same_weights(one: Network, other: Network) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def uses(model: Network, trained: Trained) -> None:
    """Embeddings of every star, and the joint labels of those with both modalities."""
    stars = [star for batch in stars_of_survey(trained.survey) for star in batch][:9]
    both = has_both(stars)
    assert both.any() and not both.all()
    for star, (embedding, _) in zip(stars, embed_stars(model, stars), strict=True):
        assert embedding.joint is not None and np.isfinite(embedding.joint).all()
        assert (embedding.match_spectrum is not None) == (star.spectrum is not None)
    found = {one.label: one for one in joint_estimates(model, stars)}
    assert set(found) == {"teff", "log_g", "prot", "binary"}
    assert np.array_equal(np.isfinite(found["teff"].median), both)
    for star, mine in zip(stars, predict_stars(model, stars), strict=True):
        if star.modality == "joint":
            row = stars.index(star)
            assert mine["teff"].median == pytest.approx(found["teff"].median[row], rel=1e-5)
            assert mine["binary"].flag & Flag.MOCK_TRUTH and not mine["teff"].flag & Flag.MOCK_TRUTH
            assert sum(mine["binary"].probabilities.values()) == pytest.approx(1.0)


def test_gaia_is_never_asked_for_and_given() -> None:
    with pytest.raises((SettingsError, ValidationError), match="bp_rp"):
        with_changes(
            Settings(), {"joining": {"gaia": True}, "objective_joint": {"labels": ["bp_rp"], "scales": [1.0]}}
        )
