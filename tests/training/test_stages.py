from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from desa.conformal import intervals
from desa.errors import ModelError, SettingsError, SurveyError
from desa.inference.encode import lightcurve_features, spectrum_features, split_quantiles
from desa.models.network import Network
from desa.survey.mixture import Mixture
from desa.survey.selection import pairs_of
from desa.survey.store import Survey, SurveyWriter
from desa.training import stage as stage_module
from desa.training import stages as run
from desa.training.distributed import World
from desa.training.stage import Stage
from desa.training.task import History, Interrupted
from desa.training.tracking import read_metrics
from desa.types import PARTS
from helpers.tiny import Trained, tiny_settings


def test_each_stage_leaves_its_files(trained: Trained) -> None:
    for stage in ("spectrum", "lightcurve", "align"):
        folder = trained.folder / stage
        assert {"model", "metrics.jsonl", "tensorboard", "checkpoint.pt", "run.json"} <= {
            path.name for path in folder.iterdir()
        }
        facts = json.loads((folder / "run.json").read_text())
        assert facts["stage"] == stage and facts["survey"] == trained.survey.identity
        assert facts["data"] == "mock survey" and facts["seed"] == "0"
        assert {"command", "versions", "settings"} <= set(facts)


def test_spectrum_encoder_learns(trained: Trained) -> None:
    valid = [r for r in read_metrics(trained.folder / "spectrum" / "metrics.jsonl") if r["phase"] == "valid"]
    calm = np.nanstd(trained.survey.labels("teff"))
    assert valid[-1]["mae_teff"] < 0.6 * calm, "far better than a constant"
    assert valid[-1]["mae_fe_h"] is None, "no star has this label"
    assert valid[-1]["self_supervised"] < valid[0]["self_supervised"]


def test_lightcurve_and_alignment_losses_fall(trained: Trained) -> None:
    for stage in ("lightcurve", "align"):
        records = read_metrics(trained.folder / stage / "metrics.jsonl")
        losses = [r["loss"] for r in records if r["phase"] == "train"]
        assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_saved_model_is_the_returned_one(trained: Trained) -> None:
    loaded = Network.load(trained.folder / "align" / "model")
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    assert loaded.metadata["stage"] == "align" and loaded.metadata["collapsed"] is False
    assert set(loaded.calibration) == {"spectrum", "lightcurve"}


def test_alignment_leaves_the_encoders_alone(trained: Trained) -> None:
    for part in ("spectrum", "lightcurve"):
        alone = Network.load(trained.folder / part / "model").state_dict()
        whole = trained.model.state_dict()
        assert all(torch.equal(value, whole[name]) for name, value in alone.items())


def test_standardisation_is_of_the_train_split(trained: Trained) -> None:
    model, survey = trained.model, trained.survey
    pairs = pairs_of(survey)
    pairs = pairs.where(survey.split[pairs.star] == "train")
    spectra, curves = spectrum_features(model, survey), lightcurve_features(model, survey)
    dualformer = model.require("dualformer")
    np.testing.assert_allclose(
        dualformer.mean_spectrum, spectra[pairs.spectrum].mean(0), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        dualformer.mean_lightcurve, curves[pairs.lightcurve].mean(0), rtol=1e-4, atol=1e-5
    )
    chosen = spectra[pairs.spectrum]
    scale = np.where(chosen.std(0) > 1e-6, chosen.std(0), 1.0)
    np.testing.assert_allclose(dualformer.scale_spectrum, scale, rtol=1e-3)


def test_calibration_is_of_the_calibration_split(trained: Trained) -> None:
    model, survey = trained.model, trained.survey
    for part in PARTS:
        quantiles, targets = split_quantiles(model, survey, part, "calibration")
        star_of = survey.spectrum_star if part == "spectrum" else survey.lightcurve_star
        assert len(targets) == (survey.split[star_of] == "calibration").sum()
        stored = model.calibration[part]
        assert stored["counts"] == np.isfinite(targets).sum(0).tolist()
        low, high = intervals(quantiles, stored)[0.68]
        known = np.isfinite(targets[:, 0])
        inside = (targets[:, 0] >= low[:, 0]) & (targets[:, 0] <= high[:, 0])
        assert inside[known].mean() >= 0.68, "by construction, on the stars that it was calibrated with"


def test_resuming_a_finished_run_changes_nothing(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trained.folder / "spectrum"
    before = (folder / "metrics.jsonl").read_bytes()
    again = run.pretrain_spectrum(trained.survey, trained.settings, folder, device="cpu")
    assert (folder / "metrics.jsonl").read_bytes() == before
    loaded = Network.load(folder / "model")
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in again.state_dict().items())


def test_another_survey_or_objective_is_refused(trained: Trained, tmp_path: Path) -> None:
    changed = tiny_settings(objective_spectrum={"mask_fraction": 0.3})
    with pytest.raises(ModelError, match=r"another run.*settings"):
        run.pretrain_spectrum(trained.survey, changed, trained.folder / "spectrum", device="cpu")
    harmless = tiny_settings(train_spectrum={"checkpoint_minutes": 1.0}, alignment={"variance": 0.5})
    run.pretrain_spectrum(trained.survey, harmless, trained.folder / "spectrum", device="cpu")


def test_interrupted_run_says_how_to_go_on(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "desa.training.stage.fit", lambda *_, **__: History(step=12, stopped="signal", signal="SIGTERM")
    )
    with pytest.raises(Interrupted, match=r"SIGTERM after step 12 of 60.*same command again"):
        run.pretrain_spectrum(survey, tiny_settings(), tmp_path, device="cpu")
    assert not (tmp_path / "model").exists()


def test_too_few_stars_are_said(tmp_path: Path) -> None:
    empty = SurveyWriter(tmp_path / "survey", "mock").finish(None, {})
    with pytest.raises(SurveyError, match="0 spectra"):
        run.pretrain_spectrum(empty, tiny_settings(), tmp_path / "run", device="cpu")
    with pytest.raises(SurveyError, match="0 light curves"):
        run.pretrain_lightcurve(empty, tiny_settings(), tmp_path / "run", device="cpu")


def test_alignment_needs_models(survey: Survey, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model here"):
        run.align(survey, tmp_path, tmp_path, tiny_settings(), tmp_path / "run", device="cpu")


def test_a_run_keeps_its_batch_whatever_the_number_of_processes(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batch_size(processes: int, out: Path = trained.folder / "spectrum", resume: bool = True) -> int:
        monkeypatch.setattr(stage_module, "current", lambda: World(0, processes))
        settings, surveys = trained.settings, Mixture.of(trained.survey)
        return Stage("spectrum", surveys, settings, out, torch.device("cpu"), resume, False).batch_size

    assert [batch_size(processes) for processes in (1, 2, 4)] == [16, 8, 4]
    assert batch_size(2, tmp_path) == batch_size(2, resume=False) == 16, "a new run's is the settings'"
    with pytest.raises(SettingsError, match="batches of 16 stars can't be shared equally by 3 processes"):
        batch_size(3)
