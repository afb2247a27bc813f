"""`desa calibrate --hottest`: the model tells stars that it does not know, and gives them no interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import desa
from desa.cli import app
from desa.errors import SettingsError
from desa.inference.known_spectra import checked_features
from desa.inference.predict import predict_survey
from desa.inference.quality import OUTSIDE, Flag
from desa.models.network import Network
from desa.survey.selection import stars_of_survey
from desa.survey.store import Survey
from desa.training.spectrum_check import KnownSpectra, fitted, make_check
from helpers.stars import tiny_survey
from helpers.tiny import Trained
from helpers.zoo import zoo_survey

HOTTEST = 6300.0


@pytest.fixture(scope="module")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return zoo_survey(tmp_path_factory.mktemp("zoo") / "survey", curves=0, observed=100)


def test_hot_stars_are_flagged_and_get_no_interval(
    trained: Trained, stars: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desa.training.spectrum_check.LEAST", 20)
    given = trained.folder / "align" / "model"
    words = ["calibrate", str(stars.path), "--model", str(given), "--hottest", str(HOTTEST), "--keep-heads"]
    said = CliRunner().invoke(app, [*words, "--device", "cpu", "-o", str(tmp_path / "model")])
    assert said.exit_code == 0, said.output
    assert "checked by 100 of real survey" in said.output and "calibrated" not in said.output
    model, before = desa.load(tmp_path / "model"), desa.load(given)
    assert model.calibration == before.calibration
    table, plain = predict_survey(model, stars), predict_survey(before, stars)
    truth = dict(zip(stars.stars.column("star_id").to_pylist(), stars.labels("teff").tolist(), strict=True))
    teff = np.array([truth[name] for name in table["star_id"]])
    bits = np.asarray(table["teff_flag"])
    hot = (bits & Flag.HOTTER) > 0
    answers = checked_features(model, [star for batch in stars_of_survey(stars) for star in batch])[1]
    by_pixels = np.array([one is not None and one.temperature > one.threshold for one in answers])
    assert by_pixels[teff > HOTTEST + 300].all() and not by_pixels[teff < HOTTEST - 300].any()
    np.testing.assert_array_equal(hot, by_pixels | (np.asarray(table["teff"]) > HOTTEST))
    assert not np.any(np.asarray(plain["teff_flag"]) & Flag.HOTTER), "the model without a check can't say"
    outside = (bits & int(OUTSIDE)) > 0
    for label in ("teff", "log_g"):
        for end in ("low68", "high90"):
            np.testing.assert_array_equal(np.isnan(table[f"{label}_{end}"]), outside)
    np.testing.assert_array_equal(table["teff"], plain["teff"])
    why = np.asarray(table["teff_why"])[hot]
    assert all("the model's stars: about " in words and "at 6300 K" in words for words in why)


def test_the_threshold_misses_few_of_the_hotter_stars(
    trained: Trained, stars: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desa.training.spectrum_check.LEAST", 20)
    monkeypatch.setattr("desa.training.spectrum_check.CLEARLY", 100.0)
    check = make_check(trained.model, stars, 5800.0)
    assert check.threshold <= check.hottest == 5800.0
    assert int(check.facts["hotter"]) > 20


def test_too_few_stars_and_options_that_do_nothing_are_refused(trained: Trained, tmp_path: Path) -> None:
    few = tiny_survey(tmp_path / "few", 12, "real", 7000)
    with pytest.raises(SettingsError, match="200 are needed"):
        make_check(trained.model, few, 8000.0)
    words = ["calibrate", str(few.path), "--keep-heads", "-o", str(tmp_path / "model")]
    said = CliRunner().invoke(app, words)
    assert isinstance(said.exception, SettingsError) or "--keep-heads is for --hottest" in said.output
    assert said.exit_code != 0 and not (tmp_path / "model").exists()


def test_it_is_remade_to_the_bit(trained: Trained) -> None:
    rng = np.random.default_rng(0)
    known = KnownSpectra(
        rng.standard_normal((60, 30)).astype(np.float32),
        np.full((60, 30), 0.5, np.float32),
        rng.uniform(4000, 9000, 60),
        rng.uniform(5, 100, 60),
        np.arange(60),
    )
    one, other = fitted(known, 8000.0), fitted(known, 8000.0)
    np.testing.assert_array_equal(one.coefficients, other.coefficients)
    assert Network.load(trained.folder / "align" / "model").spectrum_check is None, (
        "only where it is asked for"
    )
