from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from desa.errors import ModelError
from desa.inference import encode as features
from desa.inference.encode import lightcurve_features, spectrum_features, star_features
from desa.inference.model import Desa
from desa.pipeline import Clock
from desa.survey.store import Survey, SurveyWriter
from desa.types import Star
from helpers.stars import curve, rotator
from helpers.tiny import Trained, tiny_settings


def test_features_are_the_models_own(trained: Trained) -> None:
    model, survey = trained.model, trained.survey
    spectra = spectrum_features(model, survey, batch_size=7)
    curves = lightcurve_features(model, survey)
    assert spectra.shape == (survey.n_spectra, 8) and curves.shape == (survey.n_lightcurves, 24)
    for row in (0, 11, survey.n_spectra - 1):
        own = star_features(model, [Star("", None, (survey.spectrum(row),))])["spectrum"]
        np.testing.assert_allclose(spectra[row], own[0], rtol=1e-3, atol=1e-5)
    both = star_features(model, [Star("", survey.lightcurve(3)), Star("", survey.lightcurve(4))])
    np.testing.assert_allclose(curves[3:5], both["lightcurve"], rtol=1e-3, atol=1e-5)
    assert np.isnan(both["spectrum"]).all(), "no spectrum was given"


def test_cache_is_used_and_memory_mapped(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = spectrum_features(trained.model, trained.survey, tmp_path)
    monkeypatch.setattr(features, "encode", lambda *_: pytest.fail("computed again"))
    again = spectrum_features(trained.model, trained.survey, tmp_path)
    np.testing.assert_array_equal(first, again)
    assert isinstance(again.base, np.memmap) or isinstance(again, np.memmap)
    assert len(list(tmp_path.iterdir())) == 1


def test_cache_knows_weights_settings_and_survey(trained: Trained, survey: Survey) -> None:
    def key(model: Desa, part: str = "spectrum") -> str:
        return features.cache_key(model, survey, part)

    model = Desa.load(trained.folder / "align" / "model")
    same = key(model)
    assert key(Desa.load(trained.folder / "spectrum" / "model")) == same, "the encoder is frozen"
    assert key(model, "lightcurve") != same
    with torch.no_grad():
        model.require("spectrum_encoder").embedding[0].weight.view(-1)[0] += 1e-3
    assert key(model) != same
    other = Desa.load(trained.folder / "align" / "model")
    changed = {"preprocess_spectrum": other.settings.preprocess_spectrum.model_copy(update={"pixels": 4095})}
    other.settings = other.settings.model_copy(update=changed)
    assert key(other) != same


def test_interrupted_computing_leaves_no_cache(trained: Trained, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spectrum_features(trained.model, trained.survey, tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_and_clock(trained: Trained) -> None:
    seen: list[tuple[int, int]] = []
    clock = Clock()
    count = trained.survey.n_spectra
    spectrum_features(
        trained.model, trained.survey, None, 10, lambda done, total: seen.append((done, total)), clock
    )
    assert seen[-1] == (count, count) and len(seen) == -(-count // 10)
    assert set(clock.seconds) == {"read", "preprocess", "model"} and clock.limit() in clock.seconds


def test_missing_encoder_is_said(trained: Trained) -> None:
    model = Desa.load(trained.folder / "spectrum" / "model")
    with pytest.raises(ModelError, match="no lightcurve encoder"):
        lightcurve_features(model, trained.survey)


def test_published_preprocessing_of_a_survey_sees_counts(tmp_path: Path) -> None:
    chosen = tiny_settings(preprocess_lightcurve={"length": 512, "mode": "published"})
    torch.manual_seed(0)
    model = Desa(chosen, ["lightcurve"]).eval()
    writer = SurveyWriter(tmp_path / "survey", "mock")
    curves = [
        curve(f"KIC {n}", rotator(3.0, seed=n), magnitude=magnitude) for n, magnitude in enumerate((10, 15))
    ]
    for one in curves:
        writer.add_lightcurve(one)
    survey = writer.finish(pa.table({"star_id": [one.star_id for one in curves]}), {})
    rows = lightcurve_features(model, survey)
    for row, one in zip(rows, curves, strict=True):
        np.testing.assert_allclose(row, model.embed(lightcurve=one).features_lightcurve, rtol=1e-3, atol=1e-4)

    writer = SurveyWriter(tmp_path / "unknown", "mock")
    writer.add_lightcurve(curve("KIC 9", rotator(3.0), magnitude=np.nan))
    unknown = writer.finish(pa.table({"star_id": ["KIC 9"]}), {})
    with pytest.raises(ModelError, match=r"1 of 1 light curves have no Kepler magnitude.*kepmag"):
        lightcurve_features(model, unknown)
