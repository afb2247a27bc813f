"""The objectives of the joint stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.config import Settings
from desa.losses import info_nce, pinball
from desa.models.joint import Joint, JointOutput, Tokens, patched
from desa.training.task import Task


@dataclass
class JointBatch:
    """Stars to join: tokens, (B, K) labels and (B,) 1 of binaries, 0 of others; NaN where unknown."""

    tokens: Tokens
    labels: Tensor
    binary: Tensor

    def __len__(self) -> int:
        return len(self.binary)

    def to(self, device: torch.device) -> JointBatch:
        """The same on a device."""
        return JointBatch(self.tokens.to(device), self.labels.to(device), self.binary.to(device))


class Join(Task):
    """The joint model with the objectives that its settings weigh.

    Parameters
    ----------
    settings
        ``joining`` holds the weights.
    joint
        The module to train.
    """

    name = "joint"

    def __init__(self, settings: Settings, joint: Joint) -> None:
        super().__init__()
        self.joining, self.objective, self.joint = settings.joining, settings.objective_joint, joint
        own = settings.joining
        joint.head.requires_grad_(own.supervised > 0)
        joint.companion.requires_grad_(own.supervised > 0 and own.binary > 0)
        if own.fusion == "none":
            for module in (joint.inputs, joint.reading, joint.gaia, joint.blocks, joint.norm, joint.out):
                if module is not None:
                    module.requires_grad_(False)
            for extra in (joint.kinds, joint.absent, joint.hidden, joint.queries):
                extra.requires_grad_(False)
        if own.contrastive or own.fused_contrast:  # the fused part starts at 0, where a cosine is nothing
            nn.init.normal_(joint.out.weight, std=0.02)
        if own.fill:
            sizes = (settings.spectrum.width, settings.lightcurve.width)
            self.fillers = nn.ModuleList(nn.Linear(own.width, size) for size in sizes)
        if not own.fill and not own.fused_contrast:
            joint.hidden.requires_grad_(False)

    def start_at(self, labels: Tensor, binary: Tensor) -> None:
        """Let the heads begin with the training labels' quantiles and the share of binaries."""
        levels = torch.tensor(self.objective.quantiles, dtype=torch.float64)
        scale = torch.tensor(self.objective.scales, dtype=torch.float64)
        bias = cast(nn.Linear, self.joint.head.layers[-1]).bias
        wanted = torch.nanquantile(labels.double() / scale, levels, dim=0).T.flatten()
        share = torch.nanmean(binary.double()).clamp(0.01, 0.99)
        with torch.no_grad():
            bias.copy_(torch.where(torch.isfinite(wanted), wanted.to(bias), bias))
            if torch.isfinite(share):
                self.joint.companion.bias.fill_(float(torch.logit(share)))

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """The encoders' last blocks at their own rate."""
        tails = [p for p in self.joint.tails.parameters() if p.requires_grad]
        slow = {id(p) for p in tails}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in slow]
        return [(others, 1.0), (tails, self.joining.encoder_rate)]

    def dropped(self, tokens: Tokens, generator: torch.Generator) -> Tokens:
        """The same, where shares of the stars have lost one modality, and Gaia."""
        own, device = self.joining, tokens.present.device
        draw = torch.rand(len(tokens), 2, generator=generator, device=generator.device).to(device)
        share = own.modality_dropout
        lost = torch.stack([draw[:, 0] < share / 2, draw[:, 0] > 1 - share / 2], dim=1)
        lost &= tokens.present.all(1, keepdim=True)  # a star keeps one
        gaia = torch.where(draw[:, 1:] < own.gaia_dropout, torch.nan, tokens.gaia)
        return replace(tokens, present=tokens.present & ~lost, gaia=gaia)

    def hide(self, tokens: Tokens, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random patches of spectrum and flux, (B, L) True where hidden."""
        found = []
        for part in (tokens.spectrum, tokens.flux):
            shape = (len(tokens), patched(part[:1, :, :1], self.joining.patch).shape[1])
            draw = torch.rand(shape, generator=generator, device=generator.device).to(part.device)
            found.append(draw < self.joining.hidden_share)
        return found[0], found[1]

    def terms(self, batch: JointBatch, generator: torch.Generator, dropped: bool) -> dict[str, Tensor]:
        """Every weighted term of the loss."""
        own, terms = self.joining, dict[str, Tensor]()
        if own.supervised:
            output = self.joint(self.dropped(batch.tokens, generator) if dropped else batch.tokens)
            terms |= self._supervised(output, batch)
        if own.contrastive or own.fused_contrast:
            alone = [self.joint(batch.tokens.only(modality)).fused for modality in (0, 1)]
        if own.contrastive:
            terms["contrastive"] = own.contrastive * info_nce(alone[0], alone[1], own.temperature)
        if own.fused_contrast:
            views = [self.joint(batch.tokens, self.hide(batch.tokens, generator)).fused for _ in (0, 1)]
            loss = info_nce(views[0], views[1], own.temperature)
            for single in alone:
                loss = loss + 0.5 * sum(info_nce(single, view, own.temperature) for view in views)
            terms["fused_contrast"] = own.fused_contrast * loss
        if own.fill:
            terms["fill"] = own.fill * self._filled(batch, generator)
        return terms

    def _supervised(self, output: JointOutput, batch: JointBatch) -> dict[str, Tensor]:
        own, objective = self.joining, self.objective
        scale = torch.tensor(objective.scales, device=batch.labels.device)
        loss = pinball(self.joint.head(output.joint), batch.labels / scale, objective.quantiles)
        found = {"supervised": own.supervised * loss}
        known = torch.isfinite(batch.binary)
        if own.binary and known.any():
            logit = self.joint.companion_chance(output.joint)[known]
            loss = F.binary_cross_entropy_with_logits(logit, batch.binary[known].to(logit))
            found["binary"] = own.supervised * own.binary * loss
        return found

    def _filled(self, batch: JointBatch, generator: torch.Generator) -> Tensor:
        """Mean squared error of the hidden patches, of which those of a missing modality count nothing."""
        hidden = self.hide(batch.tokens, generator)
        output = self.joint(batch.tokens, hidden)
        losses = []
        for place, filler in enumerate(self.fillers):
            error = (filler(output.tokens[place]) - output.patches[place]).square().mean(-1)
            counted = (hidden[place] & batch.tokens.present[:, place, None]).float()
            losses.append((counted * error).sum() / counted.sum().clamp_min(1.0))
        return torch.stack(losses).mean()

    def training_step(
        self, batch: JointBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the terms."""
        terms = self.terms(batch, generator, dropped=True)
        return torch.stack(list(terms.values())).sum(), terms

    def validation_step(
        self, batch: JointBatch, generator: torch.Generator
    ) -> dict[str, tuple[float, float]]:
        """Terms, of stars that keep all they have."""
        size = float(len(batch))
        terms = {name: float(value) for name, value in self.terms(batch, generator, dropped=False).items()}
        return {name: (value * size, size) for name, value in {"loss": sum(terms.values()), **terms}.items()}

    def compilable(self) -> list[nn.Module]:
        """The fusion's blocks."""
        return list(self.joint.blocks)
