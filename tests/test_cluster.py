"""Shards made by a Dask cluster."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import KilledWorker, LocalCluster

import desa.survey.ingest
from desa.cluster import cluster_executor
from desa.errors import DesaError, SettingsError
from desa.simulate.survey import simulate_survey
from desa.survey.ingest import ingest
from helpers.samples import write_quarter, write_spectrum


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers, processes of their own."""
    with LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=":0") as made:
        yield made


@pytest.fixture(scope="module")
def quick_cluster() -> Iterator[LocalCluster]:
    """Two workers in this process."""
    with LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=":0") as made:
        yield made


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_two_workers_give_the_same_bytes(cluster: LocalCluster, tmp_path: Path) -> None:
    for name in ("alone", "cluster"):
        (tmp_path / name).mkdir()
    arguments = {"quarters": [4], "shard_stars": 2}
    simulate_survey(6, 0, tmp_path / "alone", **arguments)  # type: ignore[arg-type]
    with cluster_executor(cluster.scheduler_address) as executor:
        simulate_survey(6, 0, tmp_path / "cluster", executor=executor, **arguments)  # type: ignore[arg-type]
    assert len(content(tmp_path / "alone")) > 6
    assert content(tmp_path / "alone") == content(tmp_path / "cluster")


def archive(folder: Path, stars: int) -> None:
    """Light curves in two quarters and a spectrum of each star, and a file that can't be read."""
    for star in range(stars):
        for quarter in (3, 4):
            write_quarter(folder / f"lc/{star}_{quarter}_llc.fits", 100 + star, quarter, ra=200.0 + star)
        write_spectrum(folder / f"sp/{star}.fits", 1 + star, ra=200.0 + star)
    (folder / "sp/empty.fits").write_bytes(b"")


def test_ingest_by_two_workers(
    quick_cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes."""
    monkeypatch.setattr(desa.survey.ingest, "MOST_STARS", 2)
    monkeypatch.setattr(desa.survey.ingest, "SCAN_FILES", 3)
    monkeypatch.chdir(tmp_path)
    archive(tmp_path, 5)
    alone = ingest("lc", "sp", None, "alone", processes=1)
    with cluster_executor(quick_cluster.scheduler_address) as executor:
        told: list[tuple[int, int]] = []
        found = ingest("lc", "sp", None, "cluster", executor=executor, progress=lambda *n: told.append(n))
    assert found == alone and len(found["left_out"]) == 1
    assert content(tmp_path / "alone") == content(tmp_path / "cluster")
    assert told == sorted(told) and told[0] == (0, 16) and told[-1] == (16, 16) and len(told) == 7


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_shard(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was finished before is not made again, though the worker that made it is gone."""
    monkeypatch.setattr(desa.survey.ingest, "MOST_STARS", 2)
    monkeypatch.chdir(tmp_path)  # the workers run in another folder
    archive(tmp_path, 60)
    ingest("lc", "sp", None, "alone", processes=1)
    finished: dict[str, int] = {}
    lost: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if not 0 < done < total or lost:
            return
        lost.append(total - done)
        for note in (tmp_path / "cluster").glob("*/shards/*.json"):
            finished[str(note.relative_to(tmp_path))] = note.stat().st_mtime_ns
        os.kill(cluster.workers[0].pid, signal.SIGKILL)

    with cluster_executor(cluster.scheduler_address) as executor:
        ingest("lc", "sp", None, "cluster", executor=executor, progress=kill_one)
    assert lost and lost[0] > 60, "it was killed in the middle"
    assert finished and finished == {name: (tmp_path / name).stat().st_mtime_ns for name in finished}
    alone, other = content(tmp_path / "alone"), content(tmp_path / "cluster")
    assert alone == other


def test_what_ends_every_worker_is_said_plainly(quick_cluster: LocalCluster) -> None:
    with (
        pytest.raises(DesaError, match="workers ended one after another at the same task"),
        cluster_executor(quick_cluster.scheduler_address),
    ):
        raise KilledWorker("task", None, 3)


def test_no_scheduler_is_said_plainly() -> None:
    with (
        pytest.raises(SettingsError, match="no Dask scheduler answers"),
        cluster_executor("tcp://127.0.0.1:9", seconds=1.0),
    ):
        raise AssertionError
