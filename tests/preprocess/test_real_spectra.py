"""On real LAMOST spectra: lines land on their rest wavelengths; with the wrong sign they don't."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from desa.config import SpectrumPreprocessing
from desa.io.registry import read_spectrum
from desa.preprocess.grids import rest_wavelength
from desa.preprocess.spectrum import SpectrumPreprocessor

pytestmark = pytest.mark.real

LIGHT_KM_S = 299792.458
H_ALPHA = 6564.61
CALCIUM = (8500.36, 8544.44, 8664.52)


class Sample(NamedTuple):
    flux: torch.Tensor
    ivar: torch.Tensor
    z: torch.Tensor
    start: torch.Tensor
    snr: NDArray[np.float64]
    teff: NDArray[np.float64]


@pytest.fixture(scope="module")
def sample(shared: Path) -> Sample:
    """Every labelled spectrum with S/N_g > 20; their ivar from good pixels and S/N."""
    folder = shared / "data" / "lamost"
    labels = pd.read_csv(folder / "dr10_labels.csv")
    packed = np.load(folder / "dr10_compact.npz")
    assert (packed["obsid"].astype(str) == labels["obsid"].astype(str)).all()
    snr = labels["snrg"].to_numpy(dtype=float)
    rows = np.flatnonzero(snr > 20)
    good = np.unpackbits(packed["good_packed"][rows], axis=1)[:, :3909]
    return Sample(
        torch.tensor(packed["flux_over_median_f16"][rows].astype(np.float32)),
        torch.tensor(good * np.float32(snr[rows, None]) ** 2),
        torch.tensor(labels["z"].to_numpy(dtype=float)[rows]),
        torch.full((len(rows),), 3.5682, dtype=torch.float64),
        snr[rows],
        labels["teff"].to_numpy(dtype=float)[rows],
    )


def line_velocities(sample: Sample, line: float, sign: float = 1.0) -> NDArray[np.float64]:
    """Centroid of a line in km/s from rest for every spectrum; NaN where pixels of it are bad."""
    settings = SpectrumPreprocessing()
    pixels, weights = SpectrumPreprocessor(settings)(sample.flux, sample.ivar, sign * sample.z, sample.start)
    wavelength = rest_wavelength(settings)
    middle = int(np.argmin(np.abs(wavelength - line)))
    near = slice(middle - 6, middle + 7)
    values = torch.sinh(pixels[:, near]).double().numpy()
    depth = np.clip(np.quantile(values, 0.8, axis=1, keepdims=True) - values, 0, None)
    velocity = LIGHT_KM_S * np.log(wavelength[near] / line)
    found = (depth * velocity).sum(1) / np.maximum(depth.sum(1), 1e-9)
    return np.where((weights[:, near] > 0).all(1).numpy(), found, np.nan)


def test_h_alpha_lands_within_15_km_s_of_rest(sample: Sample) -> None:
    right = line_velocities(sample, H_ALPHA)
    assert np.isfinite(right).sum() > 1000
    assert abs(np.nanmedian(right)) < 15
    assert np.nanmedian(np.abs(right)) < 15


def test_the_wrong_sign_fails(sample: Sample) -> None:
    wrong = line_velocities(sample, H_ALPHA, sign=-1)
    assert np.nanmedian(np.abs(wrong)) > 40
    known = np.isfinite(wrong)
    velocity = LIGHT_KM_S * sample.z.numpy()
    slope = np.polyfit(velocity[known], wrong[known], 1)[0]
    assert slope == pytest.approx(2, abs=0.5)
    right = line_velocities(sample, H_ALPHA)
    known = np.isfinite(right)
    assert abs(np.polyfit(velocity[known], right[known], 1)[0]) < 0.1


@pytest.mark.parametrize("line", CALCIUM)
def test_calcium_triplet_lands_on_rest(sample: Sample, line: float) -> None:
    cool = sample.teff < 6500
    part = Sample(*(x[cool] for x in sample))
    right, wrong = line_velocities(part, line), line_velocities(part, line, sign=-1)
    assert abs(np.nanmedian(right)) < 20
    assert np.nanmedian(np.abs(right)) < 25 < 40 < np.nanmedian(np.abs(wrong))


def test_files_give_usable_pixels(shared: Path) -> None:
    files = sorted((shared / "data" / "lamost" / "dr10_fits").glob("*.gz"))[::5]
    module = SpectrumPreprocessor(SpectrumPreprocessing())
    for path in files:
        spectrum = read_spectrum(path)
        pixels, weights = module(
            torch.from_numpy(spectrum.flux)[None],
            torch.from_numpy(spectrum.ivar)[None],
            torch.tensor([spectrum.z]),
            torch.tensor([spectrum.log_wavelength_start], dtype=torch.float64),
        )
        good = weights[0, :3600] > 0
        assert good.float().mean() > 0.7 and torch.isfinite(pixels).all()
        assert 0.1 < pixels[0, :3600][good].std() < 2
