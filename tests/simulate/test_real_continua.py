"""Model lines on real continua: what a donor gives and what it does not; the survey made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from desa.cli import app
from desa.errors import SettingsError, SurveyError
from desa.simulate.emulator import load_emulator
from desa.simulate.real_continua import (
    LABELS,
    MockMaker,
    donors,
    draw_labels,
    simulate_on_continua,
    upper_envelope,
)
from desa.survey.batches import SpectrumDataset
from desa.survey.store import Survey
from helpers.stars import tiny_survey


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("real"), 40, "real")


@pytest.fixture
def maker(real: Survey) -> MockMaker:
    return donors(real, 0)


def test_labels_are_inside_the_grid() -> None:
    labels = draw_labels(np.random.default_rng(0), 500)
    assert load_emulator().inside(labels).all()
    assert np.ptp(labels[:, 0]) > 3500 and (labels[:, 1] < 3.0).sum() > 10


def test_batches_repeat_and_look_like_their_donors(maker: MockMaker) -> None:
    maker.good[:, 3900:] = False
    first, again, other = maker.batch(3, 16), maker.batch(3, 16), maker.batch(4, 16)
    np.testing.assert_array_equal(first.flux, again.flux)
    assert not np.array_equal(first.flux, other.flux)
    assert np.isfinite(first.flux).all() and (first.ivar[:, 3900:] == 0).all()
    level = np.median(first.flux[:, :3900], axis=1)
    assert (level > 0.5).all() and (level < 1.5).all()
    assert (first.snr_g > 5).all() and (first.snr_g < 200).all(), "the donors have 20 and 50"


def test_pixels_are_the_emulators_lines(maker: MockMaker) -> None:
    """Without much noise the lines are those of the labels."""
    maker.noise[:] = 1e-4
    mock = maker.batch(0, 32)
    hot = np.argmax(mock.labels[:, 0])
    cool = np.argmin(np.abs(mock.labels[:, 0] - 4500) + 1e4 * (mock.labels[:, 2] < -0.5))
    h_beta = int((np.log10(4862.7) - 3.5682) / 1e-4)
    around = slice(h_beta - 120, h_beta + 120)
    depth = mock.flux[:, h_beta - 3 : h_beta + 4].min(1) / np.median(mock.flux[:, around], axis=1)
    assert depth[hot] < depth[cool]


def test_the_envelope_runs_along_the_top() -> None:
    flux = np.ones((1, 3909), np.float32)
    flux[0, 1000:1010] = 0.2
    good = np.ones((1, 3909), bool)
    good[0, 2000:2020] = False
    flux[0, 2000:2020] = 0.0
    np.testing.assert_allclose(upper_envelope(flux, good), 1.0, atol=1e-6)


def test_only_training_stars_are_donors(real: Survey, maker: MockMaker) -> None:
    assert len(maker.z) == len(SpectrumDataset(real, "train")) < real.n_spectra


def test_the_survey_says_what_it_is(real: Survey, tmp_path: Path) -> None:
    out = tmp_path / "mock"
    words = ["simulate", "--continua", str(real.path), "--stars", "70", "--seed", "5", "-o", str(out)]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    survey = Survey.open(out)
    assert survey.kind == "mock" and survey.n_stars == survey.n_spectra == 70 and survey.n_lightcurves == 0
    report = json.loads((out / "report.json").read_text())
    assert report["continua_noise_and_masks"] == f"real survey {real.identity}, training stars"
    assert np.isfinite([survey.labels(name) for name in LABELS]).all()
    assert set(survey.split) == {"train", "valid", "calibration", "test"}
    spectrum = survey.spectrum(3)
    assert spectrum.snr["g"] > 5 and spectrum.release == "mock lines on real continua"


def test_stars_are_the_same_in_a_larger_survey_and_after_a_stop(
    real: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desa.survey.store.SHARD_ROWS", {"lightcurves": 16, "spectra": 16})
    few = Survey.open(simulate_on_continua(real, 40, 1, tmp_path / "few"))
    whole = Survey.open(simulate_on_continua(real, 100, 1, tmp_path / "whole"))
    for row in range(40):
        np.testing.assert_array_equal(few.spectrum(row).flux, whole.spectrum(row).flux)
    for name in LABELS:
        np.testing.assert_array_equal(few.labels(name), whole.labels(name)[:40])

    def stop(done: int, total: int) -> None:
        if done > 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_on_continua(real, 100, 1, tmp_path / "stopped", progress=stop)
    made: list[int] = []
    batch = MockMaker.batch

    def counted(maker: MockMaker, seed: list[int], size: int) -> object:
        made.append(seed[-1])
        return batch(maker, seed, size)

    monkeypatch.setattr(MockMaker, "batch", counted)
    again = Survey.open(simulate_on_continua(real, 100, 1, tmp_path / "stopped"))
    assert again.identity == whole.identity
    assert made == [64], "what was finished is not made again"


def test_what_is_no_real_survey_is_refused(survey: Survey, real: Survey, tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match="from a real one"):
        simulate_on_continua(survey, 10, 0, tmp_path / "mock")
    with pytest.raises(SurveyError, match="no spectrum with a good pixel"):
        simulate_on_continua(tiny_survey(tmp_path / "none", 1, "real"), 10, 0, tmp_path / "mock")
    for stars, seed in ((0, 0), (10, -1)):
        with pytest.raises(SettingsError, match="a star and a seed"):
            simulate_on_continua(real, stars, seed, tmp_path / "mock")
