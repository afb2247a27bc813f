"""A mock survey: light curves, spectra and labels of many stars, into a survey store or as archive files.

The stars come in shards of fixed size. A shard depends on the survey's seed and its own number only, so any
process may make any shard, finished ones are kept when a run is taken up again, and the bytes are the same for
any number of processes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import desa
from desa.errors import SettingsError
from desa.files import written_whole
from desa.progress import Report
from desa.simulate import observe
from desa.simulate.labels import Label, observed_labels, true_labels
from desa.simulate.lightcurves import simulate_lightcurve
from desa.simulate.population import draw_star, stream
from desa.survey.shards import json_bytes, note_of
from desa.survey.write import finish_survey, write_lightcurves, write_spectra

SHARD_STARS: Final = 64
PARTS: Final = "mock"
"""Folder of the shards' star tables while a survey is made."""
Format = Literal["store", "fits"]


@dataclass(frozen=True)
class Plan:
    """What a mock survey is made of; two equal plans give equal bytes.

    Parameters
    ----------
    n_stars, seed
        Number of stars, and the seed of all randomness.
    quarters
        Kepler's quarters to observe in, None: all 18.
    repeats
        Share of the stars with a second spectrum, and of those with a third.
    """

    n_stars: int
    seed: int
    quarters: tuple[int, ...] | None = None
    repeats: tuple[float, float] = (0.15, 0.3)

    def fingerprint(self, shard: int) -> str:
        """Hash of what a shard is made from."""
        stars = min(SHARD_STARS, self.n_stars - shard * SHARD_STARS)
        made_of = [desa.__version__, self.seed, self.quarters, self.repeats, shard, stars, SHARD_STARS]
        return hashlib.sha256(json_bytes(made_of)).hexdigest()

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.n_stars // SHARD_STARS)

    def stars_of(self, shard: int) -> range:
        """Numbers of the stars in a shard."""
        return range(shard * SHARD_STARS, min((shard + 1) * SHARD_STARS, self.n_stars))


def simulate_star(plan: Plan, index: int) -> observe.MockStar:
    """Star number `index` with its light curve, spectra and labels."""
    star = draw_star(plan.seed, index)
    curve = simulate_lightcurve(star, stream(plan.seed, index, 1), plan.quarters)
    spectra = observe.simulate_spectra(star, stream(plan.seed, index, 2), plan.repeats)
    snr = max((s.snr["g"] for s in spectra), default=float("nan"))
    labels = observed_labels(star, curve, snr, stream(plan.seed, index, 3)) | true_labels(star)
    return observe.MockStar(star, curve, spectra, labels)


def _row(mock: observe.MockStar) -> dict[str, Label | int]:
    star = mock.parameters
    return {"star_id": star.star_id, "kic": star.kic, "ra": star.ra, "dec": star.dec, **mock.labels}


def table_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Star rows as a table: text where the name says so, whole numbers for kic, else float64."""
    text, flags = {"star_id", "cmd_class", "binary_kind", "pulsator"}, {"binary", "thick_disc"}
    columns = {}
    for name in rows[0]:
        kind = pa.string() if name in text else pa.bool_() if name in flags else pa.float64()
        values = [row[name] for row in rows]
        columns[name] = pa.array(values, pa.int64() if name == "kic" else kind)
    return pa.table(columns)


def make_shard(plan: Plan, path: Path, shard: int) -> int:
    """Make and write one shard of a store; returns its number."""
    made = [simulate_star(plan, index) for index in plan.stars_of(shard)]
    with written_whole(_part(path, shard)) as scratch:
        pq.write_table(table_of([_row(m) for m in made]), scratch, compression="zstd")
    fingerprint = plan.fingerprint(shard)
    write_spectra(path, shard, [s for m in made for s in m.spectra], fingerprint=fingerprint)
    write_lightcurves(path, shard, [m.lightcurve for m in made], fingerprint=fingerprint)
    return shard


def _part(path: Path, shard: int) -> Path:
    return path / PARTS / f"{shard:05d}.parquet"


def _is_done(plan: Plan, path: Path, shard: int) -> bool:
    """Whether an earlier run finished a shard (the light curves are written last)."""
    fingerprint = plan.fingerprint(shard)
    notes = [note_of(path / modality, shard, fingerprint) for modality in ("lightcurves", "spectra")]
    return all(note is not None for note in notes) and _part(path, shard).is_file()


@contextmanager
def _workers(processes: int, executor: Executor | None) -> Iterator[Executor | None]:
    if executor is not None or processes <= 1:
        yield executor
        return
    # Threads of other libraries do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield pool


def _run(
    make: Callable[[Plan, Path, int], int],
    plan: Plan,
    path: Path,
    todo: Sequence[int],
    *,
    processes: int,
    executor: Executor | None,
    done: Callable[[int], None],
) -> None:
    with _workers(min(processes, len(todo)), executor) as pool:
        if pool is None:
            for shard in todo:
                done(make(plan, path, shard))
            return
        futures = [pool.submit(make, plan, path, shard) for shard in todo]
        try:
            for future in as_completed(futures):
                done(future.result())
        finally:
            for future in futures:
                future.cancel()


def simulate_survey(
    n_stars: int,
    seed: int,
    out: str | Path,
    format: Format = "store",
    processes: int = 1,
    *,
    quarters: Sequence[int] | None = None,
    progress: Report | None = None,
    executor: Executor | None = None,
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
        ``"store"``: a survey that `desa.survey.store.Survey` opens, of kind ``"mock"``. ``"fits"``: Kepler and
        LAMOST files with a label table, see `desa.simulate.files`.
    processes
        Number of processes; the result does not depend on it.
    quarters
        Kepler's quarters to observe in, such as ``range(4, 8)``; None: all 18.
    progress
        Called with the number of stars made and wanted.
    executor
        Runs the shards instead of processes of its own: any `concurrent.futures.Executor`, such as
        ``dask.distributed.Client(address).get_executor()``; its workers must see `out`.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    SettingsError
        For numbers that make no survey.
    """
    plan = plan_of(n_stars, seed, quarters)
    path = Path(out)
    path.mkdir(parents=True, exist_ok=True)
    if format == "fits":
        from desa.simulate import files

        make, is_done = files.make_shard, files.is_done
    elif format == "store":
        make, is_done = make_shard, _is_done
    else:
        raise SettingsError(f"a mock survey's format is store or fits, not {format!r}")
    todo = [shard for shard in range(plan.shards) if not is_done(plan, path, shard)]
    made = n_stars - sum(len(plan.stars_of(shard)) for shard in todo)

    def count(shard: int) -> None:
        nonlocal made
        made += len(plan.stars_of(shard))
        if progress is not None:
            progress(made, n_stars)

    if progress is not None:
        progress(made, n_stars)
    if format == "store" and todo:
        (path / "survey.json").unlink(missing_ok=True)
    _run(make, plan, path, todo, processes=processes, executor=executor, done=count)
    stars = pa.concat_tables([pq.read_table(_part(path, shard)) for shard in range(plan.shards)])
    if format == "fits":
        files.finish(plan, path, stars)
    else:
        counts = {"lightcurves": plan.shards, "spectra": plan.shards}
        finish_survey(path, kind="mock", counts=counts, stars=stars, report=report_of(plan, stars))  # type: ignore[arg-type]
    return path


def plan_of(n_stars: int, seed: int, quarters: Sequence[int] | None = None) -> Plan:
    """A checked plan."""
    if n_stars < 1 or seed < 0:
        raise SettingsError(
            f"a mock survey needs at least one star and a seed of 0 or more: {n_stars}, {seed}"
        )
    if quarters is not None and (not len(quarters) or not set(quarters) <= set(range(18))):
        raise SettingsError(f"Kepler's quarters are 0 to 17, not {list(quarters)}")
    return Plan(n_stars, seed, None if quarters is None else tuple(sorted(set(quarters))))


def report_of(plan: Plan, stars: pa.Table) -> dict[str, Any]:
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
