from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy import VALIDATION, Toy, batches

from desa.config import Training
from desa.training import distributed
from desa.training.checkpoint import full_weights
from desa.training.loop import fit
from desa.training.tracking import read_metrics

STEPS = 6


def training(steps: int = STEPS) -> Training:
    return Training(steps=steps, learning_rate=1e-2, accumulate=2, validate_every=3)


def program(out: str, strategy: str) -> None:
    """What each of the two processes does: half the steps, a checkpoint, then the rest."""
    torch.set_num_threads(1)
    with distributed.joined("cpu") as world:
        for steps in (STEPS // 2, STEPS):
            task = Toy(noise=0.0, dropout=0.0)
            mine = VALIDATION[world.rank :: world.size]
            fit(task, batches, mine, training(steps), Path(out), strategy=strategy, resume=True)  # type: ignore[arg-type]
        values = full_weights(task)
        if world.main:
            torch.save(values, Path(out) / "weights.pt")


def run_two(out: Path, strategy: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(out), strategy],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_do_what_one_does_with_the_double_batch(tmp_path: Path, strategy: str) -> None:
    alone = Toy(noise=0.0, dropout=0.0)
    fit(alone, batches, VALIDATION, training(), tmp_path / "one")
    run_two(tmp_path / "two", strategy)
    shared = torch.load(tmp_path / "two" / "weights.pt", weights_only=True)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(shared[name], value, rtol=1e-4, atol=1e-6)
    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    assert [(r["step"], r["phase"]) for r in one] == [(r["step"], r["phase"]) for r in two]
    for record, other in zip(one, two, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_alone() -> None:
    assert distributed.current() == distributed.World()
    assert distributed.any_process((True, False), torch.device("cpu")) == (True, False)
    assert distributed.sum_over_processes({"a": 1.5}, torch.device("cpu")) == {"a": 1.5}
    with distributed.joined("cpu") as world:
        assert world.main and world.size == 1


def test_device_by_name() -> None:
    assert distributed.choose_device("cpu") == torch.device("cpu")
    assert distributed.choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    program(*sys.argv[1:])
