"""Fixtures for every test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from desa.survey.store import Survey
from desa.training.stages import align, pretrain_lightcurve, pretrain_spectrum
from helpers.stars import tiny_survey
from helpers.tiny import Trained, tiny_settings


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real files and reference numbers beside the project; users don't have it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"real files absent: {folder} does not exist")
    return folder


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
