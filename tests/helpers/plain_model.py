"""The published model written plainly from its description: one operation a line, nothing fused.

Every function reads a checkpoint's tensors by their published names. What the quick modules of desa compute
is compared with this; the benchmarks measure against it. Two softmaxes are two matrices in memory here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

State = Mapping[str, Tensor]


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_norm(state: State, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def batch_norm(state: State, name: str, x: Tensor) -> Tensor:
    shape = (1, -1, 1) if x.ndim == 3 else (1, -1)
    mean, variance = (state[f"{name}.running_{part}"].view(shape) for part in ("mean", "var"))
    scaled = (x - mean) / torch.sqrt(variance + 1e-5)
    return scaled * state[f"{name}.weight"].view(shape) + state[f"{name}.bias"].view(shape)


def conv_block(state: State, name: str, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    x = F.conv1d(x, state[f"{name}.0.weight"], padding=1)
    return activation(batch_norm(state, f"{name}.1", x))


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def rotate(x: Tensor) -> Tensor:
    """Rotary embedding of (B, heads, L, head): the first half of the dimensions, in two halves again."""
    turned = x.shape[-1] // 2
    frequencies = 10000.0 ** -(torch.arange(0, turned, 2, dtype=torch.float64) / turned)
    angles = torch.outer(torch.arange(x.shape[-2], dtype=torch.float64), frequencies).to(x)
    angles = torch.cat([angles, angles], dim=-1)
    part, rest = x[..., :turned], x[..., turned:]
    partner = torch.cat([-part[..., turned // 2 :], part[..., : turned // 2]], dim=-1)
    return torch.cat([part * angles.cos() + partner * angles.sin(), rest], dim=-1)


def heads_of(x: Tensor, heads: int) -> Tensor:
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def weights_of(query: Tensor, key: Tensor) -> Tensor:
    return torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)


def merged(x: Tensor) -> Tensor:
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


def attention(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    query, key, value = (
        heads_of(linear(state, f"{name}.{part}", x), heads) for part in ("query", "key", "value")
    )
    mixed = weights_of(rotate(query), rotate(key)) @ value
    return linear(state, f"{name}.output", merged(mixed))


def feed_forward(state: State, name: str, x: Tensor) -> Tensor:
    x = layer_norm(state, f"{name}.0", x)
    x = silu(linear(state, f"{name}.1.linear", x))
    return linear(state, f"{name}.4.linear", x)


def blocks_under(state: State, prefix: str) -> int:
    places = [name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)]
    return 1 + max(int(place) for place in places)


def conformer(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    for block in range(blocks_under(state, f"{name}.blocks.")):
        part = f"{name}.blocks.{block}.modlist"
        x = layer_norm(state, f"{part}.0.norm", x + attention(state, f"{part}.0.module", x, heads))
        convolved = conv_block(state, f"{part}.1.module.layers", x.transpose(1, 2), silu).transpose(1, 2)
        x = layer_norm(state, f"{part}.1.norm", x + convolved)
        if f"{part}.2.norm.weight" in state:
            fed = feed_forward(state, f"{part}.2.module.sequential", x)
            x = layer_norm(state, f"{part}.2.norm", x + fed)
    return x


def lightcurve_encoder(
    state: State,
    channels: Tensor,
    heads: int,
    encoder: str = "lc_backbone.0",
    projector: str = "lc_backbone.1",
) -> Tensor:
    x = conv_block(state, f"{encoder}.encoder1.embedding", channels[:, 2:], torch.sin)
    for layer in range(blocks_under(state, f"{encoder}.encoder1.layers.")):
        x = conv_block(state, f"{encoder}.encoder1.layers.{layer}.layers", x, torch.sin)
        if x.shape[-1] > 2:
            x = F.max_pool1d(x, 2)
    stem = f"{encoder}.encoder2.extractor"
    weight = state[f"{stem}.0.weight"]
    tokens = F.conv1d(channels[:, :2], weight, state[f"{stem}.0.bias"], stride=weight.shape[-1])
    tokens = silu(batch_norm(state, f"{stem}.1", tokens)).transpose(1, 2)
    tokens = conformer(state, f"{encoder}.encoder2.encoder", tokens, heads)
    pooled = torch.nan_to_num(torch.cat([x.mean(-1), tokens.mean(1)], dim=1), nan=0.0)
    for layer in (1, 2, 3):
        name = f"{projector}.layer{layer}"
        pooled = batch_norm(state, f"{name}.1", linear(state, f"{name}.0", pooled))
        pooled = torch.relu(pooled) if layer < 3 else pooled
    return pooled


def spectrum_cnn(state: State, pixels: Tensor, encoder: str = "spectra_backbone") -> Tensor:
    x = conv_block(state, f"{encoder}.backbone.embedding", pixels[:, None], silu)
    for layer in range(blocks_under(state, f"{encoder}.backbone.layers.")):
        x = F.max_pool1d(conv_block(state, f"{encoder}.backbone.layers.{layer}.layers", x, silu), 2)
    return x


def spectrum_encoder(state: State, pixels: Tensor, heads: int, encoder: str = "spectra_backbone") -> Tensor:
    tokens = spectrum_cnn(state, pixels, encoder).transpose(1, 2)
    return conformer(state, f"{encoder}.encoder", tokens, heads).sum(1)


def dualformer(
    state: State,
    z_spectrum: Tensor,
    z_lightcurve: Tensor,
    prior: Tensor,
    heads: int,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z_1, z_2, p_1, p_2; with dropout, as in training: of attention weights and of what blocks add."""
    name = "dual_former"
    tokens = [linear(state, f"{name}.embedding", part[..., None]) for part in (z_spectrum, z_lightcurve)]
    for layer in range(blocks_under(state, f"{name}.layers.")):
        block = f"{name}.layers.{layer}"
        normed = [layer_norm(state, f"{block}.norm1_{m + 1}", tokens[m]) for m in (0, 1)]
        query, key, value = (
            [
                heads_of(linear(state, f"{block}.attention.{part}{m + 1}_proj", normed[m]), heads)
                for m in (0, 1)
            ]
            for part in "qkv"
        )
        for m in (0, 1):
            q, terms = rotate(query[m]), []
            for source in (1 - m, m):
                weights = F.dropout(weights_of(q, rotate(key[source])), dropout, dropout > 0)
                terms.append(weights @ value[source])
            mixed = linear(state, f"{block}.attention.out{m + 1}_proj", merged(terms[0] + terms[1]))
            tokens[m] = tokens[m] + F.dropout(mixed, dropout, dropout > 0)
        for m in (0, 1):
            ffn = f"{block}.feed_forward.ffn{m + 1}"
            x = gelu(linear(state, f"{ffn}.0", layer_norm(state, f"{block}.norm2_{m + 1}", tokens[m])))
            x = linear(state, f"{ffn}.3", layer_norm(state, f"{ffn}.2", x))
            tokens[m] = tokens[m] + F.dropout(x, dropout, dropout > 0)
    prior = torch.nan_to_num(prior, nan=-1.0)
    z = [
        torch.cat([layer_norm(state, f"{name}.norm{m + 1}", tokens[m]).mean(1), prior], dim=1) for m in (0, 1)
    ]
    matrix = state[f"{name}.projection_head.weight"]
    return z[0], z[1], z[0] @ matrix.T, z[1] @ matrix
