"""What the loop and its tasks promise each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from desa.errors import DesaError


class Batch(Protocol):
    """What a loader gives: anything that can go to a device."""

    def to(self, device: torch.device) -> Any:
        """The same on another device."""
        ...


class Task(nn.Module):
    """What `fit` trains: a model together with its objective.

    Subclasses write `training_step` and `validation_step`. Both are reached through `forward`, so
    that DDP and FSDP see them.
    """

    name = "training"
    monitor = "loss"
    """The validation metric that early stopping and the choice of the best weights watch (low is good)."""

    def training_step(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss to go downhill on, and metrics to write down."""
        raise NotImplementedError

    def validation_step(self, batch: Any, generator: torch.Generator) -> dict[str, tuple[float, float]]:
        """Sum and weight of each metric over a batch: the mean over the set is sum / weight."""
        raise NotImplementedError

    def validation_end(self) -> dict[str, float]:
        """Metrics of the whole validation set that no sum of batches gives."""
        return {}

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """What is trained: parameters, and the factor on the learning rate that each group has."""
        return [([p for p in self.parameters() if p.requires_grad], 1.0)]

    def compilable(self) -> list[nn.Module]:
        """The modules worth `torch.compile`."""
        return []

    def forward(self, batch: Any, generator: torch.Generator, *, validate: bool = False) -> Any:
        """One step of either kind."""
        return (self.validation_step if validate else self.training_step)(batch, generator)


@dataclass
class History:
    """How a run went.

    Parameters
    ----------
    step
        Optimizer steps done.
    best_step, best
        Where the monitored validation metric was lowest, and how low (None without validation).
    stale
        Validations since then.
    stopped
        ``"finished"``, ``"early"`` or ``"signal"``; empty while it runs.
    signal
        ``"SIGTERM"`` or ``"SIGINT"`` where that stopped it.
    seconds
        Wall time over all its sittings.
    validation
        The metrics of the best validation.
    """

    step: int = 0
    best_step: int = 0
    best: float | None = None
    stale: int = 0
    stopped: str = ""
    signal: str = ""
    seconds: float = 0.0
    validation: dict[str, float] | None = None


class Interrupted(DesaError):
    """The run was told to stop; its checkpoint is saved and resuming goes on from there."""
