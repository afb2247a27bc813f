"""Two processes with half of a batch each have the loss and the gradient of one with all of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from desa.benchmark.baseline import Baseline
from desa.benchmark.candidates.clip import Clip
from desa.benchmark.candidates.moco import MoCo
from desa.benchmark.candidates.vicreg import VicReg
from desa.config import Alignment
from desa.models.dualformer import DualFormer
from desa.training import distributed
from desa.training.alignment import Align
from desa.training.pairs import FeatureBatch
from helpers.runs import two_processes
from helpers.tiny import tiny_settings

pytestmark = pytest.mark.slow

STARS, FEATURES = 8, 24
TERMS = {
    "covariance": {"covariance": 1.0},
    "variance": {"covariance": 0.0, "variance": 1.0},
    "contrastive": {"covariance": 0.0, "contrastive": 1.0},
    "contrastive_alone": {"covariance": 0.0, "contrastive": 1.0, "contrastive_alone": True},
    "supervised": {"covariance": 0.0, "supervised": 1.0},
    "duality": {"covariance": 0.0, "duality": 1.0},
}
BASELINES: dict[str, type[Baseline]] = {"clip": Clip, "vicreg": VicReg, "moco": MoCo}
OBJECTIVES = [*TERMS, *BASELINES]


def batch_of(rank: int, world: int, exact: torch.dtype) -> FeatureBatch:
    """A process's share of eight stars; some labels are missing, more in one half than in the other."""
    draw = torch.Generator().manual_seed(1)
    settings = tiny_settings()
    labels = len(settings.objective_spectrum.labels) + len(settings.objective_lightcurve.labels)
    rows = [
        torch.randn(STARS, size, generator=draw, dtype=torch.float64).to(exact) for size in (FEATURES,) * 2
    ]
    targets = torch.randn(STARS, labels, generator=draw, dtype=torch.float64).to(exact)
    targets[1:4] = torch.nan
    return FeatureBatch(*(part.chunk(world)[rank] for part in rows), None, targets.chunk(world)[rank])


class Objective(nn.Module):
    """An objective as the loop sees it: its loss by `forward`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        small = {"dualformer": {"dropout": 0.0, "attention_dropout": 0.0, "standardise": True}}
        settings = tiny_settings(**small)
        if name in BASELINES:
            options = {"queue": 12} if name == "moco" else {}
            made = BASELINES[name](settings.dualformer, (FEATURES, FEATURES), 1, 0.2, **options)
            # Batch norm of a CPU's process is its own: it is no part of the objective.
            made.projector[1] = nn.Identity()
            if isinstance(made, MoCo):
                made.key_projector[1] = nn.Identity()
            self.made: nn.Module = made
        else:
            chosen = Alignment(**{"duality": 0.0, **TERMS[name]})
            former = DualFormer(settings.dualformer, FEATURES, FEATURES)
            self.made = Align(settings.model_copy(update={"alignment": chosen}), former)

    def forward(self, batch: FeatureBatch) -> Tensor:
        if isinstance(self.made, Align):
            return self.made.training_step(batch, torch.Generator())[0]
        assert isinstance(self.made, Baseline)
        return self.made.loss(batch.spectrum, batch.lightcurve, None)


def outcome(name: str, world: distributed.World) -> dict[str, Tensor]:
    """The mean loss of two steps, the gradient of both, and MoCo's queue."""
    # Baselines in float64; `Align` turns what its terms compare into float32 itself.
    exact = torch.float64 if name in BASELINES else torch.float32
    objective = Objective(name).to(exact)
    batch, total = batch_of(world.rank, world.size, exact), torch.zeros((), dtype=exact)
    for _ in range(2):
        loss = objective(batch)
        loss.backward()
        total += loss.detach()
    found = {key: p.grad for key, p in objective.named_parameters() if p.grad is not None}
    found = {"loss": total, **found}
    if world.size > 1:  # as DDP does
        for value in found.values():
            torch.distributed.all_reduce(value)
            value /= world.size
    return {**found, **{key: b for key, b in objective.named_buffers() if key.endswith("queue")}}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two")
    two_processes(Path(__file__), str(out))
    return out


@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_halves_are_one_batch(name: str, two: Path) -> None:
    one, both = outcome(name, distributed.World()), torch.load(two / f"{name}.pt", weights_only=True)
    assert one.keys() == both.keys() and sum(float(value.abs().sum()) for value in one.values()) > 0
    for key, value in one.items():
        bound = 1e-6 * float(value.abs().max().clamp_min(1.0))
        torch.testing.assert_close(both[key], value, rtol=0, atol=bound, msg=lambda said, key=key: key + said)


if __name__ == "__main__":
    torch.set_num_threads(1)
    here = distributed.join("cpu")
    for chosen in OBJECTIVES:
        result = outcome(chosen, here)
        if here.main:
            torch.save(result, Path(sys.argv[1]) / f"{chosen}.pt")
