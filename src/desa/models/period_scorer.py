"""Scores candidate rotation periods: which of them it is, how well it is known, and whether there is any.

The answer is a density over log period, a mixture of one narrow Gaussian a candidate and a flat share for
"none of these", beside the probability that a rotation signal is there at all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

SHORTEST_LOG, LONGEST_LOG = math.log10(0.15), math.log10(150.0)
"""Ends of the flat share in log10 days."""

LEAST_WIDTH, MOST_WIDTH = 0.003, 0.06
"""Of a candidate's Gaussian, dex."""

MOST_SHIFT = 0.02
"""By which a candidate may be corrected, dex."""

MEMBERS = 3
HIDDEN = 40
DROPOUT = 0.1
LIMIT = 6.0
"""Standardised features are cut here: nothing is far outside what was trained on."""


class PeriodInputs(NamedTuple):
    """Candidates of light curves.

    Parameters
    ----------
    log_period
        (B, K) log10 days.
    own
        (B, K, F) features of the candidates.
    curve
        (B, G) features of the light curves.
    mask
        (B, K) True where there is a candidate.
    """

    log_period: Tensor
    own: Tensor
    curve: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> PeriodInputs:
        """The same on another device."""
        return PeriodInputs(*(part.to(device) for part in self))


class PeriodScores(NamedTuple):
    """What the members of a scorer say, M members.

    Parameters
    ----------
    log_share
        (M, B, K + 1) log of each candidate's share, and last that of none of them.
    centre, width
        (M, B, K) of each candidate's Gaussian, log10 days and dex.
    rotation
        (M, B) logit that there is a rotation signal.
    """

    log_share: Tensor
    centre: Tensor
    width: Tensor
    rotation: Tensor


class _Member(nn.Module):
    """One network: candidates alone, then each beside the best of the others and the mean of all."""

    def __init__(self, own: int, curve: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Linear(own + curve, HIDDEN),
            nn.SiLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
        )
        self.second = nn.Sequential(nn.Linear(3 * HIDDEN, HIDDEN), nn.SiLU(), nn.Dropout(DROPOUT))
        self.of_candidate = nn.Linear(HIDDEN, 3)
        self.of_curve = nn.Sequential(
            nn.Linear(2 * HIDDEN + curve, HIDDEN), nn.SiLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, 2)
        )

    def forward(self, own: Tensor, curve: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log shares, shifts, widths, logit of rotation."""
        beside = curve[:, None].expand(-1, own.shape[1], -1)
        hidden = self.first(torch.cat([own, beside], -1)) * mask[..., None]
        count = mask.sum(1, keepdim=True).clamp_min(1)
        most = hidden.masked_fill(~mask[..., None], -1e4).amax(1) * mask.any(1, keepdim=True)
        mean = hidden.sum(1) / count
        both = torch.cat([mean, most], -1)
        hidden = self.second(torch.cat([hidden, both[:, None].expand(-1, own.shape[1], -1)], -1))
        score, shift, width = self.of_candidate(hidden).unbind(-1)
        none, rotation = self.of_curve(torch.cat([both, curve], -1)).unbind(-1)
        logits = torch.cat([score.masked_fill(~mask, -1e4), none[:, None]], -1)
        width = LEAST_WIDTH + (MOST_WIDTH - LEAST_WIDTH) * torch.sigmoid(width - 2.0)
        return logits.log_softmax(-1), MOST_SHIFT * torch.tanh(shift), width, rotation


class PeriodScorer(nn.Module):
    """An ensemble of small networks over the candidates of `desa.preprocess.period_candidates`.

    Parameters
    ----------
    own, curve
        Numbers of features.
    members
        Networks, whose densities and probabilities are averaged.
    """

    own_centre: Tensor
    own_scale: Tensor
    curve_centre: Tensor
    curve_scale: Tensor

    def __init__(self, own: int, curve: int, members: int = MEMBERS) -> None:
        super().__init__()
        for name, size in (("own", own), ("curve", curve)):
            self.register_buffer(f"{name}_centre", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.members = nn.ModuleList(_Member(own, curve) for _ in range(members))

    @torch.no_grad()
    def standardise(self, inputs: PeriodInputs) -> None:
        """Take centre and scale of the features from the training stars."""
        rows = inputs.own[inputs.mask]
        self.own_centre.copy_(rows.mean(0))
        self.own_scale.copy_(rows.std(0).clamp_min(1e-3))
        self.curve_centre.copy_(inputs.curve.mean(0))
        self.curve_scale.copy_(inputs.curve.std(0).clamp_min(1e-3))

    def forward(self, inputs: PeriodInputs) -> PeriodScores:
        """What each member says."""
        own = ((inputs.own - self.own_centre) / self.own_scale).clamp(-LIMIT, LIMIT)
        curve = ((inputs.curve - self.curve_centre) / self.curve_scale).clamp(-LIMIT, LIMIT)
        found = [member(own, curve, inputs.mask) for member in self.members]
        share, shift, width, rotation = (torch.stack(part) for part in zip(*found, strict=True))
        return PeriodScores(share, inputs.log_period + shift, width, rotation)

    def loss(self, inputs: PeriodInputs, log_prot: Tensor, rotates: Tensor, weight: Tensor) -> Tensor:
        """Negative log density at the known periods, and cross-entropy of there being a signal.

        Parameters
        ----------
        inputs
            Of B light curves.
        log_prot
            (B,) log10 days, NaN where unknown.
        rotates
            (B,) 1.0 where a rotation signal is there, 0.0 where none is, NaN where unknown.
        weight
            (B,) of each light curve.
        """
        scores = self(inputs)
        known, told = torch.isfinite(log_prot), torch.isfinite(rotates)
        truth = torch.nan_to_num(log_prot)
        density = -log_density(scores, truth[:, None])[..., 0]
        seen = nn.functional.binary_cross_entropy_with_logits(
            scores.rotation, torch.nan_to_num(rotates).expand_as(scores.rotation), reduction="none"
        )
        found = (density * (weight * known)).sum() / (weight * known).sum().clamp_min(1e-6)
        seen_mean = (seen * (weight * told)).sum() / (weight * told).sum().clamp_min(1e-6)
        return found + seen_mean


def log_density(scores: PeriodScores, log_period: Tensor) -> Tensor:
    """Log density per dex of each member at places (B, P): (M, B, P)."""
    off = (log_period[None, :, :, None] - scores.centre[:, :, None]) / scores.width[:, :, None]
    gaussian = -0.5 * off.square() - scores.width[:, :, None].log() - 0.5 * math.log(2 * math.pi)
    inside = gaussian + scores.log_share[:, :, None, :-1]
    flat = scores.log_share[:, :, None, -1:] - math.log(LONGEST_LOG - SHORTEST_LOG)
    return torch.cat([inside, flat.expand(*inside.shape[:-1], 1)], -1).logsumexp(-1)
