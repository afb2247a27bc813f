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
from desa.benchmark.base import BenchmarkTask, Candidate
from desa.benchmark.design import Design
from desa.benchmark.documents import MadeFrom, Spending, read_own
from desa.benchmark.energy import Meter
from desa.benchmark.inputs import PAIRS, check
from desa.benchmark.work import Place, Work, do, work_of
from desa.config import Settings
from desa.errors import SettingsError
from desa.files import written_whole
from desa.models.network import Network
from desa.models.storage import weights_hash
from desa.progress import Report
from desa.provenance import provenance
from desa.survey.store import Survey

MADE_FROM = "benchmark.json"


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
    return read_own(path, Spending)


def run(
    survey: Survey,
    settings: Settings,
    design: Design,
    out: Path,
    *,
    model: Path | None = None,
    processes: int = 1,
    progress: Report | None = None,
    say: Any = None,
) -> Place:
    """Do all the work of a design into a folder. What an earlier run finished there is kept.

    Parameters
    ----------
    survey, settings, design
        What is to be done, on what.
    out
        The benchmark's folder.
    model
        Folder of a model whose encoders are used; None trains them.
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
    place = Place(out, survey.path, settings, model)
    _claim(place, survey, design)
    stages = Stages(out, say)
    if model is None:
        with stages.stage("encoders"):
            extra = {name: share for task in design.tasks for name, share in task.encoders.items()}
            encoders.train_all(survey, settings, out, processes=processes, objectives=extra)
    if PAIRS in design.tracks:
        check(place.inputs(PAIRS))
    with stages.stage("features"):
        _prepare(place, design)
    work = work_of(design, place)
    total, done = sum(map(len, work.values())), 0
    for name, pieces in work.items():
        with stages.stage(name):
            todo = [piece for piece in pieces if not piece.target(place).exists()]
            done += len(pieces) - len(todo)
            for _ in _do(todo, place, processes):
                done += 1
                if progress:
                    progress(done, total)
    return place


def _claim(place: Place, survey: Survey, design: Design) -> None:
    """Write what the folder is made from, or refuse another's."""
    path = place.folder / MADE_FROM
    own = {
        "survey": survey.identity,
        "settings": place.settings.model_dump(mode="json"),
        **json.loads(json.dumps(design.identity())),
    }
    if place.model is not None:
        own["model"] = weights_hash(Network.load(place.model))
    if path.exists():
        before = read_own(path, MadeFrom)["made_from"]
        wrong = [name for name in {**before, **own} if before.get(name) != own.get(name)]
        if wrong:
            raise SettingsError(
                f"{place.folder}: holds a benchmark of another {' and '.join(wrong)}; give another "
                "folder, or the same settings to go on with it"
            )
    facts = provenance(data=f"{survey.kind} survey", survey=survey.identity, seeds=design.seeds)
    with written_whole(path) as scratch:
        content = {"made_from": own, "provenance": facts}
        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _prepare(place: Place, design: Design) -> None:
    """Features that several pieces of work need, before these run side by side."""
    for track in design.tracks:
        inputs = place.inputs(track)
        for modality in track.needs:
            getattr(inputs, modality)
        items: list[Candidate | BenchmarkTask] = [*design.candidates, *design.tasks]
        for item in (item for item in items if item.track == track):
            item.prepare(inputs)


def _do(work: Sequence[Work], place: Place, processes: int) -> Iterator[Path]:
    """Do pieces of work, in this process or in several."""
    if processes == 1 or len(work) < 2:
        for piece in work:
            yield do(piece, place)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: set[Future[Path]] = {pool.submit(do, piece, place) for piece in work}
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()
