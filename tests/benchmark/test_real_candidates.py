"""What is compared on real stars: features with known answers, periods, and the encoders of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from desa.benchmark.base import CANDIDATES
from desa.benchmark.candidates.filled import TRAINING
from desa.benchmark.candidates.fine_tuned import FineTuned, epochs_for
from desa.benchmark.candidates.lightcurve_numbers import LIGHTCURVE_NAMES, lightcurve_features
from desa.benchmark.candidates.line_indices import LINES, line_indices
from desa.benchmark.inputs import REAL_LIGHTCURVES, REAL_SPECTRA, Inputs
from desa.benchmark.real_stars import QUARTER, RealCandidate, check_unseen, one_quarter, usable_curves
from desa.config import settings
from desa.errors import ModelError
from desa.models.network import Network
from desa.survey.store import Survey, SurveyWriter
from desa.types import KEPLER_CADENCE_DAYS, LightCurve, Spectrum
from helpers.tiny import tiny_settings
from helpers.zoo import lightcurve, zoo_survey

CHOSEN = settings("mini", preprocess_lightcurve={"length": 4096})


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return zoo_survey(tmp_path_factory.mktemp("zoo") / "survey", 24, 30)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    Network(CHOSEN, ["spectrum", "lightcurve"]).save(folder)
    return folder


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desa.benchmark.candidates.fine_tuned.LEAST_STEPS", 2)
    monkeypatch.setattr("desa.benchmark.candidates.fine_tuned.EPOCHS", 1)
    monkeypatch.setitem(TRAINING, "steps", 3)


def by_name(features: np.ndarray) -> dict[str, float]:
    return dict(zip(LIGHTCURVE_NAMES, features, strict=True))


def test_numbers_of_light_curves_say_what_they_are_named() -> None:
    rng = np.random.default_rng(0)
    time = KEPLER_CADENCE_DAYS * np.arange(4400)
    noise = 1e-4 * rng.normal(size=4400)
    spotted = by_name(lightcurve_features(lightcurve(1 + 0.01 * np.sin(2 * np.pi * time / 9.0) + noise)))
    assert spotted["log ACF period"] == pytest.approx(np.log10(9.0), abs=0.03)
    assert spotted["log Lomb-Scargle period"] == pytest.approx(np.log10(9.0), abs=0.03)
    assert spotted["log scatter"] == pytest.approx(np.log10(0.01), abs=0.1)
    quiet = by_name(lightcurve_features(lightcurve(1 + noise)))
    assert quiet["log scatter"] == pytest.approx(-4, abs=0.05)
    dipping = 1 + noise
    dipping[(time % 3.0) < 0.1] -= 0.02
    eclipsed = by_name(lightcurve_features(lightcurve(dipping)))
    assert eclipsed["skewness"] < -5 and eclipsed["dips"] > quiet["dips"] + 1
    gaps = 1 + noise
    gaps[::7] = np.nan
    assert np.isfinite(lightcurve_features(lightcurve(gaps))).all()
    # the shares of the power are shares
    powers = [value for name, value in spotted.items() if name.startswith("power at")]
    assert sum(10**value for value in powers) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="at least 100"):
        lightcurve_features(lightcurve(np.full(4000, np.nan)))


def test_line_indices_are_the_depths_at_the_stars_own_velocity() -> None:
    wave = 10 ** (3.5682 + 1e-4 * np.arange(3909))
    centre, half = LINES["H alpha"]
    found = []
    for row, z in enumerate((0.0, 5e-4, 0.0)):
        flux, ivar = wave / 5000.0, np.ones_like(wave)  # a slope is no line
        if row == 2:
            ivar[np.abs(wave - centre) < 100] = 0
        else:
            flux = np.where(np.abs(wave / (1 + z) - centre) <= half, 0.6 * flux, flux)
        found.append(Spectrum(flux.astype(np.float32), ivar.astype(np.float32), 3.5682, z=z))
    depths = line_indices(found)
    column = list(LINES).index("H alpha")
    assert depths.shape == (3, len(LINES)) and np.isfinite(depths).all()
    np.testing.assert_allclose(depths[:2, column], 0.4, atol=0.01)
    assert np.abs(np.delete(depths[:2], column, axis=1)).max() < 0.03


def test_one_quarter_is_the_stretch_of_most_good_samples() -> None:
    long = np.ones(9000)
    long[:4000] = np.nan
    cut = one_quarter(lightcurve(long))
    assert len(cut) == QUARTER and cut.valid.all() and cut.first_cadence >= 4000
    assert cut.start_bkjd == pytest.approx(cut.first_cadence * KEPLER_CADENCE_DAYS)
    short = one_quarter(lightcurve(np.ones(500)))
    assert len(short) == 500 and short.first_cadence == 0


def test_only_a_missions_own_light_curves_are_used(tmp_path: Path) -> None:
    writer = SurveyWriter(tmp_path / "survey", "real")
    nobody = np.full(900, np.nan, np.float32)
    flux = np.ones(900)
    writer.add_lightcurve(lightcurve(flux, "KIC 1"))
    writer.add_lightcurve(LightCurve(np.ones(900, np.float32), nobody, star_id="KIC 2", mission="Kepler"))
    writer.add_lightcurve(lightcurve(flux, "eb03"))
    writer.add_lightcurve(lightcurve(np.where(np.arange(900) % 3, np.nan, 1.0), "KIC 4"))
    writer.add_lightcurve(lightcurve(flux, "KIC 5", "TESS"))
    survey = writer.finish()
    inputs = Inputs(survey, CHOSEN, tmp_path, None, REAL_LIGHTCURVES)
    names = np.array(survey.stars.column("star_id").to_pylist())[inputs.stars.star]
    assert names[usable_curves(inputs, "Kepler")].tolist() == ["KIC 1"]
    assert names[usable_curves(inputs, "TESS")].tolist() == ["KIC 5"]


QUICK = [
    candidate.name
    for candidate in CANDIDATES
    if isinstance(candidate, RealCandidate)
    and candidate.name not in ("fine_tuned", "from_scratch", "filled", "continued")
]


@pytest.mark.parametrize("name", QUICK)
def test_every_candidate_has_a_row_a_star(name: str, survey: Survey, model: Path, tmp_path: Path) -> None:
    candidate = CANDIDATES[name]
    inputs = Inputs(survey, CHOSEN, tmp_path, model, candidate.track)
    assert len(inputs.stars) == (30 if candidate.track == REAL_SPECTRA else 24)
    found = candidate.embed(inputs, 0, tmp_path)
    assert found and all(len(rows) == len(inputs.stars) and rows.ndim == 2 for rows in found.values())
    assert all(rows.dtype == np.float32 and np.isfinite(rows).any() for rows in found.values())


def test_heads_and_peaks_say_periods(survey: Survey, model: Path, tmp_path: Path) -> None:
    inputs = Inputs(survey, CHOSEN, tmp_path, model, REAL_LIGHTCURVES)
    rotates = inputs.text_label("variable_class") == "CONTACT_ROT"
    for name in ("acf_peak", "lomb_scargle_peak"):
        days = CANDIDATES[name].embed(inputs, 0, tmp_path)["said/prot"][rotates, 0]
        np.testing.assert_allclose(days, inputs.label("prot")[rotates], rtol=0.1)
    network = Network.load(model)
    said = CANDIDATES["spectrum_head"].embed(
        Inputs(survey, CHOSEN, tmp_path, model, REAL_SPECTRA), 0, tmp_path
    )
    assert set(said) == {f"said/{label}" for label in network.settings.objective_spectrum.labels}


def test_a_model_that_learned_from_real_stars_is_refused() -> None:
    network = Network(CHOSEN, ["lightcurve"])
    for data in ("real survey", "mock survey and real survey", "mock survey and real LAMOST spectra"):
        network.metadata = {"data": data}
        with pytest.raises(ModelError, match="has learned from real stars"):
            check_unseen(network, "mine")
    network.metadata = {"data": "mock survey"}
    check_unseen(network, "mine")


def small_model(folder: Path, **changes: object) -> Path:
    Network(tiny_settings(**changes), ["spectrum"]).save(folder)
    return folder


def test_fine_tuning_learns_from_the_stars_it_is_given(survey: Survey, tmp_path: Path) -> None:
    inputs = Inputs(survey, tiny_settings(), tmp_path, small_model(tmp_path / "model"), REAL_SPECTRA)
    train = np.arange(30) < 20
    tuned, scratch = CANDIDATES["fine_tuned"], CANDIDATES["from_scratch"]
    assert isinstance(tuned, FineTuned) and isinstance(scratch, FineTuned)
    levels = tuned.levels(inputs)
    found = tuned.quantiles(inputs, train, tmp_path / "run", 0)
    assert found.shape == (30, 3, len(levels)) and np.isfinite(found).all()
    assert not (tmp_path / "run").exists(), "what is not needed any more is not kept"
    again = tuned.quantiles(inputs, train, tmp_path / "again", 0)
    np.testing.assert_array_equal(found, again)
    other = tuned.quantiles(inputs, ~train, tmp_path / "other", 0)
    assert np.abs(found - other).max() > 0
    random = scratch.quantiles(inputs, train, tmp_path / "scratch", 0)
    assert random.shape == found.shape and np.abs(random - found).max() > 0


def test_few_spectra_are_gone_through_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desa.benchmark.candidates.fine_tuned.LEAST_STEPS", 300)
    monkeypatch.setattr("desa.benchmark.candidates.fine_tuned.EPOCHS", 18)
    assert epochs_for(1280) == 18 and epochs_for(1280, 3) == 54
    assert epochs_for(64) * (64 // 32) >= 300
    assert epochs_for(5) == 300


@pytest.mark.parametrize("name", ["filled", "continued"])
def test_masked_filling_sees_no_label(
    name: str, survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, given = CANDIDATES[name], small_model(tmp_path / "model")
    inputs = Inputs(survey, tiny_settings(), tmp_path, given, REAL_SPECTRA)
    candidate.fit(inputs, None, 0, 0, tmp_path / "one")
    found = candidate.embed(inputs, 0, tmp_path / "one")["joint"]
    monkeypatch.setattr(Survey, "labels", lambda self, name: np.full(self.n_stars, np.nan))
    blind = Inputs(Survey.open(survey.path), tiny_settings(), tmp_path, given, REAL_SPECTRA)
    candidate.fit(blind, None, 0, 0, tmp_path / "two")
    np.testing.assert_array_equal(found, candidate.embed(blind, 0, tmp_path / "two")["joint"])
    assert len(found) == 30 and np.ptp(found, axis=0).max() > 0
