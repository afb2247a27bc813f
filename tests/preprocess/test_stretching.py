"""A stretched light curve is that of a star which turns slower."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from desa.evaluation.periods import acf_peak
from desa.preprocess.stretching import stretch, stretches
from desa.types import KEPLER_CADENCE_DAYS

LENGTH = 4320


def rotator(period: float) -> torch.Tensor:
    time = KEPLER_CADENCE_DAYS * np.arange(LENGTH)
    turns = 2 * np.pi * time / period
    flux = 1 + 5e-3 * np.sin(turns) + 1e-3 * np.sin(2 * turns + 1)
    flux += np.random.default_rng(0).normal(0, 2e-4, LENGTH)
    return torch.from_numpy(flux.astype(np.float32))


@pytest.mark.parametrize("factor", [0.5, 0.77, 1.3, 2.4])
def test_the_acf_peak_moves_with_the_factor(factor: float) -> None:
    flux = rotator(6.0)[None]
    moved = stretch(flux, torch.tensor([factor]))[0].numpy()
    assert acf_peak(moved, KEPLER_CADENCE_DAYS)[0] == pytest.approx(6.0 * factor, rel=0.04)


def test_one_changes_no_bit_and_every_crop_is_stretched_alike() -> None:
    flux = torch.stack([rotator(3.0), rotator(5.0)]).repeat(2, 1).view(2, 2, LENGTH)
    flux[:, :, 100:130] = torch.nan
    moved = stretch(flux, torch.tensor([1.0, 1.7]))
    torch.testing.assert_close(moved[0], flux[0], rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(moved[1, 1], stretch(flux[1, 1:], torch.tensor([1.7]))[0], equal_nan=True)


def test_gaps_and_the_end_stay_gaps() -> None:
    flux = torch.ones(2, 100)
    flux[:, 40:50] = torch.nan
    slow, fast = torch.isfinite(stretch(flux, torch.tensor([2.0, 0.5])))
    assert slow[:79].all() and not slow[79:99].any()
    assert fast[:20].all() and not fast[20:25].any() and fast[25:50].all() and not fast[50:].any()


def test_factors_are_log_uniform_and_repeatable() -> None:
    drawn, same = (stretches(4000, 2.5, 0.5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(drawn, same)
    moved = drawn[drawn != 1.0]
    assert len(moved) == pytest.approx(2000, abs=150)
    assert moved.min() >= 1 / 2.5001 and moved.max() <= 2.5001
    assert float(moved.log().mean()) == pytest.approx(0.0, abs=0.05)
    assert float(moved.log().std()) == pytest.approx(2 * np.log(2.5) / 12**0.5, rel=0.05)
