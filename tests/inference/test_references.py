from __future__ import annotations

import numpy as np
import pytest
import torch

from desa.config import Settings
from desa.inference import encode
from desa.inference.encode import spectrum_features, survey_references
from desa.models.network import Network
from desa.survey.store import Survey
from desa.training.stages import joined_model
from helpers.stars import tiny_survey
from helpers.tiny import tiny_settings


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("many"), 260)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return tiny_settings()


def test_reference_is_of_the_train_and_calibration_splits(many: Survey, settings: Settings) -> None:
    torch.manual_seed(0)
    model = Network(settings, ["spectrum"]).eval()
    found = survey_references(model, [many], "spectrum")["spectrum"]
    features, split = spectrum_features(model, many), many.split[many.spectrum_star]
    train, calibration = (features[split == name] for name in ("train", "calibration"))
    assert found.facts == {
        "data": f"mock survey {many.identity}",
        "training": len(train),
        "calibration": len(calibration),
    }
    np.testing.assert_allclose(found.mean, train.mean(0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.distances, np.sort(found.distance(calibration)), rtol=0.05, atol=0.02)


def test_the_best_windows_of_light_curves_count(
    many: Survey, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = Network(settings, ["lightcurve"]).eval()
    assert survey_references(model, [many], "lightcurve")["lightcurve"].facts["training"] > 150
    monkeypatch.setattr(encode, "MOST_REFERENCES", 50)
    assert survey_references(model, [many], "lightcurve")["lightcurve"].facts["training"] == 50


def test_a_small_survey_gives_none_and_joining_keeps_both(
    survey: Survey, many: Survey, settings: Settings
) -> None:
    torch.manual_seed(0)
    parts = [Network(settings, [name]).eval() for name in ("spectrum", "lightcurve")]
    assert survey_references(parts[0], [survey], "spectrum") == {}
    for model, name in zip(parts, ("spectrum", "lightcurve"), strict=True):
        model.references = survey_references(model, [many], name)
    assert set(joined_model(*parts, settings).references) == {"spectrum", "lightcurve"}
