from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from desa.config import Training
from desa.training import distributed
from desa.training.checkpoint import full_weights
from desa.training.loop import fit
from desa.training.tracking import read_metrics
from helpers.runs import two_processes
from helpers.toy import VALIDATION, Toy, batches

STEPS = 6


def training(steps: int = STEPS) -> Training:
    return Training(steps=steps, learning_rate=1e-2, accumulate=2, validate_every=3)


def program(out: str) -> None:
    """What each of the two processes does: half the steps, a checkpoint, then the rest."""
    torch.set_num_threads(1)
    world = distributed.join("cpu")
    for strategy in ("ddp", "fsdp"):
        folder = Path(out) / strategy
        for steps in (STEPS // 2, STEPS):
            task = Toy(noise=0.0, dropout=0.0)
            mine = VALIDATION[world.rank :: world.size]
            fit(task, batches, mine, training(steps), folder, strategy=strategy, resume=True)
        values = full_weights(task)
        if world.main:
            torch.save(values, folder / "weights.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two")
    two_processes(Path(__file__), str(out))
    return out


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_do_what_one_does_with_the_double_batch(
    tmp_path: Path, two: Path, strategy: str
) -> None:
    alone = Toy(noise=0.0, dropout=0.0)
    fit(alone, batches, VALIDATION, training(), tmp_path)
    shared = torch.load(two / strategy / "weights.pt", weights_only=True)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(shared[name], value, rtol=1e-4, atol=1e-6)
    one, both = (read_metrics(folder / "metrics.jsonl") for folder in (tmp_path, two / strategy))
    assert [(r["step"], r["phase"]) for r in one] == [(r["step"], r["phase"]) for r in both]
    for record, other in zip(one, both, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_alone() -> None:
    assert distributed.current() == distributed.World()
    assert distributed.any_process((True, False), torch.device("cpu")) == (True, False)
    assert distributed.sum_over_processes({"a": 1.5}, torch.device("cpu")) == {"a": 1.5}
    assert distributed.join("cpu") == distributed.World() and distributed.World().main


if __name__ == "__main__":
    program(*sys.argv[1:])
