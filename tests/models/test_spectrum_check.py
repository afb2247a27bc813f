"""A model's check of spectra: hotter stars and other kinds are told, and its file is whole or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import desa
from desa.errors import ModelError
from desa.models.network import Network
from desa.models.spectrum_check import FILE, SpectrumCheck, read_check, write_check
from desa.training.spectrum_check import KnownSpectra, cross_validated, fitted
from helpers.tiny import tiny_settings

PIXELS, HOTTEST = 120, 8000.0
SHIPPED = Path(desa.__file__).parent / "pretrained"


def stars(count: int, seed: int, *, strange: bool = False) -> KnownSpectra:
    """Two lines that tell the temperature and one that does not; strange ones have a line elsewhere."""
    rng = np.random.default_rng(seed)
    teff, other = rng.uniform(4500, 11000, count), rng.normal(0, 1, count)
    place = np.arange(PIXELS)

    def line(centre: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-(((place - centre) / 4) ** 2)))

    theta = 1e4 / teff - 1.5
    clean = np.outer(theta, line(20)) + np.outer(theta**2, line(60)) + np.outer(other, line(90))
    clean += 2 * line(105) * strange
    snr = rng.uniform(15, 150, count)
    noise = 2.0 / snr[:, None]
    pixels = (clean + noise * rng.standard_normal(clean.shape)).astype(np.float32)
    weights = np.broadcast_to(1 / (1 + noise**2), clean.shape).astype(np.float32).copy()
    bad = rng.random(clean.shape) < 0.02
    pixels[bad], weights[bad] = 0, 0
    return KnownSpectra(pixels, weights, teff, snr, np.arange(count))


@pytest.fixture(scope="module")
def check() -> SpectrumCheck:
    known = stars(600, 0)
    leftovers = np.sort(cross_validated(known, HOTTEST, 0).leftover[known.teff <= HOTTEST])
    return fitted(known, HOTTEST, leftovers=leftovers, facts={"data": "made up"})


def test_temperatures_of_stars_that_it_has_not_seen(check: SpectrumCheck) -> None:
    new = stars(300, 1)
    told = check.temperature(new.pixels, new.weights)
    assert np.median(np.abs(told - new.teff)) < 150
    assert np.mean(told[new.teff > 9000] > HOTTEST) > 0.98 and np.mean(told[new.teff < 7000] > HOTTEST) < 0.02


def test_other_kinds_leave_more_over_and_known_ones_rarely(check: SpectrumCheck) -> None:
    new, strange = stars(400, 2), stars(100, 3, strange=True)
    p_known, p_strange = (check.p_value(check.leftover(some.pixels, some.weights)) for some in (new, strange))
    assert np.mean(p_known < 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(p_strange < 0.01) > 0.95 and p_strange.min() >= check.least


def test_a_spectrum_without_good_pixels_gets_numbers(check: SpectrumCheck) -> None:
    empty = np.zeros((2, PIXELS), np.float32)
    assert np.isfinite(check.temperature(empty, empty)).all()
    assert np.isfinite(check.leftover(empty, empty)).all()


def test_there_and_back(check: SpectrumCheck, tmp_path: Path) -> None:
    write_check(tmp_path, check)
    again, new = read_check(tmp_path, PIXELS), stars(20, 4)
    assert again is not None and (again.hottest, again.threshold) == (HOTTEST, HOTTEST)
    for name in ("temperature", "leftover"):
        was, now = (getattr(one, name)(new.pixels, new.weights) for one in (check, again))
        np.testing.assert_array_equal(now, was)
    assert again.facts == {"data": "made up"}
    write_check(tmp_path, None)
    assert read_check(tmp_path, PIXELS) is None


def test_a_model_is_saved_with_its_check(check: SpectrumCheck, tmp_path: Path) -> None:
    model = Network(tiny_settings(), ("spectrum",))
    size = model.settings.preprocess_spectrum.pixels
    wide = replace(
        check, mean=np.zeros(size, np.float32), basis=np.zeros((len(check.basis), size), np.float32)
    )
    model.spectrum_check = wide
    model.save(tmp_path)
    assert Network.load(tmp_path).spectrum_check is not None
    write_check(tmp_path, check)
    with pytest.raises(ModelError, match="not with the model's pixels"):
        Network.load(tmp_path)


CHANGES = {
    "an array is missing": lambda a: a.pop("scale"),
    "fewer numbers": lambda a: a.update(coefficients=a["coefficients"][:-1]),
    "not a number": lambda a: a.update(mean=a["mean"] * np.nan),
    "no spread": lambda a: a.update(scale=a["scale"] * 0),
    "not ascending": lambda a: a.update(leftovers=a["leftovers"][::-1].copy()),
    "whole numbers": lambda a: a.update(basis=a["basis"].astype(np.int64)),
    "no components": lambda a: a.update(basis=a["basis"][:0]),
    "a vector as basis": lambda a: a.update(basis=a["basis"][0].copy()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_file_is_refused(change: str, check: SpectrumCheck, tmp_path: Path) -> None:
    write_check(tmp_path, check)
    path = tmp_path / FILE
    arrays, header = load_file(path), path.read_bytes()
    told = header[8 : 8 + int.from_bytes(header[:8], "little")]
    assert b"hottest" in told
    CHANGES[change](arrays)
    facts = '{"format": 1, "hottest": 8000.0, "threshold": 8000.0, "facts": {}}'
    save_file(arrays, path, metadata={"desa": facts})
    with pytest.raises(ModelError, match="damaged"):
        read_check(tmp_path, PIXELS)


@pytest.mark.parametrize("facts", [
    "", "{}", '{"format": 2, "hottest": 8000.0, "threshold": 8000.0, "facts": {}}',
    '{"format": 1, "hottest": -1.0, "threshold": 8000.0, "facts": {}}',
])  # fmt: skip
def test_strange_facts_are_refused(facts: str, check: SpectrumCheck, tmp_path: Path) -> None:
    write_check(tmp_path, check)
    save_file(load_file(tmp_path / FILE), tmp_path / FILE, metadata={"desa": facts})
    with pytest.raises(ModelError, match="damaged"):
        read_check(tmp_path, PIXELS)


@pytest.mark.parametrize("seed", range(20))
def test_changed_bytes_are_told_or_harmless(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray((SHIPPED / FILE).read_bytes())
    for place in rng.integers(0, 3000 if seed % 2 else len(content), 5):
        content[place] = int(rng.integers(256))
    (tmp_path / FILE).write_bytes(bytes(content[: len(content) if seed % 3 else len(content) // 2]))
    try:
        found = read_check(tmp_path, 2560)
    except ModelError as error:
        assert "damaged" in str(error) and "\n" not in str(error)
    else:
        assert found is not None and np.isfinite(found.temperature(found.mean[None], found.mean[None])).all()
