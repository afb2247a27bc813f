"""The spectrum encoder: a CNN, a Conformer, pooling of the tokens; and the decoder of masked filling."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from desa.config import SpectrumModel
from desa.models.kernels import halved
from desa.models.layers import ConformerBlock, ConvBlock, full, like


class SpectrumEncoder(nn.Module):
    """Normalised pixels to features.

    Parameters
    ----------
    settings
        Sizes; the defaults of `desa.config.SpectrumModel` are the published ones.
    """

    def __init__(self, settings: SpectrumModel) -> None:
        super().__init__()
        widths = settings.cnn_widths
        self.weights_channel = settings.weights_channel
        self.embedding = ConvBlock(2 if settings.weights_channel else 1, widths[0], nn.SiLU())
        self.layers = nn.ModuleList(ConvBlock(a, b, nn.SiLU()) for a, b in pairwise(widths))
        self.blocks = nn.ModuleList(
            ConformerBlock(settings.width, settings.heads, settings.feed_forward, settings.dropout)
            for _ in range(settings.blocks)
        )
        self.pooling = settings.pooling
        self.features = settings.width * (2 if settings.pooling == "mean_max" else 1)
        self.flatten: nn.Sequential | None = None
        if settings.pooling == "flatten":
            self.features = settings.flatten_features
            self.flatten = nn.Sequential(
                nn.Linear(settings.width * settings.flatten_tokens, self.features),
                nn.LayerNorm(self.features),
                nn.SiLU(),
            )

    def cnn(self, pixels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Tokens of the CNN alone, (B, P) -> (B, width, P / 2^layers): what the decoder reads."""
        x = pixels[:, None]
        if self.weights_channel:
            known = torch.ones_like(pixels) if weights is None else (weights > 0).to(pixels.dtype)
            x = torch.stack([pixels, known], dim=1)
        x = self.embedding(like(x, cast(nn.Conv1d, self.embedding[0])))
        for layer in self.layers:
            x = halved(layer(x))
        return x

    def conformer(self, cnn_tokens: Tensor) -> Tensor:
        """(B, width, L) of `cnn` -> pooled features (B, features)."""
        return self.pooled(self.tokens(cnn_tokens))

    def tokens(self, cnn_tokens: Tensor, leave: int = 0) -> Tensor:
        """(B, width, L) of `cnn` -> tokens (B, L, width), after all but the last `leave` blocks."""
        x = cnn_tokens.transpose(1, 2)
        for block in self.blocks[: max(0, len(self.blocks) - leave)]:
            x = block(x)
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """(B, L, width) -> (B, features)."""
        if self.flatten is not None:
            return cast(Tensor, self.flatten(x.flatten(1)))
        if self.pooling == "mean_max":
            return torch.cat([x.mean(1), x.amax(1)], dim=1)
        return x.sum(1) if self.pooling == "sum" else x.mean(1)

    def forward(self, pixels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Features of spectra.

        Parameters
        ----------
        pixels
            (B, P) normalised pixels, 0 where bad.
        weights
            (B, P), 0 where bad; used where the settings give the weights to the CNN.

        Returns
        -------
        Tensor
            (B, features).
        """
        return full(self.conformer(self.cnn(pixels, weights)))

    def reduce(self, dtype: torch.dtype) -> None:
        """Change the dtype of all weights."""
        self.to(dtype)

    def heavy(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.embedding, *self.layers, *self.blocks]


class SpectrumDecoder(nn.Module):
    """Transposed CNN that fills masked pixels from the CNN's tokens, (B, width, L) -> (B, 32 L)."""

    def __init__(self, settings: SpectrumModel) -> None:
        super().__init__()
        first, *others = settings.cnn_widths[:-1]
        blocks: list[nn.Module] = []
        inputs = settings.width
        for outputs in [*others[-2::-1], first, first] if others else [first]:
            blocks.append(
                nn.Sequential(
                    nn.ConvTranspose1d(inputs, outputs, 4, stride=2, padding=1, bias=False),
                    nn.BatchNorm1d(outputs),
                    nn.SiLU(),
                )
            )
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.final = nn.ConvTranspose1d(inputs, 1, 3, padding=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Filled pixels (B, P)."""
        return cast(Tensor, self.final(self.blocks(tokens)).squeeze(1))
