from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tiny import tiny_settings, tiny_survey

from desa.config import Settings
from desa.models.desa import Desa
from desa.survey.store import Survey
from desa.training.run import align, pretrain_lightcurve, pretrain_spectrum


@dataclass
class Trained:
    """All three stages on the tiny survey."""

    survey: Survey
    settings: Settings
    folder: Path
    model: Desa


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("survey"))


@pytest.fixture(scope="session")
def trained(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, settings = tmp_path_factory.mktemp("runs"), tiny_settings()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pretrain_spectrum(survey, settings, folder / "spectrum", device="cpu")
    pretrain_lightcurve(survey.path, settings, folder / "lightcurve", device="cpu")
    parts = (folder / "spectrum" / "model", folder / "lightcurve" / "model")
    model = align(survey, *parts, settings, folder / "align", device="cpu")
    torch.set_num_threads(threads)
    return Trained(survey, settings, folder, model)
