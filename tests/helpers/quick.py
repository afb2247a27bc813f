"""A benchmark of a few candidates and tasks, quick enough for tests."""

from __future__ import annotations

from desa.benchmark.design import Design, make_design
from desa.config import Settings
from helpers.tiny import tiny_settings

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


def quick_design(seeds: int = 2, only: tuple[str, ...] = ONLY, steps: int = 3) -> Design:
    return make_design("mini", seeds, only, steps)
