"""What DESA is compared with: other ways to align two modalities, on the same frozen features.

Each reads the features of either modality through one shared transformer and trains it by its own loss.
Tokens, pooling, standardisation, skip and prior are those of the DualFormer's settings, so that what is
compared is the objective and the attention between modalities, not the reading of the features.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.config import DualFormerModel
from desa.losses import info_nce, queue_nce, simsiam, vicreg
from desa.models.dualformer import FeatureTokens, GroupTokens, MeanPooling, QueryPooling, ScalarTokens
from desa.models.heads import TransformerBlock

PROJECTION = 64
"""Width of the projections that the losses compare (SimSiam's projector as published)."""

MOMENTUM = 0.9
"""Of MoCo's key encoder, as published."""


class SharedTrunk(nn.Module):
    """Features of either modality to an embedding, by one transformer for both.

    Parameters
    ----------
    settings
        The DualFormer's: tokens, pooling, width, heads, skip, standardise, prior.
    counts
        Features of the spectrum and of the light curve.
    blocks
        Of the transformer.
    """

    def __init__(self, settings: DualFormerModel, counts: tuple[int, int], blocks: int) -> None:
        super().__init__()
        self.settings, width = settings, settings.width
        if settings.tokens == "published":
            shared = ScalarTokens(width)
            self.tokens = nn.ModuleList([shared, shared])
        elif settings.tokens == "per_feature":
            self.tokens = nn.ModuleList(FeatureTokens(count, width) for count in counts)
        else:
            self.tokens = nn.ModuleList(GroupTokens(count, width, settings.groups) for count in counts)
        lengths = [settings.groups if settings.tokens == "groups" else count for count in counts]
        self.place = nn.ParameterList(nn.Parameter(0.02 * torch.randn(length, width)) for length in lengths)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, settings.heads, settings.dropout) for _ in range(blocks))
        )
        self.norm = nn.RMSNorm(width)
        outputs = max(width, *counts) if settings.skip else width
        self.pool = (
            QueryPooling(width, outputs, settings.queries)
            if settings.pooling == "queries"
            else MeanPooling(width, outputs)
        )
        if settings.skip:
            self.skip = nn.ModuleList(nn.Linear(count, outputs) for count in counts)
            for layer in self.skip:
                nn.init.orthogonal_(cast(Tensor, layer.weight))
        self.size = outputs + settings.prior_size
        for modality, count in enumerate(counts):
            self.register_buffer(f"mean_{modality}", torch.zeros(count))
            self.register_buffer(f"scale_{modality}", torch.ones(count))

    def set_standardisation(self, *constants: Tensor) -> None:
        """Means and deviations of both features, in the order of `desa.training.pairs.standardisation`."""
        for place, values in enumerate(constants):
            name = "mean" if place % 2 == 0 else "scale"
            cast(Tensor, getattr(self, f"{name}_{place // 2}")).copy_(values)

    def forward(self, features: Tensor, modality: int, prior: Tensor | None = None) -> Tensor:
        """(B, F) features of modality 0 (spectrum) or 1 (light curve) -> (B, size)."""
        if self.settings.standardise:
            mean, scale = (cast(Tensor, getattr(self, f"{name}_{modality}")) for name in ("mean", "scale"))
            features = (features - mean) / scale
        tokens = self.tokens[modality](features) + self.place[modality]
        pooled = self.pool(self.norm(self.blocks(tokens)))
        if self.settings.skip:
            pooled = pooled + self.skip[modality](features)
        size = self.settings.prior_size
        if size == 0:
            return cast(Tensor, pooled)
        given = pooled.new_full((len(pooled), size), float("nan")) if prior is None else prior
        return torch.cat([pooled, torch.nan_to_num(given.to(pooled.dtype), nan=-1.0)], dim=1)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


class Baseline(nn.Module):
    """A trunk, a projector, and a loss between the projections of the two modalities.

    Parameters
    ----------
    settings, counts, blocks
        As in `SharedTrunk`.
    temperature
        Of the contrastive losses.
    """

    unique_stars = True
    """Whether a batch holds each star once."""

    tempered = True
    """Whether the loss has a temperature."""

    def __init__(
        self, settings: DualFormerModel, counts: tuple[int, int], blocks: int, temperature: float
    ) -> None:
        super().__init__()
        self.trunk = SharedTrunk(settings, counts, blocks)
        self.temperature = temperature
        self.projector = _mlp(self.trunk.size, settings.width, PROJECTION)

    def set_standardisation(self, *constants: Tensor) -> None:
        """See `SharedTrunk.set_standardisation`; the momentum copy too."""
        for part in self.modules():
            if isinstance(part, SharedTrunk):
                part.set_standardisation(*constants)

    @property
    def size(self) -> int:
        """Width of an embedding."""
        return self.trunk.size

    def pair(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        """Embeddings of both modalities, (B, size) each; neither sees the other."""
        return self.trunk(spectrum, 0, prior), self.trunk(lightcurve, 1, prior)

    def projected(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the loss compares, (B, 64) each."""
        first, second = self.pair(spectrum, lightcurve, prior)
        return self.projector(first), self.projector(second)

    def matched(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        """What to compare by cosine to find a star's light curve by its spectrum, (B, 64) each."""
        return self.projected(spectrum, lightcurve, prior)

    def loss(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> Tensor:
        """The objective of a batch."""
        raise NotImplementedError


class Clip(Baseline):
    """Symmetric InfoNCE within the batch (Radford et al. 2021)."""

    def loss(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> Tensor:
        """See `desa.losses.info_nce`."""
        return info_nce(*self.projected(spectrum, lightcurve, prior), self.temperature)


class VicReg(Baseline):
    """Invariance, variance and covariance (Bardes et al. 2021) of the projections."""

    tempered = False

    def loss(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> Tensor:
        """See `desa.losses.vicreg`."""
        return vicreg(*self.projected(spectrum, lightcurve, prior))


class SimSiam(Baseline):
    """Each modality's projection predicts the other's (Chen & He 2020); no negatives."""

    tempered = False

    def __init__(
        self, settings: DualFormerModel, counts: tuple[int, int], blocks: int, temperature: float
    ) -> None:
        super().__init__(settings, counts, blocks, temperature)
        # Without the norm at its end (as in Chen & He) all projections become the same.
        self.projector.append(nn.BatchNorm1d(PROJECTION))
        self.predictor = _mlp(PROJECTION, PROJECTION, PROJECTION)

    def loss(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> Tensor:
        """See `desa.losses.simsiam`."""
        first, second = self.projected(spectrum, lightcurve, prior)
        return simsiam(self.predictor(first), first, self.predictor(second), second)

    def matched(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        """The spectrum's projection through the predictor, and the light curve's."""
        first, second = self.projected(spectrum, lightcurve, prior)
        return self.predictor(first), second


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
            self.remember(keys)
        return 0.5 * total


class MoCoClean(MoCo):
    """MoCo with batches in which every star is unique."""

    unique_stars = True


BASELINES: dict[str, type[Baseline]] = {
    "moco": MoCo,
    "moco_clean": MoCoClean,
    "simsiam": SimSiam,
    "vicreg": VicReg,
    "clip": Clip,
}


def trainable(module: nn.Module) -> int:
    """Parameters that gradients move."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def baseline(
    name: str,
    settings: DualFormerModel,
    counts: tuple[int, int],
    *,
    at_least: int = 0,
    temperature: float = 0.05,
    queue: int = 4096,
) -> Baseline:
    """Build a baseline with as many blocks as it takes.

    Parameters
    ----------
    name
        One of `BASELINES`.
    settings, counts, temperature, queue
        See `Baseline` and `MoCo`.
    at_least
        Trainable parameters that it must not fall short of: DESA's.
    """
    kind, extra = BASELINES[name], {"queue": queue} if name.startswith("moco") else {}
    blocks = settings.blocks
    while True:
        built = kind(settings, counts, blocks, temperature, **extra)
        missing = at_least - trainable(built)
        if missing <= 0:
            return built
        each = trainable(built.trunk.blocks) // blocks
        blocks += -(-missing // each)
