from __future__ import annotations

import pytest
import torch

from desa.benchmark.runner import run
from desa.benchmark.work import Place
from desa.survey.store import Survey
from helpers.quick import quick_design, quick_settings
from helpers.stars import tiny_survey


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("survey"), stars=260)


@pytest.fixture(scope="session")
def finished(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A whole benchmark of a few models and tasks on a tiny survey."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    place = run(survey, quick_settings(), quick_design(), tmp_path_factory.mktemp("benchmark"))
    torch.set_num_threads(threads)
    return place
