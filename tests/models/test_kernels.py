"""The quick paths compute what torch's own operations do, and know when they may not be taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.models import kernels


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_quick_path_leaves_gradients_and_other_kinds_alone() -> None:
    layer, x = nn.Linear(4, 4), draw(2, 4)
    assert not kernels.quick(x, layer.weight)
    with torch.inference_mode():
        assert kernels.quick(x, layer.weight) == torch.backends.mkldnn.enabled
        assert not kernels.quick(x.double(), layer.weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert not kernels.quick(x, layer.weight)


@pytest.mark.parametrize(("inputs", "length", "stride", "bias"), [(2, 600, 20, True), (6, 333, 1, False)])
def test_convolution_with_folded_norm(inputs: int, length: int, stride: int, bias: bool) -> None:
    kernel = stride if stride > 1 else 3
    convolution = nn.Conv1d(inputs, 8, kernel, stride, 0 if stride > 1 else 1, bias=bias)
    norm = nn.BatchNorm1d(8)
    norm.running_mean, norm.running_var = draw(8), draw(8, seed=1).abs() + 0.1
    x = draw(3, inputs, length)
    norm.eval()
    with torch.inference_mode():
        expected = norm(convolution(x))
        found = kernels.convolved(x, convolution, norm)
        assert torch.allclose(found, expected, atol=1e-5)
        assert torch.equal(kernels.halved(expected), F.max_pool1d(expected, 2))
        assert torch.allclose(kernels.halved(found), F.max_pool1d(expected, 2), atol=1e-5)


def test_norm_in_training_sees_the_batch() -> None:
    convolution, norm = nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4)
    with torch.no_grad():
        found = kernels.convolved(draw(5, 2, 50), convolution, norm)
    assert torch.allclose(found.mean((0, 2)), torch.zeros(4), atol=1e-5)


def dropped_slowly(
    query: Tensor, key: Tensor, value: Tensor, share: float, seed: int, rows: list[slice]
) -> Tensor:
    """The whole matrix at once, with the same random draws."""
    starts, scratch = kernels._starts(seed), kernels._Scratch(query, key)
    shapes = [torch.Size((len(query), block.stop - block.start, key.shape[1])) for block in rows]
    kept = torch.cat([scratch.kept(shape, share, next(starts)).clone() for shape in shapes], dim=1)
    weights = torch.softmax(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5, dim=-1)
    return (weights * kept / (1 - share)) @ value


def test_attention_with_dropout_and_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "SCORES_AT_ONCE", 200)
    parts = [draw(3, size, 8, seed=k).requires_grad_() for k, size in enumerate((13, 11, 11))]
    rows = kernels._row_blocks(parts[0], parts[1])
    assert len(rows) > 2
    found = kernels._DroppedAttention.apply(*parts, 0.3, 7)
    expected = dropped_slowly(*parts, 0.3, 7, rows)
    assert torch.allclose(found, expected, atol=1e-5)
    given = draw(3, 13, 8, seed=9)
    for a, b in zip(
        torch.autograd.grad(found, parts, given), torch.autograd.grad(expected, parts, given), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-5)


def test_dropout_is_of_the_given_share_and_follows_the_seed() -> None:
    one = draw(1, 400, 8)
    scratch = kernels._Scratch(one, draw(1, 501, 8))
    gone = 1 - scratch.kept(torch.Size((400, 501)), 0.1, 12345)
    assert abs(float(gone.mean()) - 0.1) < 4 * (0.09 / gone.numel()) ** 0.5
    by_place = gone.flatten()[: gone.numel() // 4 * 4].view(-1, 4).mean(0)
    assert (by_place - 0.1).abs().max() < 4 * (0.09 / gone.numel() * 4) ** 0.5
    query, value = draw(2, 2, 50, 8), torch.ones(2, 2, 50, 8)
    torch.manual_seed(3)
    first = kernels.attention(query, query, value, 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, kernels.attention(query, query, value, 0.5))
    assert not torch.equal(first, kernels.attention(query, query, value, 0.5))
    assert float(first.mean()) == pytest.approx(1, abs=0.05)


def test_attention_without_dropout_is_torchs() -> None:
    query, key, value = draw(2, 2, 5, 8), draw(2, 2, 7, 8, seed=1), draw(2, 2, 7, 8, seed=2)
    expected = F.scaled_dot_product_attention(query, key, value)
    assert torch.equal(kernels.attention(query, key, value), expected)
    dropped = torch.stack([kernels.attention(query, key, value, 0.2) for _ in range(3000)]).mean(0)
    assert torch.allclose(dropped, expected, atol=0.05)


def test_nothing_of_torch_that_may_vanish() -> None:
    """Operations that begin with an underscore are torch's own, and change without notice."""
    source = Path(kernels.__file__).parents[1]
    texts = {path: path.read_text(encoding="utf-8") for path in source.rglob("*.py")}
    assert [path for path, text in texts.items() if re.search(r"torch\.ops\.\w+\._", text)] == []
