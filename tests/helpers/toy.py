"""A small task for the loop's tests; run as a program it trains until it is done or killed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from desa.config import Training
from desa.training import distributed
from desa.training.loop import fit
from desa.training.task import Task


class Toy(Task):
    """Regression with dropout and noise of its own, so that every source of randomness is in play."""

    name = "toy"

    def __init__(self, *, noise: float = 0.1, dropout: float = 0.2, delay: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Dropout(dropout)) for _ in range(2)]
        )
        self.out = nn.Linear(8, 1)
        self.noise, self.delay = noise, delay

    def predict(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.out(x)[:, 0]

    def training_step(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        time.sleep(self.delay)
        x, y = batch[:, :8], batch[:, 8]
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        error = (self.predict(x + self.noise * noise) - y).square()
        return error.mean(), {"worst": error.max()}

    def validation_step(self, batch: Tensor, generator: torch.Generator) -> dict[str, tuple[float, float]]:
        error = (self.predict(batch[:, :8]) - batch[:, 8]).square()
        return {"loss": (float(error.sum()), len(error))}


def make_batch(number: int, size: int = 16) -> Tensor:
    x = torch.randn(size, 8, generator=torch.Generator().manual_seed(number))
    return torch.cat([x, x[:, :1] - x[:, 1:2].tanh()], dim=1)


def batches(skip: int) -> Iterator[Tensor]:
    """This process's share of the endless batches, from the skip-th on."""
    world = distributed.current()
    number = skip
    while True:
        batch = make_batch(number)
        share = len(batch) // world.size
        yield batch[world.rank * share : (world.rank + 1) * share]
        number += 1


VALIDATION = [make_batch(10_000), make_batch(10_001)]


def main(out: str, resume: str, delay: str = "0") -> str:
    training = Training(
        steps=40, learning_rate=1e-2, schedule="cosine", accumulate=2, warmup=3, validate_every=10,
        checkpoint_minutes=1e-9,
    )  # fmt: skip
    torch.set_num_threads(1)
    task = Toy(delay=float(delay))
    history = fit(task, batches, VALIDATION, training, Path(out), seed=3, resume=resume == "resume")
    torch.save(task.state_dict(), Path(out) / "weights.pt")
    return f"{history.stopped} {history.signal} {history.step}"


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:]))
