"""The training loop, the same for every objective.

Randomness is a function of the seed and the step's number, never of history, so a resumed run needs
no generator states and repeats bit for bit (on the CPU) what an uninterrupted one does. Taken up by another
number of processes it goes on with the same batches, shared out anew; masking and dropout are drawn by each
process, so that the numbers are then others.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from desa.config import Training
from desa.errors import DesaError, ModelError
from desa.training import distributed
from desa.training.checkpoint import Checkpoints, set_weights, weights
from desa.training.signals import StopSignals
from desa.training.task import Batch, History, Task
from desa.training.tracking import Tracker

MAX_SKIPPED = 20
"""So many steps in succession with a gradient that is not finite, and the run gives up."""


def step_seed(seed: int, *place: int | str) -> int:
    """A 63-bit seed for one place of a run (step, micro-batch, process)."""
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def learning_rate(training: Training, step: int) -> float:
    """Learning rate of step `step` (from 0): linear warm-up, then constant or half a cosine."""
    warmup = training.warmup if training.warmup >= 1 else int(training.warmup * training.steps)
    if step < warmup:
        return training.learning_rate * (step + 1) / warmup
    if training.schedule == "constant":
        return training.learning_rate
    done = (step - warmup) / max(1, training.steps - warmup)
    low, high = min(training.final_learning_rate, training.learning_rate), training.learning_rate
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * min(1.0, done)))


def autocast(device: torch.device, dtype: str) -> AbstractContextManager[Any]:
    """bfloat16 autocast where it was asked for and exists, else nothing."""
    if dtype != "bfloat16" or (device.type == "cuda" and not torch.cuda.is_bf16_supported()):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def fit(
    task: Task,
    train_batches: Callable[[int], Iterable[Batch]],
    validation_batches: Iterable[Batch] | None,
    training: Training,
    out: Path | None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    compile: bool = False,
    strategy: distributed.Strategy = "ddp",
    progress: Progress | None = None,
    resume: bool = False,
    identity: Mapping[str, Any] | None = None,
) -> History:
    """Train a task; on return it holds the weights that did best in validation.

    Parameters
    ----------
    task
        Model and objective. Moved to `device`.
    train_batches
        Given n, the endless run of this process's shares of the batches from the n-th on (over all epochs).
    validation_batches
        Gone through every `training.validate_every` steps; None for no validation.
    training
        Steps, learning rate and the like.
    out
        The run's folder: ``metrics.jsonl``, ``tensorboard/``, ``checkpoint.pt``. None: nothing is written,
        and a run that was stopped can't be resumed.
    seed
        Of masking, dropout and all else random in the steps.
    dtype
        ``"bfloat16"`` for autocast where the device has it.
    strategy
        ``"ddp"`` or ``"fsdp"``, where `torchrun` started several processes.
    progress
        A running rich bar; see `desa.training.tracking.training_progress`.
    resume
        Go on from the folder's checkpoint if it has one. Otherwise what is there is replaced.
    identity
        What the run is made from (survey, seed, settings); resuming with another is refused.

    Raises
    ------
    ModelError
        If the checkpoint is damaged or is another run's.
    DesaError
        If the training data is empty or the loss stops being finite.
    """
    run = _Run(task, training, out, seed, torch.device(device), dtype, strategy, dict(identity or {}))
    run.prepare(compile=compile)
    run.restore(resume=resume)
    if run.history.stopped and run.history.stopped != "signal":
        run.use_best()
        return run.history
    run.history.stopped = run.history.signal = ""
    with (
        StopSignals() as signals,
        Tracker(
            run.out,
            step=run.history.step,
            total=training.steps,
            name=task.name,
            progress=progress,
            active=run.world.main,
        ) as tracker,
    ):
        run.train(
            iter(train_batches(run.history.step * training.accumulate)), validation_batches, signals, tracker
        )
    if run.history.stopped != "signal":
        run.use_best()
    return run.history


class _Run:
    """The state of one call of `fit`."""

    def __init__(
        self,
        task: Task,
        training: Training,
        out: Path | None,
        seed: int,
        device: torch.device,
        dtype: str,
        strategy: distributed.Strategy,
        identity: dict[str, Any],
    ) -> None:
        self.task, self.training, self.out, self.seed = task, training, out, seed
        self.device, self.dtype, self.strategy = device, dtype, strategy
        self.world = distributed.current()
        self.sharded = strategy == "fsdp"  # checkpoints that any number of processes can read
        self.identity = {"task": task.name, "seed": seed, **identity}
        self.began_with = self.world.size
        self.checkpoints = None if out is None else Checkpoints(out, sharded=self.sharded)
        self.history = History()
        self.best: dict[str, Any] | None = None
        self.generator = torch.Generator(device)
        self.saved_at = time.monotonic()
        self.skipped = 0

    def prepare(self, *, compile: bool) -> None:
        """Move, compile, wrap; make the optimizer."""
        self.task.to(self.device)
        if compile:
            for module in self.task.compilable():
                module.compile()
        self.module = distributed.distribute(self.task, self.world, self.strategy, self.device)
        groups = [(parameters, factor) for parameters, factor in self.task.groups() if parameters]
        self.parameters = [p for parameters, _ in groups for p in parameters]
        self.optimizer = torch.optim.AdamW(
            [{"params": parameters, "factor": factor} for parameters, factor in groups],
            lr=self.training.learning_rate,
            weight_decay=self.training.weight_decay,
            fused=not self.sharded,
        )

    def restore(self, *, resume: bool) -> None:
        """Take up the folder's checkpoint, or clear the folder of one."""
        if self.checkpoints is None:
            return
        self.checkpoints.out.mkdir(parents=True, exist_ok=True)
        if not resume:
            self.checkpoints.clear()
            return
        if self.checkpoints.latest() is None:
            return
        state, self.best = self.checkpoints.load(self.task, self.optimizer)
        if state["identity"] != self.identity:
            wrong = [k for k in self.identity if state["identity"].get(k) != self.identity[k]]
            raise ModelError(
                f"{self.out}: the checkpoint is of another run (differs in {', '.join(wrong)}); "
                "resume with the same settings and data, or train into another folder"
            )
        self.began_with = state["processes"]
        self.history = History(**state["history"])
        if self.history.stopped == "finished" and self.history.step < self.training.steps:
            self.history.stopped = ""

    def train(
        self,
        batches: Iterator[Batch],
        validation: Iterable[Batch] | None,
        signals: StopSignals,
        tracker: Tracker,
    ) -> None:
        """Step until the steps, the patience or the user's patience are used up."""
        history, training = self.history, self.training
        before, started = history.seconds, time.monotonic()
        if validation is not None and training.validate_start and history.step == 0:
            self.validate(validation, tracker)
        while not history.stopped:
            values = self.step(batches)
            history.step += 1
            done = history.step >= training.steps
            tracker.record(history.step, "train", values)
            tracker.show(history.step, "train", values["loss"], 1.0 / max(values["step_seconds"], 1e-9))
            if validation is not None and (done or history.step % training.validate_every == 0):
                self.validate(validation, tracker)
            if done:
                history.stopped = "finished"
            due = time.monotonic() - self.saved_at > 60 * training.checkpoint_minutes
            stop, due = distributed.any_process((bool(signals.received), due), self.device)
            if stop and not history.stopped:
                history.stopped, history.signal = "signal", signals.received or "SIGTERM"
            history.seconds = before + time.monotonic() - started
            if due or history.stopped:
                self.save()

    def step(self, batches: Iterator[Batch]) -> dict[str, float]:
        """One optimizer step over `accumulate` batches of this process."""
        self.module.train()
        rate = learning_rate(self.training, self.history.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        started = time.perf_counter()
        waited, sums = 0.0, dict[str, Tensor]()
        for micro in range(self.training.accumulate):
            asked = time.perf_counter()
            batch = self.next_batch(batches)
            waited += time.perf_counter() - asked
            for name, value in self.backward(batch, micro).items():
                sums[name] = sums[name] + value if name in sums else value
        norm = self.update()
        values = {name: float(value) / self.training.accumulate for name, value in sums.items()}
        values = distributed.sum_over_processes(values, self.device)
        values = {name: value / self.world.size for name, value in values.items()}
        seconds = time.perf_counter() - started
        return {**values, "grad_norm": norm, "lr": rate, "step_seconds": seconds, "data_seconds": waited}

    def next_batch(self, batches: Iterator[Batch]) -> Any:
        """The next batch on the device."""
        try:
            return next(batches).to(self.device)
        except StopIteration:
            raise DesaError(
                f"{self.task.name}: no training batch; are there stars enough in the train split?"
            ) from None

    def backward(self, batch: Any, micro: int) -> dict[str, Tensor]:
        """Forward and backward of one batch; gradients add up."""
        torch.manual_seed(step_seed(self.seed, self.history.step, micro, self.world.rank))
        self.generator.manual_seed(step_seed(self.seed, "task", self.history.step, micro, self.world.rank))
        last = micro == self.training.accumulate - 1
        wrapped = self.module
        quiet = (
            wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) and not last else nullcontext()
        )
        with quiet:
            with autocast(self.device, self.dtype):
                loss, metrics = self.module(batch, self.generator)
            (loss / self.training.accumulate).backward()
        return {"loss": loss.detach(), **{name: value.detach() for name, value in metrics.items()}}

    def update(self) -> float:
        """Clip and step; a gradient that is not finite is thrown away. Returns its norm."""
        total = torch.nn.utils.clip_grad_norm_(self.parameters, self.training.clip_norm)
        norm = float(total.full_tensor() if isinstance(total, DTensor) else total)
        if math.isfinite(norm):
            self.skipped = 0
            self.optimizer.step()
        else:
            self.skipped += 1
            if self.skipped >= MAX_SKIPPED:
                raise DesaError(
                    f"{self.task.name}: the gradient was not finite in {MAX_SKIPPED} steps in succession "
                    f"(up to step {self.history.step + 1}); lower the learning rate"
                )
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    @torch.no_grad()
    def validate(self, batches: Iterable[Batch], tracker: Tracker) -> None:
        """Go through the validation set; keep the weights if they are the best yet."""
        self.module.eval()
        sums: dict[str, float] = {}
        weight: dict[str, float] = {}
        for number, batch in enumerate(batches):
            self.generator.manual_seed(step_seed(self.seed, "validation", number, self.world.rank))
            with autocast(self.device, self.dtype):
                values = self.task(batch.to(self.device), self.generator, validate=True)
            for name, (value, count) in values.items():
                sums[name] = sums.get(name, 0.0) + value
                weight[name] = weight.get(name, 0.0) + count
        sums = distributed.sum_over_processes(sums, self.device)
        weight = distributed.sum_over_processes(weight, self.device)
        means = {name: sums[name] / weight[name] if weight[name] else math.nan for name in sums}
        whole = distributed.sum_over_processes(self.task.validation_end(), self.device)
        means |= {name: value / self.world.size for name, value in whole.items()}
        self.update_best(means)
        tracker.record(self.history.step, "valid", means)
        tracker.show(self.history.step, "valid", means.get(self.task.monitor, math.nan))

    def update_best(self, means: dict[str, float]) -> None:
        """Compare with the best validation so far."""
        history = self.history
        value = means.get(self.task.monitor, math.nan)
        if history.best is None:
            history.validation = means
        if math.isfinite(value) and (history.best is None or value < history.best):
            history.best, history.best_step, history.stale = value, history.step, 0
            history.validation = means
            self.best = weights(self.task, sharded=self.sharded)
            return
        history.stale += 1
        if 0 < self.training.patience <= history.stale:
            history.stopped = "early"

    def save(self) -> None:
        """Write a checkpoint, where there is a folder for it."""
        if self.checkpoints is not None:
            state = {
                "step": self.history.step,
                "history": asdict(self.history),
                "identity": self.identity,
                "processes": self.began_with,
            }
            self.checkpoints.save(self.task, self.optimizer, state, self.best)
        self.saved_at = time.monotonic()

    def use_best(self) -> None:
        """Put the best weights back, if any validation chose them."""
        if self.best is not None:
            set_weights(self.task, self.best, sharded=self.sharded)
