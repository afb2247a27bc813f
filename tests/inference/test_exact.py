"""How far an embedding depends on the batch's size and the number of threads; an exact one does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import desa
from desa.errors import SettingsError
from desa.inference.embed import embed_stars
from desa.inference.exact import one_order
from desa.inference.model import Desa
from desa.inference.predict import predict_stars
from desa.types import Star
from helpers.stars import curve, spectrum

VECTORS = ("features_spectrum", "features_lightcurve", "joint")


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def some_stars() -> list[Star]:
    """Noisy lines and slow variations, with gaps and bad pixels: pixels lie at every edge of the clipping."""
    phase = np.linspace(0, 40, 4500)
    found = []
    for seed in range(3):
        flux = 1 + 0.01 * np.sin(phase * (1 + seed)) + np.random.default_rng(seed).normal(0, 1e-3, len(phase))
        found.append(
            Star(
                f"KIC {seed}",
                lightcurve=curve(f"KIC {seed}", flux, gaps=0.1, seed=seed),
                spectra=(spectrum(f"KIC {seed}", snr=15.0 + 10 * seed, bad=0.02, seed=seed),),
            )
        )
    return found


@pytest.fixture(scope="module")
def model() -> Desa:
    return desa.load()


def rows(model: Desa, stars: list[Star], size: int) -> dict[str, NDArray[Any]]:
    found = [row for row, _ in embed_stars(model, stars, batch_size=size)]
    return {name: np.array([getattr(row, name) for row in found], np.float64) for name in VECTORS}


def test_rounding_is_below_1e_5_of_the_norm(model: Desa) -> None:
    """Before sums were in float64: 1e-5 to 1e-4, as a clipped pixel or a deep null changed sides."""
    stars = some_stars()
    with threads(1):
        whole = rows(model, stars, 3)
    for count, size in ((1, 2), (2, 1)):
        with threads(count):
            other = rows(model, stars, size)
        for name, values in whole.items():
            apart = np.linalg.norm(other[name] - values, axis=1) / np.linalg.norm(values, axis=1)
            assert apart.max() < 4e-6, (name, count, size, apart)


def test_exact_is_the_same_to_the_bit(model: Desa) -> None:
    stars, found = some_stars(), []
    model.exact = True
    try:
        for count, size, chosen in ((1, 3, stars), (2, 2, stars[::-1])):
            with threads(count):
                values = rows(model, chosen, size)
                labels = predict_stars(model, chosen)
                assert torch.get_num_threads() == count
            turn = slice(None) if chosen is stars else slice(None, None, -1)
            numbers = [[one.median for one in star.values()] for star in labels]
            found.append([*(one[turn].tolist() for one in values.values()), numbers[turn]])
    finally:
        model.exact = False
    assert found[0] == found[1]


def test_exact_is_for_the_cpu(model: Desa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Desa, "device", torch.device("cuda"))
    monkeypatch.setattr(model, "exact", True)
    with pytest.raises(SettingsError, match="--device cpu"), one_order(model):
        pass
