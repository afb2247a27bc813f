"""Masked filling: shares, runs, bounds, the same draws for the same generator."""

from __future__ import annotations

import pytest
import torch

from desa.config import Objective
from desa.preprocess.masking import first_of_run, mask_pixels


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("span", [1, 5, 40])
@pytest.mark.parametrize("fraction", [0.0, 0.15, 0.6])
def test_share_of_hidden_pixels_is_even_along_the_spectrum(span: int, fraction: float) -> None:
    objective = Objective(mask_span=span, mask_fraction=fraction)
    _, hidden = mask_pixels(torch.randn(3000, 300), torch.ones(3000, 300).bool(), objective, generator())
    share = hidden.float().mean(0)
    tolerance = 5 * (fraction * (1 - fraction) / 3000) ** 0.5 + 1e-6
    assert (share - fraction).abs().max() < tolerance


def test_zero_and_random_fill() -> None:
    objective = Objective(mask_fraction=0.3, mask_zero_share=0.8)
    pixels = torch.randn(200, 500) * torch.linspace(0.1, 10, 200).unsqueeze(1) + 100
    masked, hidden = mask_pixels(pixels, torch.ones_like(pixels).bool(), objective, generator())
    assert torch.equal(masked[~hidden], pixels[~hidden])
    zero = masked[hidden] == 0
    assert zero.float().mean().item() == pytest.approx(0.8, abs=0.02)
    low, high = pixels.amin(1, keepdim=True), pixels.amax(1, keepdim=True)
    filled = hidden & (masked != 0)
    assert ((masked >= low) & (masked <= high))[filled].all()
    place = ((masked - low) / (high - low))[filled]
    assert place.mean().item() == pytest.approx(0.5, abs=0.02) and place.std().item() > 0.25


def test_bad_pixels_are_not_hidden_and_set_no_bounds() -> None:
    pixels, valid = torch.rand(50, 400), torch.rand(50, 400) < 0.7
    pixels[~valid] = 1e6
    valid[0] = False
    objective = Objective(mask_fraction=0.5, mask_zero_share=0.0)
    masked, hidden = mask_pixels(pixels, valid, objective, generator())
    assert not (hidden & ~valid).any() and not hidden[0].any()
    assert masked[hidden].max() <= 1 and torch.isfinite(masked).all()
    assert torch.equal(masked[~valid], pixels[~valid])


def test_runs_are_contiguous_and_share_their_fill() -> None:
    objective = Objective(mask_fraction=0.1, mask_span=6, mask_zero_share=0.5)
    masked, hidden = mask_pixels(torch.rand(40, 600) + 1, torch.ones(40, 600).bool(), objective, generator())
    edges = torch.diff(hidden.int(), dim=1)
    for row in range(40):
        starts = (edges[row] == 1).nonzero()[:, 0]
        for start in starts[starts < 590].tolist():
            assert hidden[row, start + 1 : start + 7].all()
    draws = torch.rand(40, 605, generator=generator(1))
    first = first_of_run(draws, objective)
    inside = first >= 0
    place = torch.arange(5, 605).expand(40, -1)
    assert ((place - first)[inside] < 6).all() and ((place - first)[inside] >= 0).all()
    zero = masked == 0
    alone = hidden[:, 1:-1] & ~(hidden[:, :-2] | hidden[:, 2:])
    assert not alone.any() and zero.any() and (hidden & ~zero).any()


def test_the_generator_decides() -> None:
    pixels, valid = torch.rand(4, 300), torch.ones(4, 300).bool()
    one, two, other = (mask_pixels(pixels, valid, Objective(), generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.pixels, two.pixels) and not torch.equal(one.hidden, other.hidden)
