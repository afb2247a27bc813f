"""One process or many: joining `torchrun`'s world, wrapping a task, agreeing on numbers.

Batch statistics of the objectives (covariances, contrastive pairs) are those of all processes' batches
together (`of_all`); gradients are averaged over processes. Batch norm is synchronised on CUDA only, where
PyTorch supports it.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

Strategy = Literal["ddp", "fsdp"]


@dataclass(frozen=True)
class World:
    """The place of a process among all of them."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def main(self) -> bool:
        """True in the one process that writes files and speaks."""
        return self.rank == 0


def current() -> World:
    """The world this process has joined; a world of one if none."""
    if not (dist.is_available() and dist.is_initialized()):
        return World()
    return World(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))


def join(device: str | torch.device) -> World:
    """Be in the world that `torchrun` describes in the environment.

    It is joined once a process, at the first call, and left when the process ends: joining anew meets
    the addresses of before. Without `torchrun` nothing is set up.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return current()
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda else "gloo")
    atexit.register(_leave)
    return current()


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def distribute(task: nn.Module, world: World, strategy: Strategy, device: torch.device) -> nn.Module:
    """Wrap a task for its world: itself alone, DDP, or FSDP2 (sharded in place, block by block).

    Parameters
    ----------
    task
        On its device already. Every parameter must take part in every step.
    strategy
        ``"fsdp"`` shards parameters, gradients and optimizer state over the processes: for models
        that do not fit one device together with their optimizer.
    """
    if world.size == 1:
        return task
    if device.type == "cuda":
        task = nn.SyncBatchNorm.convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]
    if strategy == "ddp":
        return DistributedDataParallel(task, device_ids=[device.index] if device.type == "cuda" else None)
    from torch.distributed.fsdp import fully_shard  # two seconds of import, of use to few

    for block in _blocks(task):
        fully_shard(block)
    fully_shard(task)
    return task


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Members of the outermost module lists: what is gathered and freed together."""
    for child in module.children():
        yield from child if isinstance(child, nn.ModuleList) else _blocks(child)


def any_process(flags: tuple[bool, ...], device: torch.device) -> tuple[bool, ...]:
    """Each flag, True where it is so in any process; every process gets the same answer."""
    if current().size == 1:
        return flags
    tensor = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tuple(bool(value) for value in tensor.tolist())


def sum_over_processes(values: Mapping[str, float], device: torch.device) -> dict[str, float]:
    """Add up named numbers over all processes, which must name the same ones."""
    if current().size == 1:
        return dict(values)
    names = sorted(values)
    tensor = torch.tensor([values[name] for name in names], dtype=torch.float64, device=device)
    dist.all_reduce(tensor)
    return dict(zip(names, tensor.tolist(), strict=True))


class _Gathered(torch.autograd.Function):
    """Every process's rows, and back from every process the gradient of this one's."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        whole = gradient.clone(memory_format=torch.contiguous_format)  # reduced in place
        dist.all_reduce(whole)
        return whole.chunk(dist.get_world_size())[dist.get_rank()]


def of_all(rows: Tensor) -> Tensor:
    """(B, ...) rows of this process -> (W B, ...) rows of all W processes, in their order, with gradient.

    For losses whose terms are between stars. Each process then has the loss of the whole batch, and what the
    others' losses say of its rows comes back to it: the mean over processes that DDP and FSDP take is the
    gradient that one process with the whole batch has. B must be the same everywhere.
    """
    if current().size == 1:
        return rows
    return cast(Tensor, _Gathered.apply(rows))  # type: ignore[no-untyped-call]


def agreed(value: int) -> int:
    """The least of every process's values, in every process."""
    found: list[int] = [value] * current().size
    if len(found) > 1:
        dist.all_gather_object(found, value)
    return min(found)


def barrier() -> None:
    """Wait for every process."""
    if current().size > 1:
        dist.barrier()
