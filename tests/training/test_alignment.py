from __future__ import annotations

import math

import pytest
import torch

from desa.models.dualformer import DualFormer
from desa.training.alignment import Align, effective_rank
from desa.training.pairs import FeatureBatch
from helpers.tiny import tiny_settings


def batch(size: int = 40, prior: int = 0) -> FeatureBatch:
    draws = torch.Generator().manual_seed(0)
    hidden = torch.randn(size, 6, generator=draws)
    mix = torch.randn(6, 20, generator=draws)
    both = hidden @ mix
    extra = torch.randn(size, prior, generator=draws) if prior else None
    return FeatureBatch(both[:, :8], both[:, 8:], extra)


def task(**changes: object) -> Align:
    torch.manual_seed(0)
    settings = tiny_settings(**changes)
    return Align(settings, DualFormer(settings.dualformer, 8, 12))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_loss_is_the_sum_of_its_terms_and_reaches_every_parameter() -> None:
    align = task()
    loss, metrics = align(batch(), generator())
    names = {"covariance", "duality", "variance", "contrastive", "reconstruction"}
    assert set(metrics) == names | {"projection_norm"}
    torch.testing.assert_close(loss, torch.stack([metrics[name] for name in names]).sum())
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in align.parameters())


def test_published_loss_has_two_terms() -> None:
    align = task(alignment={"variance": 0.0, "contrastive": 0.0, "reconstruction": 0.0})
    _, metrics = align(batch(), generator())
    assert set(metrics) == {"covariance", "duality", "projection_norm"}


@torch.no_grad()
def test_validation_reports_rank_deviation_and_norm() -> None:
    align = task().eval()
    for _ in range(2):
        values = align(batch(), generator(), validate=True)
    assert values["loss"][1] == 40.0
    found = align.validation_end()
    assert 1 <= found["rank_spectrum"] <= 8 and found["collapsed"] == 0.0
    assert found["projection_norm"] == pytest.approx(align.dualformer.projection.weight.norm().item())
    assert align.validation_end() == {"projection_norm": found["projection_norm"]}, "nothing is left over"


@torch.no_grad()
def test_collapse_is_marked() -> None:
    align = task().eval()
    align.dualformer.projection.weight.zero_()
    align.dualformer.projection.weight[0, 0] = 1.0
    align(batch(), generator(), validate=True)
    found = align.validation_end()
    assert found["collapsed"] == 1.0 and found["rank_spectrum"] == pytest.approx(1.0, abs=1e-3)


def test_modality_dropout_loses_one_of_the_two() -> None:
    align = task(alignment={"modality_dropout": 0.5}, dualformer={"standardise": True})
    mean = torch.full((8,), 7.0), torch.full((12,), -7.0)
    align.dualformer.set_standardisation(mean[0], torch.ones(8), mean[1], torch.ones(12))
    whole = batch(4000)
    spectrum, lightcurve = align.dropped(whole, generator())
    lost = (spectrum == 7.0).all(1), (lightcurve == -7.0).all(1)
    assert not (lost[0] & lost[1]).any()
    for share in lost:
        assert abs(float(share.float().mean()) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 4000)
    kept = ~lost[0]
    assert torch.equal(spectrum[kept], whole.spectrum[kept])


def test_no_modality_is_dropped_where_none_is_to_be() -> None:
    whole = batch()
    spectrum, lightcurve = task(alignment={"modality_dropout": 0.0}).dropped(whole, generator())
    assert spectrum is whole.spectrum and lightcurve is whole.lightcurve


def test_prior_goes_in() -> None:
    align = task(dualformer={"prior": "photometric"})
    with_prior = batch(prior=3)
    output = align.dualformer(with_prior.spectrum, with_prior.lightcurve, with_prior.prior)
    torch.testing.assert_close(output.z_spectrum[:, -3:], with_prior.prior)
    assert torch.isfinite(align(with_prior, generator())[0])


def test_bfloat16_terms_are_float32() -> None:
    align = task()
    exact = align(batch(), generator())[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, metrics = align(batch(), generator())
    assert loss.dtype == torch.float32 and metrics["covariance"].dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)


@pytest.mark.parametrize("rank", [1, 3, 10])
def test_effective_rank(rank: int) -> None:
    draws = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(500, rank, generator=draws))[0]
    right = torch.linalg.qr(torch.randn(20, rank, generator=draws))[0]
    assert effective_rank(left @ right.T) == pytest.approx(rank, rel=0.01)


@torch.no_grad()
def test_alone_means_that_the_other_modality_was_not_seen() -> None:
    align = task(alignment={"contrastive_alone": True}).eval()
    whole = batch()
    swapped = FeatureBatch(whole.spectrum, whole.lightcurve.roll(1, 0), None)
    torch.testing.assert_close(align.alone(whole)[0], align.alone(swapped)[0])
    assert not torch.allclose(align.alone(whole)[1], align.alone(swapped)[1])


def test_labels_can_be_read_off_the_joint_embedding_where_asked() -> None:
    align = task(alignment={"supervised": 2.0})
    whole = batch()
    assert "supervised" not in align(whole, generator())[1], "no labels, no term"
    targets = torch.full((40, 4), float("nan"))
    targets[:20, 2] = 1.0
    whole.targets = targets
    loss, metrics = align(whole, generator())
    loss.backward()
    grad = align.reader.weight.grad.unflatten(0, (4, -1)).abs().sum((1, 2))
    assert metrics["supervised"] > 0 and grad[2] > 0 and grad[[0, 1, 3]].sum() == 0
