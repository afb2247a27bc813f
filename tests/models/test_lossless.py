"""The bottleneck of the published alignment, on a toy with known latent numbers, and that ours has none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from desa.config import settings
from desa.losses import covariance, duality, info_nce, variance_hinge
from desa.models.dualformer import DualFormer

STARS, HALF, SPECTRUM, LIGHTCURVE = 2000, 1000, 64, 32


@pytest.fixture(scope="module")
def toy() -> tuple[Tensor, Tensor, Tensor]:
    """Five latent numbers; 64 features see the first three, 32 the last three; all saturate, with noise."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    latent = draw(STARS, 5)
    spectrum = torch.tanh(0.6 * latent[:, :3] @ draw(3, SPECTRUM)) + 0.1 * draw(STARS, SPECTRUM)
    lightcurve = torch.tanh(0.6 * latent[:, 2:] @ draw(3, LIGHTCURVE)) + 0.1 * draw(STARS, LIGHTCURVE)
    return spectrum, lightcurve, latent


def probe(rows: Tensor, target: Tensor) -> Tensor:
    """R2 of each target by ridge regression, fitted on one half of the stars and measured on the other."""
    rows, target = rows.double(), target.double()
    rows = (rows - rows[:HALF].mean(0)) / rows[:HALF].std(0).clamp_min(1e-9)
    rows = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)
    fit, held = rows[:HALF], rows[HALF:]
    solution = torch.linalg.solve(fit.T @ fit + torch.eye(fit.shape[1]).double(), fit.T @ target[:HALF])
    return 1 - ((held @ solution - target[HALF:]) ** 2).mean(0) / target[HALF:].var(0)


def dualformer(toy: tuple[Tensor, Tensor, Tensor], **changes: Any) -> DualFormer:
    torch.manual_seed(0)
    smaller = {"width": 32, "blocks": 1, "groups": 8, "feed_forward": 64, **changes}
    model = DualFormer(settings("mini", dualformer=smaller).dualformer, SPECTRUM, LIGHTCURVE)
    if model.settings.standardise:
        spectrum, lightcurve = toy[0][:HALF], toy[1][:HALF]
        model.set_standardisation(spectrum.mean(0), spectrum.std(0), lightcurve.mean(0), lightcurve.std(0))
    return model


@torch.inference_mode()
def r2(model: DualFormer, toy: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return probe(model.eval().joint(model(toy[0], toy[1])), toy[2])


def align(model: DualFormer, toy: tuple[Tensor, Tensor, Tensor], steps: int) -> None:
    """Covariance, duality, variance and contrastive losses, as the presets weight them."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    for _ in range(steps):
        rows = torch.randint(HALF, (128,))
        out = model(toy[0][rows], toy[1][rows])
        p1, p2 = out.p_spectrum, out.p_lightcurve
        loss = 0.5 * covariance(p1, p2) + 0.5 * duality(out.z_spectrum, p1, out.z_lightcurve, p2)
        loss = loss + 0.5 * (variance_hinge(p1) + variance_hinge(p2)) + 0.5 * info_nce(p1, p2, 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_default_loses_nothing_before_and_after_alignment(toy: tuple[Tensor, Tensor, Tensor]) -> None:
    side_by_side = probe(torch.cat(toy[:2], dim=1), toy[2])
    assert (side_by_side > 0.9).all()
    model = dualformer(toy)
    assert (r2(model, toy) > side_by_side - 0.01).all()
    align(model, toy, 150)
    assert (r2(model, toy) > side_by_side - 0.01).all()


def test_published_tokens_and_pooling_are_a_bottleneck(toy: tuple[Tensor, Tensor, Tensor]) -> None:
    """Why the default is another: this is the fact it stands on."""
    published = {
        "tokens": "published",
        "pooling": "mean",
        "skip": False,
        "standardise": False,
        "joint": "sum",
    }
    assert r2(dualformer(toy, **published, blocks=2), toy).min() < 0.8


def test_features_wider_than_the_tokens_are_kept(toy: tuple[Tensor, Tensor, Tensor]) -> None:
    model = dualformer(toy, width=16)
    assert model.size == SPECTRUM
    assert model.joint_size == 2 * SPECTRUM
    kept = torch.linalg.svdvals(model.skip[0].weight)  # type: ignore[union-attr]
    assert torch.allclose(kept, torch.ones(SPECTRUM), atol=1e-5)
