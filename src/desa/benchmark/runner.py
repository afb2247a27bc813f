"""Runs a benchmark: encoders, features, search, models, cells; stopped anywhere, the same command goes on."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from desa.benchmark import encoders
from desa.benchmark.energy import Meter
from desa.benchmark.inputs import Inputs, check
from desa.benchmark.jobs import Job, Place, jobs_of, run_job
from desa.benchmark.plan import Plan, make_plan
from desa.benchmark.tasks.registry import SHORTER, TASKS
from desa.config import Settings
from desa.errors import SettingsError
from desa.files import written_whole
from desa.progress import Report
from desa.provenance import provenance
from desa.survey.store import Survey

FACTS = "benchmark.json"


class Stages:
    """Announces stages, and counts seconds and energy of each into the folder."""

    def __init__(self, folder: Path, say: Any) -> None:
        self.file, self.say = folder / "spent.json", say

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is spent inside the block, on top of what earlier sittings spent on the stage."""
        started = time.monotonic()
        with Meter() as meter:
            yield
        seconds = time.monotonic() - started
        if seconds < 1.0:
            return
        spent = read_spent(self.file)
        own = spent.setdefault(name, {"seconds": 0.0, "kwh": 0.0})
        own["seconds"] += seconds
        own["kwh"] += meter.kwh
        own["meter"] = meter.text
        with written_whole(self.file) as scratch:
            scratch.write_text(json.dumps(spent, indent=1) + "\n", encoding="utf-8")
        if self.say:
            self.say(f"{name}: {seconds:.0f} s")


def read_spent(path: Path) -> dict[str, dict[str, Any]]:
    """Seconds and kWh by stage; empty where nothing was spent yet."""
    if not path.exists():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def run(
    survey: Survey,
    settings: Settings,
    plan: Plan,
    out: Path,
    *,
    processes: int = 1,
    progress: Report | None = None,
    say: Any = None,
) -> Place:
    """Do all the work of a plan into a folder. What an earlier run finished there is kept.

    Parameters
    ----------
    survey, settings, plan
        What is to be done, on what.
    out
        The benchmark's folder.
    processes
        Processes side by side, one thread each.
    progress
        Called with (done, all) pieces of work.
    say
        Called with a line when a stage is over.

    Raises
    ------
    SettingsError
        If the folder holds a benchmark of another survey, preset or budget.
    SurveyError
        If the survey has too few stars with both modalities.
    """
    out.mkdir(parents=True, exist_ok=True)
    place = Place(out, survey.path, settings)
    _claim(out, survey, settings, plan)
    stages = Stages(out, say)
    with stages.stage("encoders"):
        encoders.train_all(survey, settings, out, processes=processes, with_ablation="encoders" in plan.tasks)
    inputs = place.inputs()
    with stages.stage("features"):
        _features(inputs, plan)
    check(inputs)
    work = jobs_of(plan, place)
    total, done = sum(len(stage) for stage in work), 0
    for name, jobs in zip(("search", "models", "tasks"), work, strict=True):
        with stages.stage(name):
            todo = [job for job in jobs if not job.target(place).exists()]
            done += len(jobs) - len(todo)
            for _ in _do(todo, place, plan, processes):
                done += 1
                if progress:
                    progress(done, total)
    return place


def _claim(out: Path, survey: Survey, settings: Settings, plan: Plan) -> None:
    """Write what the folder is made from, or refuse another's."""
    path = out / FACTS
    own = {
        "survey": survey.identity,
        "settings": settings.model_dump(mode="json"),
        **json.loads(json.dumps(plan.identity())),
    }
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))["made_from"]
        wrong = [name for name in own if before.get(name) != own[name]]
        if wrong:
            raise SettingsError(
                f"{out}: holds a benchmark of another {' and '.join(wrong)}; give another folder, or the "
                "same settings to go on with it"
            )
    facts = provenance(data=f"{survey.kind} survey", survey=survey.identity, seeds=plan.seeds)
    with written_whole(path) as scratch:
        content = {"made_from": own, "provenance": facts}
        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _features(inputs: Inputs, plan: Plan) -> None:
    """Features that several jobs need, before they run side by side."""
    assert len(inputs.spectrum) and len(inputs.lightcurve)
    if "components" in plan.models:
        inputs.components()
    if "untrained" in plan.models:
        inputs.untrained()
    if "robustness" in plan.tasks:
        for share in SHORTER:
            inputs.shortened(share)


def _do(jobs: Sequence[Job], place: Place, plan: Plan, processes: int) -> Iterator[Path]:
    """Work through jobs, in this process or in several."""
    if processes == 1 or len(jobs) < 2:
        for job in jobs:
            yield run_job(job, place, plan)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: set[Future[Path]] = {pool.submit(run_job, job, place, plan) for job in jobs}
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def planned(preset: str, seeds: int, only: Sequence[str] = (), steps: int | None = None) -> Plan:
    """A plan of all tasks there are, or of what `only` names; see `desa.benchmark.plan.make_plan`."""
    return make_plan(preset, seeds, list(TASKS), only, steps)
