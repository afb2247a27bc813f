from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from desa.errors import ModelError
from desa.training import checkpoint
from desa.training.checkpoint import Checkpoints
from desa.training.tracking import Tracker, read_metrics
from helpers.toy import Toy


def saved(out: Path, step: int = 7) -> tuple[Toy, torch.optim.AdamW]:
    task = Toy()
    optimizer = torch.optim.AdamW(task.parameters())
    task.predict(torch.ones(2, 8)).sum().backward()
    optimizer.step()
    Checkpoints(out).save(task, optimizer, {"step": step}, checkpoint.weights(task))
    return task, optimizer


def test_round_trip(tmp_path: Path) -> None:
    task, optimizer = saved(tmp_path)
    other = Toy()
    moments = torch.optim.AdamW(other.parameters())
    state, best = Checkpoints(tmp_path).load(other, moments)
    assert state == {"step": 7} and Checkpoints(tmp_path).peek() == {"step": 7}
    assert best is not None
    for name, value in task.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]) and torch.equal(value, best[name])
    for key, values in optimizer.state_dict()["state"].items():
        assert torch.equal(values["exp_avg"], moments.state_dict()["state"][key]["exp_avg"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt"], "no scratch files are left"


@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_damaged_checkpoint(tmp_path: Path, damage: str) -> None:
    saved(tmp_path)
    path = tmp_path / "checkpoint.pt"
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "text": b"not a checkpoint"}[damage])
    with pytest.raises(ModelError, match=r"checkpoint\.pt"):
        Checkpoints(tmp_path).load(Toy(), torch.optim.AdamW(Toy().parameters()))


class Evil:
    def __reduce__(self):
        return (os.system, ("touch was_run",))


def test_foreign_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "state": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(ModelError, match="no usable checkpoint"):
        checkpoint.load_tensors(tmp_path / "checkpoint.pt")
    (tmp_path / "checkpoint.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ModelError, match="no usable checkpoint"):
        checkpoint.load_tensors(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "was_run").exists()


def test_other_model_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    other = torch.nn.Linear(2, 2)
    with pytest.raises(ModelError, match="another model"):
        Checkpoints(tmp_path).load(other, torch.optim.AdamW(other.parameters()))


def test_missing_checkpoint(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path).latest() is None and Checkpoints(tmp_path).peek() is None
    with pytest.raises(ModelError, match="no checkpoint"):
        Checkpoints(tmp_path).load(Toy(), torch.optim.AdamW(Toy().parameters()))


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, step=1)

    def fail(content, path):
        Path(path).write_bytes(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        saved(tmp_path, step=2)
    assert Checkpoints(tmp_path).peek() == {"step": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_metrics_after_the_checkpoint_are_dropped_at_resume(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        for step in range(1, 6):
            tracker.record(step, "train", {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "pha')
    with Tracker(tmp_path, step=3) as tracker:
        tracker.record(4, "train", {"loss": 40.0})
    assert [record["loss"] for record in read_metrics(tmp_path / "metrics.jsonl")] == [1.0, 2.0, 3.0, 40.0]
