from __future__ import annotations

import pytest
import torch
from torch import Tensor

from desa.benchmark.base import CANDIDATES
from desa.benchmark.baseline import Baseline, BaselineCandidate, sized
from desa.benchmark.candidates.moco import MoCo
from desa.benchmark.training import trainable
from desa.config import DualFormerModel

BASELINES = {c.name: c.kind for c in CANDIDATES if isinstance(c, BaselineCandidate)}
COUNTS = (10, 6)
SMALL = DualFormerModel(
    width=8,
    heads=2,
    blocks=1,
    feed_forward=16,
    tokens="groups",
    groups=2,
    dropout=0.0,
    skip=True,
    standardise=True,
)


def views(size: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two modalities that share four hidden numbers."""
    draws = torch.Generator().manual_seed(seed)
    mixes = torch.Generator().manual_seed(99)
    hidden = torch.randn(size, 4, generator=draws)
    return tuple(hidden @ torch.randn(4, count, generator=mixes) for count in COUNTS)


def built(name: str, **changes: object) -> Baseline:
    torch.manual_seed(0)
    settings = SMALL.model_copy(update=changes)
    options = {"queue": 32} if BASELINES[name].options(64) else {}
    return sized(BASELINES[name], settings, COUNTS, temperature=0.1, **options)


@pytest.mark.parametrize("name", BASELINES)
def test_loss_reaches_every_trainable_parameter(name: str) -> None:
    model = built(name).train()
    model.loss(*views(), None).backward()
    for label, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), label


@pytest.mark.parametrize("name", BASELINES)
def test_training_brings_the_modalities_of_a_star_together(name: str) -> None:
    model = built(name).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for step in range(150):
        optimizer.zero_grad()
        model.loss(*views(seed=step), None).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        first, second = model.matched(*views(seed=1000), None)
    first, second = (x - x.mean(0) for x in (first, second))
    similarity = torch.nn.functional.normalize(first) @ torch.nn.functional.normalize(second).T
    recall = (similarity.argmax(1) == torch.arange(64)).double().mean()
    assert recall > 10 / 64, f"ten times chance at least, not {recall}"


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_has_at_least_the_parameters_asked_for(name: str) -> None:
    wanted = 20_000
    assert (
        trainable(sized(BASELINES[name], SMALL, COUNTS, at_least=wanted)) >= wanted > trainable(built(name))
    )


def test_neither_modality_sees_the_other() -> None:
    model = built("clip").eval()
    spectrum, lightcurve = views()
    with torch.no_grad():
        alone = model.pair(spectrum, lightcurve, None)
        other = model.pair(spectrum, lightcurve.roll(1, 0), None)
    torch.testing.assert_close(alone[0], other[0])
    assert not torch.allclose(alone[1], other[1])


def test_moco_keys_follow_slowly_and_the_queue_keeps_them() -> None:
    model = built("moco").train()
    assert isinstance(model, MoCo)
    first = next(model.key_trunk.parameters()).clone()
    with torch.no_grad():
        next(model.trunk.parameters()).add_(1.0)
    model.loss(*views(8), None)
    torch.testing.assert_close(next(model.key_trunk.parameters()), first + 0.1)
    keys = model.queue[:, :8].clone()
    torch.testing.assert_close(keys.norm(dim=-1), torch.ones(2, 8))
    model.loss(*views(8, seed=1), None)
    torch.testing.assert_close(model.queue[:, :8], keys)
    assert model.place == 16
    kept = model.queue.clone()
    model.eval().loss(*views(8), None)
    torch.testing.assert_close(model.queue, kept)


def test_whitening_and_prior_are_used() -> None:
    model = built("vicreg", prior="photometric").eval()
    spectrum, lightcurve = views()
    with torch.no_grad():
        before = model.pair(spectrum, lightcurve, None)[0]
        assert (before[:, -3:] == -1).all(), "a missing prior is -1"
        given = model.pair(spectrum, lightcurve, torch.full((64, 3), 2.0))[0]
        torch.testing.assert_close(given[:, :-3], before[:, :-3])
        assert (given[:, -3:] == 2).all()
        model.trunk.set_standardisation(torch.ones(10), torch.full((10,), 2.0), torch.zeros(6), torch.ones(6))
        torch.testing.assert_close(model.pair(2 * spectrum + 1, lightcurve, None)[0], before)
