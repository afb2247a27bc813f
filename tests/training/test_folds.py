"""Cross-fitting: every real star is left out by one twin, and calibrates by what that one says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from desa.cli import app
from desa.errors import SettingsError
from desa.models.network import Network
from desa.training.cross_calibration import out_of_fold
from desa.training.folds import Fold
from desa.training.stages import pretrain_spectrum
from helpers.stars import tiny_survey
from helpers.tiny import tiny_settings


def test_each_real_star_is_in_one_fold(tmp_path: Path) -> None:
    real, mock = tiny_survey(tmp_path / "real", 60, "real", 7000), tiny_survey(tmp_path / "mock", 30)
    held = np.stack([Fold.of(f"{n}/3").split(real).split == "test" for n in (1, 2, 3)])
    assert (held.sum(axis=0) == 1).all() and (held.sum(axis=1) > 5).all()
    assert (Fold.of("all").split(real).split == "train").all()
    assert Fold.of("1/3").split(mock) is mock


@pytest.mark.parametrize("text", ["", "4/3", "0/3", "1/1", "1", "a/3", "1/1000"])
def test_no_fold(text: str) -> None:
    with pytest.raises(SettingsError):
        Fold.of(text)


@pytest.mark.slow
def test_twins_calibrate_the_model_of_all_stars(tmp_path: Path) -> None:
    real = tiny_survey(tmp_path / "real", 40, "real", 7000)
    settings = tiny_settings(train_spectrum={"steps": 2, "validate_every": 2})
    for fold in ("1/2", "2/2", "all"):
        pretrain_spectrum(real, settings, tmp_path / fold[:1], fold=fold, device="cpu")
    folders = [tmp_path / name / "model" for name in "12a"]
    twins = [Network.load(folder) for folder in folders]
    found = out_of_fold(twins[:2], real)
    assert len(found.targets) == real.n_spectra and set(found.fold) == {1, 2}
    with pytest.raises(SettingsError, match="each once"):
        out_of_fold([twins[0], twins[2]], real)
    other = tiny_survey(tmp_path / "other", 40, "real", 8000)
    with pytest.raises(SettingsError, match="not trained on"):
        out_of_fold(twins[:2], other)
    words = ["calibrate", str(real.path), "--model", str(folders[2]), "--twin", str(folders[0])]
    said = CliRunner().invoke(app, [*words, "--twin", str(folders[1]), "-o", str(tmp_path / "made")])
    assert said.exit_code == 0, said.output
    calibration = Network.load(tmp_path / "made").calibration["spectrum"]
    known = np.isfinite(found.targets).sum(axis=0).tolist()
    assert calibration["counts"] == known and "had not seen it" in calibration["stars"]
