"""MoCo: momentum contrast between modalities, as published and with batches of unique stars."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from desa.benchmark.base import CANDIDATES
from desa.benchmark.baseline import PROJECTION, Baseline, BaselineCandidate
from desa.config import DualFormerModel
from desa.losses import queue_nce

MOMENTUM = 0.9
"""Of MoCo's key encoder, as published."""


class MoCo(Baseline):
    """Momentum contrast between modalities (He et al. 2019): a queue of keys for each, both directions.

    A batch may hold a star twice (two spectra of it), as published: its second pair is then a negative of its
    first.

    Parameters
    ----------
    settings, counts, blocks, temperature
        As in `Baseline`.
    queue
        Keys kept. More than the training set has stars and every star meets its own old keys as negatives.
    """

    unique_stars = False
    queue: Tensor

    def __init__(
        self,
        settings: DualFormerModel,
        counts: tuple[int, int],
        blocks: int,
        temperature: float,
        queue: int = 4096,
    ) -> None:
        super().__init__(settings, counts, blocks, temperature)
        self.key_trunk, self.key_projector = copy.deepcopy(self.trunk), copy.deepcopy(self.projector)
        self.key_trunk.requires_grad_(False)
        self.key_projector.requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(2, queue, PROJECTION), dim=-1))
        self.place = 0

    @staticmethod
    def options(stars: int) -> dict[str, Any]:
        """A queue of half the stars, or of 4096 keys."""
        return {"queue": max(1, min(4096, stars // 2))}

    @torch.no_grad()
    def keys(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        """Projections by the momentum copies."""
        found = [
            F.normalize(self.key_projector(self.key_trunk(x, modality, prior)), dim=-1)
            for modality, x in enumerate((spectrum, lightcurve))
        ]
        return found[0], found[1]

    @torch.no_grad()
    def advance(self) -> None:
        """Move the key encoder towards the query encoder."""
        pairs = ((self.trunk, self.key_trunk), (self.projector, self.key_projector))
        for online, momentum in pairs:
            for new, old in zip(online.parameters(), momentum.parameters(), strict=True):
                old.lerp_(new, 1 - MOMENTUM)
            for fresh, kept in zip(online.buffers(), momentum.buffers(), strict=True):
                kept.copy_(fresh)

    @torch.no_grad()
    def remember(self, keys: tuple[Tensor, Tensor]) -> None:
        """Put a batch's keys in place of the oldest."""
        rows = (self.place + torch.arange(len(keys[0]), device=self.queue.device)) % self.queue.shape[1]
        for modality, own in enumerate(keys):
            self.queue[modality, rows] = own
        self.place = int((rows[-1] + 1) % self.queue.shape[1])

    def loss(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> Tensor:
        """InfoNCE of each modality's queries against the other's keys; in training the queue moves on."""
        if self.training:
            self.advance()
        queries = self.projected(spectrum, lightcurve, prior)
        keys = self.keys(spectrum, lightcurve, prior)
        before = self.queue.clone()
        total = queue_nce(queries[0], keys[1], before[1], self.temperature) + queue_nce(
            queries[1], keys[0], before[0], self.temperature
        )
        if self.training:
            self.remember(self.of_all(keys))
        return 0.5 * total


class MoCoClean(MoCo):
    """MoCo with batches in which every star is unique."""

    unique_stars = True


CANDIDATES.add(
    BaselineCandidate("moco", "MoCo", "momentum contrast between modalities", 7, drawn=False, kind=MoCo)
)
CANDIDATES.add(
    BaselineCandidate("moco_clean", "MoCo Clean", "the same, each star once a batch", 8, kind=MoCoClean)
)
