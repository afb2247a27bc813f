from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from tiny import tiny_settings, tiny_survey

from desa.benchmark.jobs import Place
from desa.benchmark.plan import Plan, make_plan
from desa.benchmark.runner import run
from desa.benchmark.tasks import TASKS
from desa.config import Settings
from desa.survey.store import Survey

ONLY = (
    "probe",
    "retrieval",
    "few_shot",
    "ages",
    "desa",
    "moco",
    "concatenation",
    "before_alignment",
    "joint_sum",
)


def quick_settings() -> Settings:
    training = {"steps": 4, "batch_size": 16}
    return tiny_settings(
        train_spectrum=training,
        train_lightcurve=training,
        train_align={"batch_size": 16},
    )


def quick_plan(seeds: int = 2, only: tuple[str, ...] = ONLY, steps: int = 3) -> Plan:
    return make_plan("mini", seeds, list(TASKS), only, steps)


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("survey"), stars=260)


@pytest.fixture(scope="session")
def finished(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A whole benchmark of a few models and tasks on a tiny survey."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    place = run(survey, quick_settings(), quick_plan(), tmp_path_factory.mktemp("benchmark"))
    torch.set_num_threads(threads)
    return place
