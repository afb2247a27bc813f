"""A mock survey: light curves, spectra and labels of many stars, into a survey store or as archive files.

The stars come in shards of fixed size. A shard depends on the survey's seed and its own number only, so any
process may make any shard, finished ones are kept when a run is taken up again, and the bytes are the same
for any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

import desa
from desa.cluster import as_made
from desa.errors import SettingsError
from desa.files import clear_parts
from desa.folders import claimed
from desa.progress import Report
from desa.simulate import files, observe
from desa.simulate.labels import observed_labels, true_labels
from desa.simulate.lightcurves import piece_of, simulate_lightcurve
from desa.simulate.plan import PARTS_FOLDER, SHARD_STARS, MockPlan, has_part, plan_of, read_parts, write_part
from desa.simulate.population import draw_star, stream
from desa.survey.parallel import Workers
from desa.survey.shards import note_of
from desa.survey.write import (
    PLACES,
    Modality,
    clear_scratch,
    finish_survey,
    is_survey_folder,
    write_lightcurves,
    write_spectra,
)

Format = Literal["store", "fits"]


def simulate_star(plan: MockPlan, index: int) -> observe.MockStar:
    """Star number `index` with its light curve, spectra and labels."""
    star = draw_star(plan.seed, index)
    curve = simulate_lightcurve(star, stream(plan.seed, index, 1), plan.quarters)
    spectra = observe.simulate_spectra(star, stream(plan.seed, index, 2), plan.repeats)
    snr = max((s.snr["g"] for s in spectra), default=float("nan"))
    labels = observed_labels(star, curve, snr, stream(plan.seed, index, 3)) | true_labels(star)
    rng = stream(plan.seed, index, 4)
    if rng.random() < plan.short:
        curve = piece_of(curve, rng)
    return observe.MockStar(star, curve, spectra, labels)


def make_shard(plan: MockPlan, path: Path, shard: int) -> int:
    """Make and write one shard of a store; returns its number."""
    made = [simulate_star(plan, index) for index in plan.stars_of(shard)]
    write_part(plan, path, shard, made)
    fingerprint = plan.fingerprint(shard)
    write_spectra(path, shard, [s for m in made for s in m.spectra], fingerprint=fingerprint)
    write_lightcurves(path, shard, [m.lightcurve for m in made], fingerprint=fingerprint)
    return shard


def _is_done(plan: MockPlan, path: Path, shard: int) -> bool:
    """Whether an earlier run finished a shard (the light curves are written last)."""
    fingerprint = plan.fingerprint(shard)
    notes = [note_of(path / modality, shard, fingerprint) for modality in ("lightcurves", "spectra")]
    return all(note is not None for note in notes) and has_part(plan, path, shard)


def _run(
    make: Callable[[int], int], todo: Sequence[int], processes: int, executor: Executor | None
) -> Iterator[int]:
    """Make shards, in their order or as they come."""
    if executor is None:
        with Workers(min(processes, len(todo))) as workers:
            yield from workers.in_order(make, todo)
        return
    yield from as_made(executor, make, todo)


def simulate_survey(
    n_stars: int,
    seed: int,
    out: str | Path,
    format: Format = "store",
    processes: int = 1,
    *,
    quarters: Sequence[int] | None = None,
    short: float = 0.0,
    progress: Report | None = None,
    executor: Executor | None = None,
    shard_stars: int = SHARD_STARS,
) -> Path:
    """Make a mock survey.

    Parameters
    ----------
    n_stars
        Number of stars; star k is the same in every survey of this seed.
    seed
        Seed of all randomness.
    out
        Folder to make. What an interrupted run of the same survey finished there is kept.
    format
        ``"store"``: a survey that `desa.survey.store.Survey` opens, of kind ``"mock"``. ``"fits"``: Kepler
        and LAMOST files with a label table, see `desa.simulate.files`.
    processes
        Number of processes; the result does not depend on it.
    quarters
        Kepler's quarters to observe in, such as ``range(4, 8)``; None: all 18.
    short
        Share of the stars whose light curve is a piece of 25 to 92 days, as many real ones are. Their labels
        are those of the whole. In a store only: the archives' files hold whole quarters.
    progress
        Called with the number of stars made and wanted.
    executor
        Runs the shards instead of processes of its own: any `concurrent.futures.Executor`, such as
        ``dask.distributed.Client(address).get_executor()``; its workers must see `out`.
    shard_stars
        Stars a file.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    SettingsError
        For numbers that make no survey.
    OutputError
        If `out` is somebody else's folder, can't be written, or another run is filling it.
    """
    plan = plan_of(n_stars, seed, quarters, shard_stars, short)
    path, report = Path(out), progress or _silent
    if format not in ("store", "fits"):
        raise SettingsError(f"a mock survey's format is store or fits, not {format!r}")
    if format == "fits" and short:
        raise SettingsError("the archives' files hold whole quarters: short light curves need a store")
    if format == "fits":
        with claimed(path, "set of mock archive files", places=files.PLACES):
            clear_parts(path, *files.PATTERNS)
            _make(plan, path, files.make_shard, has_part, processes, executor, report)
            files.finish(path, read_parts(plan, path))
        return path
    with claimed(path, "survey", places=(*PLACES, PARTS_FOLDER), ours=is_survey_folder):
        clear_scratch(path)
        clear_parts(path, f"{PARTS_FOLDER}/*.parquet")
        _make(plan, path, make_shard, _is_done, processes, executor, report)
        stars = read_parts(plan, path)
        counts: dict[Modality, int] = {"lightcurves": plan.shards, "spectra": plan.shards}
        finish_survey(path, kind="mock", counts=counts, stars=stars, report=report_of(plan, stars))
    return path


def _make(
    plan: MockPlan,
    path: Path,
    make: Callable[[MockPlan, Path, int], int],
    is_done: Callable[[MockPlan, Path, int], bool],
    processes: int,
    executor: Executor | None,
    report: Report,
) -> None:
    """Make the shards that are not there yet."""
    todo = [shard for shard in range(plan.shards) if not is_done(plan, path, shard)]
    made = plan.n_stars - sum(len(plan.stars_of(shard)) for shard in todo)
    report(made, plan.n_stars)
    if todo:
        (path / "survey.json").unlink(missing_ok=True)
    for shard in _run(partial(make, plan, path), todo, processes, executor):
        made += len(plan.stars_of(shard))
        report(made, plan.n_stars)


def _silent(done: int, total: int) -> None:
    """Report to nobody."""


def report_of(plan: MockPlan, stars: pa.Table) -> dict[str, Any]:
    """Content of ``report.json``."""
    classes = stars.column("cmd_class").value_counts().to_pylist()
    return {
        "made_by": f"desa {desa.__version__} simulate",
        "plan": asdict(plan),
        "stars": stars.num_rows,
        "binaries": int(np.sum(stars.column("binary").to_pylist())),
        "classes": {c["values"]: c["counts"] for c in sorted(classes, key=lambda c: str(c["values"]))},
        "left_out": [],
    }
