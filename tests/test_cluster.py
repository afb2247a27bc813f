"""Shards made by a Dask cluster."""

from pathlib import Path

import pytest
from distributed import LocalCluster

from desa.cluster import cluster_executor
from desa.errors import SettingsError
from desa.simulate.survey import simulate_survey


def test_two_workers_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("alone", "cluster"):
        (tmp_path / name).mkdir()
    arguments = {"quarters": [4], "shard_stars": 2}
    simulate_survey(6, 0, tmp_path / "alone", **arguments)  # type: ignore[arg-type]
    workers = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**workers) as cluster, cluster_executor(cluster.scheduler_address) as executor:
        simulate_survey(6, 0, tmp_path / "cluster", executor=executor, **arguments)  # type: ignore[arg-type]
    parts = [
        {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "alone", tmp_path / "cluster")
    ]
    assert len(parts[0]) > 6
    assert parts[0] == parts[1]


def test_no_scheduler_is_said_plainly() -> None:
    with (
        pytest.raises(SettingsError, match="no Dask scheduler answers"),
        cluster_executor("tcp://127.0.0.1:9", seconds=1.0),
    ):
        raise AssertionError
