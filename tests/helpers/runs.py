"""What tests look at in a run's folder, while it goes on and afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from desa.training.tracking import read_metrics


def losses(out: Path) -> list[tuple[int, str, float]]:
    """Step, phase and loss of every record."""
    return [(r["step"], r["phase"], r["loss"]) for r in read_metrics(out / "metrics.jsonl")]


def wait_for_step(out: Path, step: int, process: subprocess.Popen[Any], seconds: float = 60.0) -> None:
    """Until a running process has got to a step and left a checkpoint."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be stopped"
        records = read_metrics(out / "metrics.jsonl")
        if records and records[-1]["step"] >= step and (out / "checkpoint.pt").exists():
            return
        time.sleep(0.005)
    pytest.fail("the run did not get going")


def two_processes(program: Path, *arguments: str) -> None:
    """Run a test's own file in two processes that find each other as `torchrun`'s do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(program), *arguments],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
