"""What a baseline is made of: another way to align two modalities, on the same frozen features as DESA.

Each reads the features of either modality through one shared transformer and trains it by its own loss.
Tokens, pooling, standardisation, skip and prior are those of the DualFormer's settings, so that what is
compared is the objective and the attention between modalities, not the reading of the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from desa.benchmark.base import Choice
from desa.benchmark.embed import Aligner
from desa.benchmark.inputs import Inputs
from desa.benchmark.training import Trained, trainable
from desa.config import DualFormerModel, Settings
from desa.models.dualformer import (
    DualFormer,
    FeatureTokens,
    GroupTokens,
    MeanPooling,
    QueryPooling,
    ScalarTokens,
)
from desa.models.heads import TransformerBlock
from desa.training.alignment import Align
from desa.training.distributed import of_all
from desa.training.pairs import FeatureBatch
from desa.training.task import Task

PROJECTION = 64
"""Width of the projections that the losses compare (SimSiam's projector as published)."""


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


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, norm, ReLU, linear."""
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
        self.projector = mlp(self.trunk.size, settings.width, PROJECTION)

    def of_all(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Rows of both modalities of all processes in training; this process's own in validation."""
        return (of_all(pair[0]), of_all(pair[1])) if self.training else pair

    @staticmethod
    def options(stars: int) -> dict[str, Any]:
        """Further arguments for a training set of so many stars."""
        return {}

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


class BaselineAligner(Aligner):
    """A baseline as tasks read it."""

    def __init__(self, baseline: Baseline, means: tuple[Tensor, Tensor]) -> None:
        super().__init__(means)
        self.baseline = baseline

    def pair(
        self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The trunk's embeddings."""
        return self.baseline.pair(spectrum, lightcurve, prior)

    def matched(self, spectrum: Tensor, lightcurve: Tensor) -> tuple[Tensor, Tensor]:
        """What the loss compares."""
        return self.baseline.matched(spectrum, lightcurve, None)


class BaselineTask(Task):
    """Training of a baseline."""

    name = "baseline"

    def __init__(self, model: Baseline) -> None:
        super().__init__()
        self.model = model

    def training_step(
        self, batch: FeatureBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The baseline's loss."""
        return self.model.loss(batch.spectrum, batch.lightcurve, batch.prior), {}

    def validation_step(
        self, batch: FeatureBatch, generator: torch.Generator
    ) -> dict[str, tuple[float, float]]:
        """The same, in evaluation mode."""
        loss = self.model.loss(batch.spectrum, batch.lightcurve, batch.prior)
        return {"loss": (float(loss) * len(batch), float(len(batch)))}


def sized(
    kind: type[Baseline],
    settings: DualFormerModel,
    counts: tuple[int, int],
    *,
    at_least: int = 0,
    temperature: float = 0.05,
    **options: Any,
) -> Baseline:
    """Build a baseline with as many blocks as it takes.

    Parameters
    ----------
    kind
        Which.
    settings, counts, temperature
        See `Baseline`.
    at_least
        Trainable parameters that it must not fall short of: DESA's.
    options
        Further arguments of `kind`.
    """
    blocks = settings.blocks
    while True:
        built = kind(settings, counts, blocks, temperature, **options)
        missing = at_least - trainable(built)
        if missing <= 0:
            return built
        each = trainable(built.trunk.blocks) // blocks
        blocks += -(-missing // each)


@dataclass(frozen=True, eq=False, kw_only=True)
class BaselineCandidate(Trained):
    """A baseline as a row of the tables.

    Parameters
    ----------
    kind
        Which.
    """

    kind: type[Baseline]

    @property
    def unique_stars(self) -> bool:
        """Whether a batch holds each star once."""
        return self.kind.unique_stars

    def tempered(self, inputs: Inputs) -> bool:
        """Whether the loss has a temperature to search."""
        return self.kind.tempered

    def build(self, inputs: Inputs, settings: Settings, choice: Choice | None) -> tuple[Aligner, Task]:
        """The baseline with at least as many trainable parameters as the DualFormer of the settings."""
        means = inputs.constants[0], inputs.constants[2]
        counts = inputs.spectrum.shape[1], inputs.lightcurve.shape[1]
        model = sized(
            self.kind,
            settings.dualformer,
            counts,
            at_least=trainable(Align(settings, DualFormer(settings.dualformer, *counts))),
            temperature=0.05 if choice is None or choice.temperature is None else choice.temperature,
            **self.kind.options(len(set(inputs.stars.star[inputs.split == "train"].tolist()))),
        )
        model.set_standardisation(*inputs.constants)
        return BaselineAligner(model, means), BaselineTask(model)
