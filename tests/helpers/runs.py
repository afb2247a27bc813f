"""What tests look at in a run's folder, while it goes on and afterwards."""

from __future__ import annotations

import subprocess
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
