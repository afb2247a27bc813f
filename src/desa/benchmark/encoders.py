"""The benchmark's encoders: the ones that all models share, and those of the ablation of their objective."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Literal

import torch

from desa.benchmark.inputs import ENCODERS
from desa.benchmark.registry import ENCODER_OBJECTIVES
from desa.config import Settings, with_changes
from desa.survey.store import Survey
from desa.training.stages import pretrain_lightcurve, pretrain_spectrum

Part = Literal["spectrum", "lightcurve"]
SHARED = "shared"


def folder_of(out: Path, part: Part, objective: str = SHARED) -> Path:
    """Run folder of an encoder."""
    return out / ENCODERS / (part if objective == SHARED else f"{objective}-{part}")


def settings_of(settings: Settings, part: Part, objective: str) -> Settings:
    """Settings of an encoder; those of the ablation, the hybrid one too, train for a third of the steps."""
    if objective == SHARED:
        return settings
    steps = max(1, getattr(settings, f"train_{part}").steps // 3)
    changes: dict[str, Any] = {
        f"objective_{part}": {"supervised": ENCODER_OBJECTIVES[objective]},
        f"train_{part}": {"steps": steps},
    }
    return with_changes(settings, changes)


def train_all(
    survey: Survey, settings: Settings, out: Path, *, processes: int = 1, with_ablation: bool = False
) -> None:
    """Pre-train the encoders that are not there yet.

    Parameters
    ----------
    survey, settings, out
        The benchmark's.
    processes
        Processes side by side.
    with_ablation
        Also the encoders of `ENCODER_OBJECTIVES`.
    """
    objectives = (SHARED, *(ENCODER_OBJECTIVES if with_ablation else ()))
    parts: tuple[Part, ...] = ("spectrum", "lightcurve")
    todo: list[tuple[Part, str]] = [
        (part, objective)
        for objective in objectives
        for part in parts
        if not (folder_of(out, part, objective) / "run.json").exists()
    ]
    if processes == 1 or len(todo) < 2:
        for part, objective in todo:
            _train(survey.path, settings, out, part, objective)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for future in [pool.submit(_train, survey.path, settings, out, *each) for each in todo]:
            future.result()


def _train(survey: Path, settings: Settings, out: Path, part: Part, objective: str) -> None:
    work = pretrain_spectrum if part == "spectrum" else pretrain_lightcurve
    work(Survey.open(survey), settings_of(settings, part, objective), folder_of(out, part, objective))
