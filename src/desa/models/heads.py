"""What sits on the encoders: quantiles of labels, SimSiam's predictor, heads for users' own labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.config import Objective
from desa.models.layers import join_heads, split_heads

if TYPE_CHECKING:
    from desa.models.finetuned import FineTuning


class QuantileHead(nn.Module):
    """Features to quantiles of labels: linear, batch norm, activation, dropout, linear.

    The batch's own mean and variance are noise of a few per cent in what follows; a head that must tell
    labels more closely than that does without them.

    Parameters
    ----------
    features, hidden
        Widths.
    objective
        Its labels and quantiles.
    activation
        ``"silu"`` (spectrum, as published) or ``"gelu"`` (light curve).
    dropout
        In training.
    batch_norm
        False leaves the norm out.
    skip
        Add a linear map of the features: what they tell as it is need not pass the activation. The whole
        begins at the last bias.
    """

    def __init__(
        self,
        features: int,
        hidden: int,
        objective: Objective,
        activation: str,
        dropout: float,
        batch_norm: bool = True,
        skip: bool = False,
    ) -> None:
        super().__init__()
        labels, quantiles = len(objective.labels), len(objective.quantiles)
        self.labels, self.quantiles = labels, quantiles
        self.layers = nn.Sequential(
            nn.Linear(features, hidden),
            nn.BatchNorm1d(hidden) if batch_norm else nn.Identity(),
            nn.SiLU() if activation == "silu" else nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, labels * quantiles),
        )
        self.skip = nn.Linear(features, labels * quantiles, bias=False) if skip else None
        if self.skip is not None:
            nn.init.zeros_(self.skip.weight)
            nn.init.zeros_(cast(nn.Linear, self.layers[-1]).weight)

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, labels, quantiles), in units of the label's scale."""
        found = self.layers(features)
        if self.skip is not None:
            found = found + self.skip(features)
        return cast(Tensor, found.unflatten(-1, (self.labels, self.quantiles)))


class SimSiamPredictor(nn.Sequential):
    """linear, BN, ReLU, linear (Chen & He 2020)."""

    def __init__(self, features: int) -> None:
        super().__init__(
            nn.Linear(features, features),
            nn.BatchNorm1d(features),
            nn.ReLU(),
            nn.Linear(features, features),
        )


class TransformerBlock(nn.Module):
    """Pre-norm block [attention, MLP x4 GELU] with RMS norm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        query, key, value = (
            split_heads(part, self.heads) for part in self.qkv(self.attention_norm(x)).chunk(3, -1)
        )
        x = x + self.output(join_heads(F.scaled_dot_product_attention(query, key, value)))
        return cast(Tensor, x + self.mlp(self.mlp_norm(x)))


class Perceptron(nn.Sequential):
    """Dropout, linear, GELU, dropout, linear."""

    def __init__(self, features: int, outputs: int, hidden: int, dropout: float) -> None:
        super().__init__(
            nn.Dropout(dropout),
            nn.Linear(features, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )


class FineTuningHead(nn.Module):
    """A transformer over features as scalar tokens, mean over tokens, MLP to the outputs.

    Parameters
    ----------
    features
        How many scalars come in.
    outputs
        Classes, or labels x quantiles.
    width, blocks, heads, dropout
        Of the transformer.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        width: int,
        blocks: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = nn.Linear(1, width)
        self.place = nn.Parameter(0.02 * torch.randn(features, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, dropout) for _ in range(blocks)))
        self.norm = nn.RMSNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, outputs)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, outputs)."""
        tokens = self.embedding(features[..., None]) + self.place
        return cast(Tensor, self.mlp(self.norm(self.blocks(tokens)).mean(1)))


def new_head(kind: str, features: int, settings: FineTuning) -> nn.Module:
    """An untrained head for a user's own label: (B, features) -> (B, outputs).

    Parameters
    ----------
    kind
        ``"linear"``, ``"perceptron"`` or ``"transformer"``.
    features
        Width of what it reads.
    settings
        Sizes, and the number of outputs.
    """
    if kind == "perceptron":
        return Perceptron(features, settings.outputs, settings.hidden, settings.dropout)
    if kind == "transformer":
        return FineTuningHead(
            features, settings.outputs, settings.width, settings.blocks, settings.heads, settings.dropout
        )
    return nn.Linear(features, settings.outputs)
