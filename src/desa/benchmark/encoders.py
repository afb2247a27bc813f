"""The benchmark's encoders: the ones that all models share, and those of the ablation of their objective."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Literal

import torch

from desa.benchmark.inputs import ENCODERS
from desa.config import Settings, with_changes
from desa.survey.store import Survey
from desa.training.stages import pretrain_lightcurve, pretrain_spectrum

Part = Literal["spectrum", "lightcurve"]
SHARED = "shared"


def folder_of(out: Path, part: Part, objective: str = SHARED) -> Path:
    """Run folder of an encoder."""
    return out / ENCODERS / (part if objective == SHARED else f"{objective}-{part}")


def settings_of(settings: Settings, part: Part, supervised: float | None) -> Settings:
    """Settings of an encoder; those with a share of the supervised loss train for a third of the steps."""
    if supervised is None:
        return settings
    steps = max(1, getattr(settings, f"train_{part}").steps // 3)
    changes: dict[str, Any] = {
        f"objective_{part}": {"supervised": supervised},
        f"train_{part}": {"steps": steps},
    }
    return with_changes(settings, changes)


def train_all(
    survey: Survey,
    settings: Settings,
    out: Path,
    *,
    processes: int = 1,
    objectives: Mapping[str, float] | None = None,
) -> None:
    """Pre-train the encoders that are not there yet.

    Parameters
    ----------
    survey, settings, out
        The benchmark's.
    processes
        Processes side by side.
    objectives
        Of further encoders: name -> share of the supervised loss.
    """
    parts: tuple[Part, ...] = ("spectrum", "lightcurve")
    todo = [
        (survey.path, settings_of(settings, part, supervised), folder, part)
        for objective, supervised in {SHARED: None, **(objectives or {})}.items()
        for part in parts
        if not ((folder := folder_of(out, part, objective)) / "run.json").exists()
    ]
    if processes == 1 or len(todo) < 2:
        for arguments in todo:
            _train(*arguments)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for future in [pool.submit(_train, *arguments) for arguments in todo]:
            future.result()


def _train(survey: Path, settings: Settings, folder: Path, part: Part) -> None:
    work = pretrain_spectrum if part == "spectrum" else pretrain_lightcurve
    work(Survey.open(survey), settings, folder)
