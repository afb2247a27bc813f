"""Alignment of the two modalities on cached features of the frozen encoders."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.config import Settings
from desa.losses import covariance, duality, info_nce, variance_hinge
from desa.models.dualformer import DualFormer, DualFormerOutput
from desa.training.features import FeatureBatch
from desa.training.task import Task

COLLAPSED_RANK = 2.0
"""A run whose p has a smaller effective rank than this is reported as collapsed."""


def effective_rank(rows: Tensor) -> float:
    """Exponential of the entropy of the normalised singular values (Roy & Vetterli 2007) of centred rows."""
    values = torch.linalg.svdvals((rows - rows.mean(0)).float())
    share = values / values.sum().clamp_min(1e-20)
    return float(torch.exp(-(share * share.clamp_min(1e-20).log()).sum()))


class Align(Task):
    """DualFormer with the covariance and duality losses, and what the settings add to them.

    Parameters
    ----------
    settings
        All settings; ``settings.alignment`` holds the weights of the terms.
    dualformer
        The module to train.
    """

    name = "align"

    def __init__(self, settings: Settings, dualformer: DualFormer) -> None:
        super().__init__()
        self.alignment, self.dualformer = settings.alignment, dualformer
        self.rows: list[tuple[Tensor, Tensor]] = []
        if self.alignment.reconstruction:
            sizes = (dualformer.spectrum_features, dualformer.lightcurve_features)
            self.decoders = nn.ModuleList(nn.Linear(dualformer.joint_size, size) for size in sizes)

    def terms(self, batch: FeatureBatch, output: DualFormerOutput) -> dict[str, Tensor]:
        """Every weighted term of the loss."""
        chosen = self.alignment
        p1, p2 = output.p_spectrum, output.p_lightcurve
        terms = {
            "covariance": chosen.covariance * covariance(p1, p2, chosen.covariance_cross),
            "duality": chosen.duality * duality(output.z_spectrum, p1, output.z_lightcurve, p2),
        }
        if chosen.variance:
            terms["variance"] = chosen.variance * 0.5 * (variance_hinge(p1) + variance_hinge(p2))
        if chosen.contrastive:
            terms["contrastive"] = chosen.contrastive * info_nce(p1, p2, chosen.temperature)
        if chosen.reconstruction:
            joint = self.dualformer.joint(output)
            targets = self.dualformer.standardised(batch.spectrum, batch.lightcurve)
            errors = [
                F.mse_loss(decoder(joint), target)
                for decoder, target in zip(self.decoders, targets, strict=True)
            ]
            terms["reconstruction"] = chosen.reconstruction * 0.5 * (errors[0] + errors[1])
        return terms

    def training_step(
        self, batch: FeatureBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the terms."""
        output = self.dualformer(batch.spectrum, batch.lightcurve, batch.prior)
        terms = self.terms(batch, output)
        loss = torch.stack(list(terms.values())).sum()
        return loss, {**terms, "projection_norm": self.dualformer.projection.weight.norm()}

    def validation_step(
        self, batch: FeatureBatch, generator: torch.Generator
    ) -> dict[str, tuple[float, float]]:
        """Terms, and rows kept for the rank."""
        output = self.dualformer(batch.spectrum, batch.lightcurve, batch.prior)
        terms = self.terms(batch, output)
        self.rows.append((output.p_spectrum, output.p_lightcurve))
        size = float(len(batch))
        loss = sum(float(value) for value in terms.values())
        return {"loss": (loss * size, size), **{k: (float(v) * size, size) for k, v in terms.items()}}

    def validation_end(self) -> dict[str, float]:
        """|A|, effective rank and smallest deviation of p; `collapsed` is 1 where the rank has gone."""
        p1, p2 = (torch.cat(parts) for parts in zip(*self.rows, strict=True))
        self.rows = []
        ranks = (effective_rank(p1), effective_rank(p2))
        return {
            "projection_norm": float(self.dualformer.projection.weight.norm()),
            "rank_spectrum": ranks[0],
            "rank_lightcurve": ranks[1],
            "deviation_spectrum": float(p1.std(0).mean()),
            "deviation_lightcurve": float(p2.std(0).mean()),
            "collapsed": float(min(ranks) < COLLAPSED_RANK),
        }

    def compilable(self) -> list[nn.Module]:
        """The DualFormer."""
        return [self.dualformer]


def whitening(spectrum: Tensor, lightcurve: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means and deviations of features, for `DualFormer.set_whitening`; 1 for a constant feature."""

    def scale(rows: Tensor) -> Tensor:
        deviation = rows.std(0)
        return torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))

    return spectrum.mean(0), scale(spectrum), lightcurve.mean(0), scale(lightcurve)


def any_prior(name: str, labels: dict[str, Any]) -> Tensor | None:
    """(N, k) numbers of a prior by name, NaN where missing; None for ``"none"``.

    ``"photometric"``: BP-RP, M_G, RUWE. ``"published"``: Teff, log g, Prot, [Fe/H], radius, RUWE: labels, so
    whatever predicts them from an embedding with this prior predicts what it was given.
    """
    columns = {
        "none": (),
        "photometric": ("bp_rp", "m_g", "ruwe"),
        "published": ("teff", "log_g", "prot", "fe_h", "radius", "ruwe"),
    }[name]
    if not columns:
        return None
    return torch.stack([torch.as_tensor(labels[column], dtype=torch.float32) for column in columns], dim=1)
