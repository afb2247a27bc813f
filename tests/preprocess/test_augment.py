from __future__ import annotations

import torch

from desa.preprocess.augment import augment


def test_augmentation_repeats_and_keeps_bad_pixels_bad() -> None:
    pixels, weights = torch.randn(6, 500), torch.rand(6, 500)
    weights[:, 100:130] = 0
    first = augment(pixels, weights, torch.Generator().manual_seed(1))
    again = augment(pixels, weights, torch.Generator().manual_seed(1))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert (first[0][first[1] == 0] == 0).all() and (first[1][:, 100:130] == 0).all()
    kept = first[1] > 0
    assert torch.equal(first[1][kept], weights[kept])
    assert 0 < (first[0][kept] - pixels[kept]).abs().median() < 0.5
