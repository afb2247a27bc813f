"""A benchmark of a few models and tasks, quick enough for tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from tiny import tiny_settings

from desa.benchmark.plan import Plan, make_plan
from desa.benchmark.tasks import TASKS
from desa.config import Settings

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
