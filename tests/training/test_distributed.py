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
STRATEGIES = ("ddp", "fsdp")
SITTINGS = {"two": "22", "fewer": "2", "more": "12"}
"""Runs, and how many processes are in each half of the steps; ``fewer`` ends alone."""


def go_on(folder: Path, strategy: str, steps: int) -> Toy:
    world = distributed.current()
    task, mine = Toy(noise=0.0, dropout=0.0), VALIDATION[world.rank :: world.size]
    training = Training(
        steps=steps,
        learning_rate=1e-2,
        accumulate=2,
        validate_every=3,
        schedule="constant",
        strategy=strategy,
    )  # type: ignore[arg-type]
    fit(task, batches, mine, training, folder, strategy=strategy, resume=True)  # type: ignore[arg-type]
    return task


def program(out: str) -> None:
    """What each of two processes does: the halves of the steps that are theirs."""
    torch.set_num_threads(1)
    world = distributed.join("cpu")
    for name, processes in SITTINGS.items():
        for strategy in STRATEGIES:
            folder = Path(out) / name / strategy
            for half, here in enumerate(processes, 1):
                if here == "2":
                    values = full_weights(go_on(folder, strategy, half * STEPS // 2))
            if world.main:
                torch.save(values, folder / "weights.pt")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    for strategy in STRATEGIES:
        go_on(out / "more" / strategy, strategy, STEPS // 2)
    two_processes(Path(__file__), str(out))
    for strategy in STRATEGIES:
        task = go_on(out / "fewer" / strategy, strategy, STEPS)
        torch.save(task.state_dict(), out / "fewer" / strategy / "weights.pt")
    return out


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", SITTINGS)
def test_any_number_of_processes_does_what_one_does(
    tmp_path: Path, runs: Path, name: str, strategy: str
) -> None:
    """In every sitting of a run, which another number of processes may take up."""
    alone = go_on(tmp_path, "ddp", STEPS)
    shared = torch.load(runs / name / strategy / "weights.pt", weights_only=True)
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(shared[key], value, rtol=1e-4, atol=1e-6)
    one, both = (read_metrics(folder / "metrics.jsonl") for folder in (tmp_path, runs / name / strategy))
    assert [(r["step"], r["phase"]) for r in one] == [(r["step"], r["phase"]) for r in both]
    for record, other in zip(one, both, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_a_sharded_run_alone_goes_on(tmp_path: Path) -> None:
    whole = go_on(tmp_path / "whole", "fsdp", STEPS)
    go_on(tmp_path / "halves", "fsdp", STEPS // 2)
    halves = go_on(tmp_path / "halves", "fsdp", STEPS)
    assert [path.name for path in (tmp_path / "halves").glob("checkpoint*")] == [f"checkpoint-{STEPS}"]
    for key, value in whole.state_dict().items():
        assert torch.equal(halves.state_dict()[key], value)


def test_alone() -> None:
    assert distributed.current() == distributed.World()
    assert distributed.any_process((True, False), torch.device("cpu")) == (True, False)
    assert distributed.sum_over_processes({"a": 1.5}, torch.device("cpu")) == {"a": 1.5}
    assert distributed.join("cpu") == distributed.World() and distributed.World().main


if __name__ == "__main__":
    program(*sys.argv[1:])
