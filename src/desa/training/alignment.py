"""Alignment of the two modalities on cached features of the frozen encoders."""

from __future__ import annotations

from dataclasses import fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.config import Settings
from desa.losses import covariance, duality, info_nce, pinball, variance_hinge
from desa.models.dualformer import DualFormer, DualFormerOutput
from desa.training.distributed import of_all
from desa.training.pairs import FeatureBatch
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
        if self.alignment.supervised:
            self.quantiles = settings.objective_spectrum.quantiles
            labels = (*settings.objective_spectrum.labels, *settings.objective_lightcurve.labels)
            self.reader = nn.Linear(dualformer.joint_size, len(labels) * len(self.quantiles))

    def dropped(self, batch: FeatureBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features, where a share ``modality_dropout`` of the stars has lost one modality or the other.

        What is lost reads as the mean star's. The reconstruction still asks for the whole.
        """
        share = self.alignment.modality_dropout
        if not share:
            return batch.spectrum, batch.lightcurve
        draw = torch.rand(len(batch), 1, generator=generator, device=generator.device)
        draw = draw.to(batch.spectrum.device)
        means = self.means(batch)
        spectrum = torch.where(draw < share / 2, means[0], batch.spectrum)
        return spectrum, torch.where(draw > 1 - share / 2, means[1], batch.lightcurve)

    def means(self, batch: FeatureBatch) -> tuple[Tensor, Tensor]:
        """What stands for a modality that is not there: the features of the mean star."""
        if self.dualformer.settings.standardise:
            return self.dualformer.mean_spectrum, self.dualformer.mean_lightcurve
        return self.of_all(batch.spectrum).mean(0), self.of_all(batch.lightcurve).mean(0)

    def of_all(self, rows: Tensor) -> Tensor:
        """Rows of all processes in training; in validation each goes through its own share of the stars."""
        return of_all(rows) if self.training else rows

    def alone(self, batch: FeatureBatch) -> tuple[Tensor, Tensor]:
        """Both p, each of its modality alone.

        With both modalities in, p of either has seen the other by cross-attention: InfoNCE is then met
        without anything having been aligned.
        """
        means = [mean.expand(len(batch), -1) for mean in self.means(batch)]
        first = self.dualformer(batch.spectrum, means[1], batch.prior).p_spectrum
        return first, self.dualformer(means[0], batch.lightcurve, batch.prior).p_lightcurve

    def terms(self, batch: FeatureBatch, output: DualFormerOutput) -> dict[str, Tensor]:
        """Every weighted term of the loss, in float32 whatever the autocast."""
        whole = DualFormerOutput(*(getattr(output, field.name).float() for field in fields(output)))
        with torch.autocast(whole.p_spectrum.device.type, enabled=False):
            return self._terms(batch, whole)

    def _terms(self, batch: FeatureBatch, output: DualFormerOutput) -> dict[str, Tensor]:
        chosen = self.alignment
        p1, p2 = self.of_all(output.p_spectrum), self.of_all(output.p_lightcurve)
        products = duality(output.z_spectrum, output.p_spectrum, output.z_lightcurve, output.p_lightcurve)
        terms = {
            "covariance": chosen.covariance * covariance(p1, p2, chosen.covariance_cross),
            "duality": chosen.duality * products,
        }
        if chosen.variance:
            terms["variance"] = chosen.variance * 0.5 * (variance_hinge(p1) + variance_hinge(p2))
        if chosen.contrastive:
            a, b = self.alone(batch) if chosen.contrastive_alone else (output.p_spectrum, output.p_lightcurve)
            pairs = info_nce(self.of_all(a), self.of_all(b), chosen.temperature)
            terms["contrastive"] = chosen.contrastive * pairs
        if chosen.supervised and batch.targets is not None:
            read = self.reader(self.dualformer.joint(output)).unflatten(-1, (-1, len(self.quantiles)))
            targets = self.of_all(batch.targets)  # the mean is over the labels that there are, in any process
            terms["supervised"] = chosen.supervised * pinball(self.of_all(read), targets, self.quantiles)
        if chosen.reconstruction:
            joint = self.dualformer.joint(output)
            wholes = self.dualformer.standardised(batch.spectrum, batch.lightcurve)
            errors = [
                F.mse_loss(decoder(joint), whole)
                for decoder, whole in zip(self.decoders, wholes, strict=True)
            ]
            terms["reconstruction"] = chosen.reconstruction * 0.5 * (errors[0] + errors[1])
        return terms

    def training_step(
        self, batch: FeatureBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the terms."""
        output = self.dualformer(*self.dropped(batch, generator), batch.prior)
        terms = self.terms(batch, output)
        loss = torch.stack(list(terms.values())).sum()
        return loss, {**terms, "projection_norm": self.dualformer.projection.weight.norm()}

    def validation_step(
        self, batch: FeatureBatch, generator: torch.Generator
    ) -> dict[str, tuple[float, float]]:
        """Terms, and rows kept for the rank."""
        output = self.dualformer(batch.spectrum, batch.lightcurve, batch.prior)
        terms = self.terms(batch, output)
        self.rows.append((output.p_spectrum.float(), output.p_lightcurve.float()))
        size = float(len(batch))
        loss = sum(float(value) for value in terms.values())
        return {"loss": (loss * size, size), **{k: (float(v) * size, size) for k, v in terms.items()}}

    def validation_end(self) -> dict[str, float]:
        """|A|, effective rank and smallest deviation of p; `collapsed` is 1 where the rank has gone."""
        norm = {"projection_norm": float(self.dualformer.projection.weight.norm())}
        if not self.rows:
            return norm
        p1, p2 = (torch.cat(parts) for parts in zip(*self.rows, strict=True))
        self.rows = []
        ranks = (effective_rank(p1), effective_rank(p2))
        return {
            **norm,
            "rank_spectrum": ranks[0],
            "rank_lightcurve": ranks[1],
            "deviation_spectrum": float(p1.std(0).mean()),
            "deviation_lightcurve": float(p2.std(0).mean()),
            "collapsed": float(min(ranks) < COLLAPSED_RANK),
        }

    def compilable(self) -> list[nn.Module]:
        """The DualFormer's blocks."""
        return list(self.dualformer.blocks)
