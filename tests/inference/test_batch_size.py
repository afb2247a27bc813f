from __future__ import annotations

import pytest
import torch

from desa.config import settings
from desa.inference.batch_size import ON_CPU, automatic_batch_size, largest
from desa.inference.model import Desa


def device_of(stars: int):
    """Something that takes so many stars and no more."""

    def run(size: int) -> None:
        if size > stars:
            raise torch.OutOfMemoryError(f"{size} stars")

    return run


@pytest.mark.parametrize(("room", "found"), [(1, 1), (3, 2), (32, 32), (33, 32), (200, 128), (10**6, 4096)])
def test_largest_is_the_last_power_of_two_that_fits(room: int, found: int) -> None:
    assert largest(device_of(room), 32) == found


def test_not_even_one_star_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        largest(device_of(0), 32)


def test_on_a_cpu_it_is_a_constant() -> None:
    assert automatic_batch_size(Desa(settings("mini"), ["lightcurve"])) == ON_CPU
