"""Calibration on another survey: whose stars count, and where there are too few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from desa.cli import app
from desa.conformal import intervals
from desa.errors import SettingsError
from desa.inference.encode import split_quantiles
from desa.models.network import Network
from desa.training.calibration import recalibrate
from desa.training.stages import pretrain_lightcurve
from helpers.stars import tiny_survey
from helpers.tiny import Trained, tiny_settings


def test_every_star_of_another_survey_counts(trained: Trained, tmp_path: Path) -> None:
    real = tiny_survey(tmp_path / "real", 60, "real", 7000)
    words = ["calibrate", str(real.path), "--model", str(trained.folder / "align" / "model"), "--half"]
    said = CliRunner().invoke(app, [*words, "--device", "cpu", "-o", str(tmp_path / "model")])
    assert said.exit_code == 0, said.output
    known = int(np.isfinite(real.labels("prot"))[real.lightcurve_star].sum())
    assert f"lightcurve head calibrated on {known} of" in said.output and "spectrum" not in said.output
    model, before = Network.load(tmp_path / "model"), trained.model
    found = model.calibration["lightcurve"]
    assert found["counts"] == [known] and found["stars"] == "stars of a real survey"
    assert model.calibration["spectrum"] == before.calibration["spectrum"], "nobody has [Fe/H]"
    quantiles, targets = split_quantiles(before, real, "lightcurve", None)
    low, high = intervals(quantiles, found)[0.9]
    there = np.isfinite(targets[:, 0])
    inside = (low[:, 0] <= targets[:, 0]) & (targets[:, 0] <= high[:, 0])
    assert inside[there].mean() >= 0.9, "by construction, on the stars that it was calibrated with"


def test_of_a_survey_it_has_learned_from_only_the_calibration_split_counts(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desa.training.calibration.LEAST", 1)
    survey = trained.survey
    calibration = survey.split[survey.lightcurve_star] == "calibration"
    known = np.isfinite(survey.labels("prot"))[survey.lightcurve_star]
    model = Network.load(trained.folder / "align" / "model")
    assert recalibrate(model, survey)["lightcurve"] == int((known & calibration).sum())
    other = tiny_survey(tmp_path / "other", 60, "real", 7000)
    short = tiny_settings(train_lightcurve={"steps": 2, "validate_every": 2})
    start = trained.folder / "lightcurve" / "model"
    later = pretrain_lightcurve(other, short, tmp_path / "later", start=start, device="cpu")
    assert [facts["survey"] for facts in later.metadata["earlier_surveys"]] == [survey.identity]
    assert recalibrate(later, survey)["lightcurve"] == int((known & calibration).sum())


def test_too_few_stars_are_refused(trained: Trained, tmp_path: Path) -> None:
    few = tiny_survey(tmp_path / "few", 12, "real", 7000)
    model = Network.load(trained.folder / "align" / "model")
    before = dict(model.calibration)
    with pytest.raises(SettingsError, match=r"spectrum: 0 with teff.*lightcurve: .* with log_prot.*20 are"):
        recalibrate(model, few)
    assert model.calibration == before
