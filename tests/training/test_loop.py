from __future__ import annotations

import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import desa
from desa.config import Training
from desa.errors import DesaError, ModelError
from desa.training.loop import fit, learning_rate, step_seed
from desa.training.tracking import read_metrics, training_progress
from helpers import toy
from helpers.runs import losses, wait_for_step
from helpers.toy import VALIDATION, Toy, batches, make_batch

TOY = Path(toy.__file__)


def start(out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(TOY), str(out), "anew", "0.02"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert toy.main(str(out), "anew").split() == ["finished", "40"]
    return out


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_killed_and_resumed_is_bit_identical(
    tmp_path: Path, uninterrupted: Path, number: signal.Signals
) -> None:
    process = start(tmp_path)
    wait_for_step(tmp_path, 13, process)
    process.send_signal(number)
    said = process.communicate(timeout=60)[0].split()
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 0
        assert said[:2] == ["signal", number.name]
        assert losses(tmp_path)[-1][0] == int(said[2]), "the step under way is finished and recorded"
    assert 13 <= losses(tmp_path)[-1][0] < 40
    assert toy.main(str(tmp_path), "resume").split() == ["finished", "40"]
    assert losses(tmp_path) == losses(uninterrupted)
    one, other = (torch.load(p / "weights.pt", weights_only=True) for p in (tmp_path, uninterrupted))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_learns_and_keeps_the_best_weights(tmp_path: Path) -> None:
    task = Toy(noise=0.0, dropout=0.0)
    training = Training(steps=150, learning_rate=2e-2, validate_every=10)
    history = fit(task, batches, VALIDATION, training, tmp_path)
    records = read_metrics(tmp_path / "metrics.jsonl")
    valid = {r["step"]: r["loss"] for r in records if r["phase"] == "valid"}
    assert history.best == min(valid.values()) < 0.5 * valid[10]
    assert valid[history.best_step] == history.best
    task.eval()
    with torch.no_grad():
        again = sum(float((task.predict(b[:, :8]) - b[:, 8]).square().sum()) for b in VALIDATION) / 32
    assert again == pytest.approx(history.best, rel=1e-5)
    assert any((tmp_path / "tensorboard").iterdir())


def test_early_stopping(tmp_path: Path) -> None:
    training = Training(steps=500, learning_rate=1e-12, validate_every=5, patience=3)
    # At this rate float32 weights stand still: the first validation is never bettered.
    history = fit(Toy(), batches, VALIDATION, training, tmp_path)
    assert (history.stopped, history.best_step, history.step) == ("early", 5, 20)
    again = fit(Toy(), batches, VALIDATION, training, tmp_path, resume=True)
    assert again == history


def test_accumulation_is_a_larger_batch(tmp_path: Path) -> None:
    def halves(skip: int):
        for number in range(skip, 10**6):
            yield make_batch(number // 2)[8 * (number % 2) :][:8]

    whole, split = Toy(noise=0.0, dropout=0.0), Toy(noise=0.0, dropout=0.0)
    fit(whole, batches, None, Training(steps=5, learning_rate=1e-3), tmp_path / "a")
    fit(split, halves, None, Training(steps=5, learning_rate=1e-3, accumulate=2), tmp_path / "b")
    for one, other in zip(whole.parameters(), split.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_gradient_clipping(tmp_path: Path) -> None:
    task = Toy()
    before = [p.detach().clone() for p in task.parameters()]
    seen: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"]]
        seen.append(float(torch.cat(gradients).norm()))
        return step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", spy)
        fit(task, batches, None, Training(steps=3, learning_rate=1e-3, clip_norm=1e-3), tmp_path)
    assert len(seen) == 3 and max(seen) <= 1e-3 * (1 + 1e-5)
    assert any(not torch.equal(a, b) for a, b in zip(before, task.parameters(), strict=True))


def test_schedule() -> None:
    training = Training(steps=110, warmup=10, learning_rate=1.0, final_learning_rate=0.1, schedule="cosine")
    rates = [learning_rate(training, step) for step in range(111)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1.0
    assert rates[60] == pytest.approx(0.55) and rates[110] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert learning_rate(Training(learning_rate=0.3), 777) == 0.3


def test_seeds_differ_by_place() -> None:
    seeds = {step_seed(s, a, b) for s in range(3) for a in range(10) for b in range(3)}
    assert len(seeds) == 90 and all(0 <= seed < 2**63 for seed in seeds)


def test_bfloat16(tmp_path: Path) -> None:
    class Spy(Toy):
        def predict(self, x):
            self.dtype_seen = self.out(x).dtype
            return super().predict(x)

    task = Spy()
    fit(task, batches, None, Training(steps=2, learning_rate=1e-3), tmp_path, dtype="bfloat16")
    assert task.dtype_seen == torch.bfloat16
    assert task.out.weight.dtype == torch.float32


def test_compile_marks_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(self))

    class Compilable(Toy):
        def compilable(self):
            return [self.out]

    task = Compilable()
    fit(task, batches, None, Training(steps=1, learning_rate=1e-3), tmp_path, compile=True)
    assert compiled == [task.out]


class Broken(Toy):
    bad_steps = range(3)
    calls = 0

    def training_step(self, batch, generator):
        loss, metrics = super().training_step(batch, generator)
        self.calls += 1
        return loss * (math.nan if self.calls - 1 in self.bad_steps else 1.0), metrics


def test_a_gradient_that_is_not_finite_leaves_the_weights_alone(tmp_path: Path) -> None:
    task = Broken()
    before = [p.detach().clone() for p in task.parameters()]
    fit(task, batches, None, Training(steps=3, learning_rate=1e-2), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(before, task.parameters(), strict=True))
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["loss"] for record in records] == [None] * 3, "JSON has no NaN"
    task.bad_steps = range(3, 10_000)
    with pytest.raises(DesaError, match="not finite in 20 steps"):
        fit(task, batches, None, Training(steps=100, learning_rate=1e-2), tmp_path)


def test_empty_training_data_is_said(tmp_path: Path) -> None:
    with pytest.raises(DesaError, match="no training batch"):
        fit(Toy(), lambda skip: [], None, Training(steps=1), tmp_path)


def test_resuming_another_run_is_refused(tmp_path: Path) -> None:
    training = Training(steps=1, learning_rate=1e-3)
    fit(Toy(), batches, None, training, tmp_path, identity={"survey": "a"})
    with pytest.raises(ModelError, match=r"another run.*survey"):
        fit(Toy(), batches, None, training, tmp_path, identity={"survey": "b"}, resume=True)
    with pytest.raises(ModelError, match=r"another run.*seed"):
        fit(Toy(), batches, None, training, tmp_path, identity={"survey": "a"}, resume=True, seed=1)
    history = fit(Toy(), batches, None, training, tmp_path, identity={"survey": "b"})
    assert history.step == 1, "starting anew replaces it"


def test_more_steps_can_be_added(tmp_path: Path) -> None:
    fit(Toy(), batches, None, Training(steps=3, learning_rate=1e-3), tmp_path)
    fit(Toy(), batches, None, Training(steps=5, learning_rate=1e-3), tmp_path, resume=True)
    assert [step for step, _, _ in losses(tmp_path)] == [1, 2, 3, 4, 5]


def test_progress_is_shown(tmp_path: Path) -> None:
    with training_progress() as progress:
        progress.disable = True
        fit(Toy(), batches, VALIDATION, Training(steps=4, validate_every=2), tmp_path, progress=progress)
        (bar,) = progress.tasks
    assert (bar.completed, bar.total, bar.description) == (4, 4, "toy")
    assert "steps/s" in bar.fields["rate"]
    assert "train" in bar.fields["losses"] and "valid" in bar.fields["losses"]


def test_there_is_no_other_gradient_loop() -> None:
    source = Path(desa.__file__).parent
    words = re.compile(r"\.backward\(|optim\.(?!Optimizer)")
    texts = {path.relative_to(source): path.read_text(encoding="utf-8") for path in source.rglob("*.py")}
    found = {str(path) for path, text in texts.items() if words.search(text)}
    assert found == {"training/loop.py"}


def test_groups_have_their_own_rates_and_the_start_may_be_the_best() -> None:
    class Grouped(Toy):
        def groups(self) -> list[tuple[list[nn.Parameter], float]]:
            return [(list(self.blocks.parameters()), 0.0), (list(self.out.parameters()), 1.0)]

    task = Grouped()
    start = {name: value.clone() for name, value in task.state_dict().items()}
    training = Training(
        steps=4, learning_rate=1e-2, final_learning_rate=1e-2, weight_decay=0.0, validate_every=2
    )
    fit(task, batches, None, training, None)
    changed = {name for name, value in task.state_dict().items() if not torch.equal(value, start[name])}
    assert changed == {"out.weight", "out.bias"}

    task.load_state_dict(start)
    wild = training.model_copy(update={"learning_rate": 1e3, "validate_start": True})
    history = fit(task, batches, VALIDATION, wild, None)
    assert history.best_step == 0
    assert all(torch.equal(value, start[name]) for name, value in task.state_dict().items())
