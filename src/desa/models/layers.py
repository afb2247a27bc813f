"""Blocks that the encoders and the DualFormer are made of."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from desa.models.kernels import attention, convolved


def like(x: Tensor, layer: nn.Linear | nn.Conv1d) -> Tensor:
    """In the layer's dtype, unless autocast chooses it."""
    return x if torch.is_autocast_enabled(x.device.type) else x.to(layer.weight.dtype)


def full(x: Tensor) -> Tensor:
    """In float32, if it is of half that."""
    return x.float() if x.dtype.itemsize == 2 else x


class Sine(nn.Module):
    """sin(w0 x)."""

    def __init__(self, w0: float = 1.0) -> None:
        super().__init__()
        self.w0 = w0

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return torch.sin(self.w0 * x)


class ConvBlock(nn.Sequential):
    """conv1d (kernel 3, same, no bias), batch norm, activation."""

    def __init__(self, inputs: int, outputs: int, activation: nn.Module) -> None:
        super().__init__(
            nn.Conv1d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm1d(outputs), activation
        )

    def forward(self, input: Tensor) -> Tensor:
        """(B, inputs, L) -> (B, outputs, L)."""
        return cast(
            Tensor, self[2](convolved(input, cast(nn.Conv1d, self[0]), cast(nn.BatchNorm1d, self[1])))
        )


class Rotary(nn.Module):
    """Rotary position embedding on the first half of each head (Su et al. 2021), "rotate half" convention.

    Parameters
    ----------
    head
        Width of a head; the first ``head // 2`` dimensions are turned.
    base
        Base of the geometric series of frequencies.
    """

    inverse_frequency: Tensor

    def __init__(self, head: int, base: float = 10000.0) -> None:
        super().__init__()
        self.turned, self.base = head // 2, base
        self.reset_constants()

    def reset_constants(self) -> None:
        """Make the frequencies, which are not stored with the weights."""
        exponents = torch.arange(0, self.turned, 2, dtype=torch.float32) / self.turned
        self.register_buffer("inverse_frequency", self.base**-exponents, persistent=False)

    def tables(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines, (length, head // 4) each: of the first and, again, of the second quarter."""
        positions = torch.arange(length, device=self.inverse_frequency.device, dtype=torch.float32)
        angles = torch.outer(positions, self.inverse_frequency.float())
        return angles.cos(), angles.sin()

    def forward(self, x: Tensor) -> Tensor:
        """Turn (B, heads, L, head) by its token's position."""
        cosine, sine = (table.to(x.dtype) for table in self.tables(x.shape[-2]))
        half = self.turned // 2
        first, second, kept = torch.split(x, [half, half, x.shape[-1] - self.turned], dim=-1)
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine, kept], dim=-1)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, D) -> (B, heads, L, D / heads)."""
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(B, heads, L, D / heads) -> (B, L, D)."""
    return x.transpose(1, 2).flatten(2)


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotary embedding, scale 1/sqrt(head), fused where torch can."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.rotary = Rotary(width // heads)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        query = self.rotary(split_heads(self.query(x), self.heads))
        key = self.rotary(split_heads(self.key(x), self.heads))
        mixed = attention(query, key, split_heads(self.value(x), self.heads))
        return cast(Tensor, self.output(join_heads(mixed)))


class TokenConv(nn.Module):
    """`ConvBlock` over tokens (B, L, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = ConvBlock(width, width, nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        return cast(Tensor, self.layers(x.transpose(1, 2)).transpose(1, 2))


class FeedForward(nn.Sequential):
    """LN, linear x `factor`, SiLU, dropout, linear, dropout."""

    def __init__(self, width: int, factor: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, factor * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(factor * width, width),
            nn.Dropout(dropout),
        )


class ConformerBlock(nn.Module):
    """[attention, convolution(, feed-forward)], each as ``LN(x + module(x))``.

    Parameters
    ----------
    width, heads
        Of the tokens.
    feed_forward
        Widening of the feed-forward part; 0 leaves it out.
    dropout
        In the feed-forward part.
    """

    def __init__(self, width: int, heads: int, feed_forward: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        parts: list[nn.Module] = [RotaryAttention(width, heads), TokenConv(width)]
        if feed_forward:
            parts.append(FeedForward(width, feed_forward, dropout))
        self.parts = nn.ModuleList(parts)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in parts)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        for part, norm in zip(self.parts, self.norms, strict=True):
            x = norm(x + part(x))
        return x
