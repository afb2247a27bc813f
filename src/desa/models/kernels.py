"""The heavy operations, done the quick way on a CPU; elsewhere they are torch's own.

On a CPU without gradients convolutions run on channels-last memory, with the batch norm folded into the
weights where the weights are smaller than the data. With gradients and dropout of the attention weights, for
which torch has no fused CPU kernel, attention works through the queries a block at a time and makes each
block again in the backward pass, so that no L x L matrix is ever kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IN_CACHE = 1 << 20
"""Numbers of float32 that lie near a CPU's cores: 4 MB."""

SCORES_AT_ONCE = 1 << 19
"""Attention scores that are worked on together, several arrays of them."""


def quick(x: Tensor, weight: Tensor) -> bool:
    """Whether the CPU's inference path may be taken for these."""
    return bool(
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and torch.backends.mkldnn.enabled
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def convolved(x: Tensor, convolution: nn.Conv1d, norm: nn.BatchNorm1d) -> Tensor:
    """Convolution and batch norm of (B, C, L)."""
    weight = convolution.weight
    if norm.training or not quick(x, weight) or weight.numel() > x.numel():
        return cast(Tensor, norm(convolution(x)))
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    shift = norm.bias - mean * scale
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    folded = (weight * scale[:, None, None])[:, :, None]
    image = x[:, :, None].contiguous(memory_format=torch.channels_last)
    padding, stride = cast(int, convolution.padding[0]), convolution.stride[0]
    return F.conv2d(image, folded, shift, stride=(1, stride), padding=(0, padding))[:, :, 0]


def halved(x: Tensor) -> Tensor:
    """Max-pool (B, C, L) by 2; keeps channels-last memory as it is."""
    if x.stride(1) == 1 and not torch.compiler.is_compiling():
        return F.max_pool2d(x[:, :, None], (1, 2))[:, :, 0]
    return F.max_pool1d(x, 2)


def attention(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(head)) v of (B, heads, L, head), fused.

    Parameters
    ----------
    query, key, value
        Keys and values may have another L than the queries.
    dropout
        Share of the attention weights that are dropped (and the rest scaled up).
    """
    # Not while torch.compile traces: to mark the kernel as untraceable would import the compiler, 2.5 s.
    if dropout and query.device.type == "cpu" and not torch.compiler.is_compiling():
        seed = int(torch.randint(1 << 62, ()))
        return cast(Tensor, _dropped_attention(query, key, value, dropout, seed))
    return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)


def _dropped_attention(query: Tensor, key: Tensor, value: Tensor, dropout: float, seed: int) -> Any:
    kind = query.dtype
    parts = (part.flatten(0, 1).float() for part in (query, key, value))
    found = _DroppedAttention.apply(*parts, dropout, seed)  # type: ignore[no-untyped-call]
    return found.unflatten(0, query.shape[:2]).to(kind)


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >> 63 else constant


MIXERS = ((30, _signed(0xBF58476D1CE4E5B9)), (27, _signed(0x94D049BB133111EB)), (31, 1))
"""Shifts and factors of splitmix64 (Steele, Lea & Flood 2014): random bits of a counter, by all cores;
torch's own generator for CPUs uses one."""


class _Scratch:
    """Memory for a block's scores, used again for every block: fresh memory costs as much as the work."""

    def __init__(self, query: Tensor, key: Tensor) -> None:
        most = len(query) * key.shape[1] * _rows_at_once(query, key)
        self.floats = torch.empty(3, most)
        self.bits, self.shifted = torch.empty(2, (most + 3) // 4, dtype=torch.int64)

    def array(self, which: int, shape: torch.Size) -> Tensor:
        """One of the three arrays, in a block's shape."""
        return self.floats[which, : shape.numel()].view(shape)

    def kept(self, shape: torch.Size, share: float, start: int) -> Tensor:
        """0 for a random share of places (in steps of 2^-16), else 1; four draws from each random 64 bits."""
        count = shape.numel()
        words = (count + 3) // 4
        bits, shifted = self.bits[:words], self.shifted[:words]
        torch.arange(words, out=bits)
        bits.mul_(_signed(0x9E3779B97F4A7C15)).add_(start)
        for places, factor in MIXERS:
            torch.bitwise_right_shift(bits, places, out=shifted)  # which brings the sign in: masked out
            bits.bitwise_xor_(shifted.bitwise_and_((1 << (64 - places)) - 1)).mul_(factor)
        draws = bits.view(torch.int16)[:count].view(shape)
        return torch.ge(draws, round(share * (1 << 16)) - (1 << 15), out=self.array(2, shape))


class _DroppedAttention(torch.autograd.Function):
    """Attention with dropout of (N, L, head) on a CPU, a block of queries at a time (Dao et al. 2022)."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, dropout: float, seed: int) -> Tensor:
        starts, scratch = _starts(seed), _Scratch(query, key)
        scale = query.shape[-1] ** -0.5
        result = torch.empty(*query.shape[:2], value.shape[-1])
        totals = torch.empty(query.shape[:2])
        for rows in _row_blocks(query, key):
            scaled = query[:, rows] * scale
            shape = torch.Size((*scaled.shape[:2], key.shape[1]))
            weights = torch.bmm(scaled, key.transpose(1, 2), out=scratch.array(0, shape))
            top = weights.amax(-1, keepdim=True)
            total = weights.sub_(top).exp_().sum(-1, keepdim=True)
            totals[:, rows] = (total.log() + top)[..., 0]
            weights.mul_(scratch.kept(shape, dropout, next(starts)))
            result[:, rows] = torch.bmm(weights, value) / (total * (1 - dropout))
        ctx.save_for_backward(query, key, value, result, totals)
        ctx.dropout, ctx.seed = dropout, seed
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, result, totals = ctx.saved_tensors
        (given,) = gradients
        starts, scratch = _starts(ctx.seed), _Scratch(query, key)
        scale = query.shape[-1] ** -0.5
        own = (given * result).sum(-1, keepdim=True)
        by_query, by_key, by_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for rows in _row_blocks(query, key):
            scaled, incoming = query[:, rows] * scale, given[:, rows] / (1 - ctx.dropout)
            shape = torch.Size((*scaled.shape[:2], key.shape[1]))
            weights = torch.bmm(scaled, key.transpose(1, 2), out=scratch.array(0, shape))
            weights.sub_(totals[:, rows, None]).exp_()
            there = scratch.kept(shape, ctx.dropout, next(starts))
            slope = torch.bmm(incoming, value.transpose(1, 2), out=scratch.array(1, shape)).mul_(there)
            slope.sub_(own[:, rows]).mul_(weights)
            by_value.baddbmm_(weights.mul_(there).transpose(1, 2), incoming)
            by_key.baddbmm_(slope.transpose(1, 2), scaled)
            by_query[:, rows] = torch.bmm(slope, key) * scale
        return by_query, by_key, by_value, None, None


def _rows_at_once(query: Tensor, key: Tensor) -> int:
    return min(query.shape[1], max(1, SCORES_AT_ONCE // (len(query) * key.shape[1])))


def _row_blocks(query: Tensor, key: Tensor) -> list[slice]:
    step, size = _rows_at_once(query, key), query.shape[1]
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _starts(seed: int) -> Iterator[int]:
    """Where each block's counter starts."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield int(torch.randint(1 << 62, (), generator=generator))
