"""The published preprocessing against its reference numbers, and against plain NumPy and SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.signal import medfilt, savgol_filter

from desa.config import LightCurvePreprocessing, SpectrumPreprocessing, settings
from desa.errors import FileRefused
from desa.inference.model import Desa
from desa.preprocess.published import (
    PublishedLightCurve,
    PublishedSpectrum,
    count_rate_of,
    interpolate_gaps,
    median_of_three,
)
from desa.types import LightCurve


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, torch.Tensor]:
    return load_file(shared / "parity" / "preprocessing_io.safetensors")


@pytest.mark.real
def test_light_curve_equals_the_published_channels(reference: dict[str, torch.Tensor]) -> None:
    module = PublishedLightCurve(LightCurvePreprocessing(mode="published"))
    expected = reference["lc_channels"]
    channels, mask = module(reference["lc_flux"][None])
    assert mask.all() and channels.dtype == torch.float32
    error = (channels[0] - expected).abs().amax(1) / expected.abs().amax(1)
    assert error.max() < 1e-6
    single, _ = module(reference["lc_flux"].float()[None])
    relative = (single[0] - expected).norm(dim=1) / expected.norm(dim=1)
    assert relative[[0, 3]].max() < 1e-4 and relative[[1, 2]].max() < 1e-3


@pytest.mark.real
@pytest.mark.parametrize("log_start", [3.5682, 3.5682001])
def test_spectrum_equals_the_published_pixels(reference: dict[str, torch.Tensor], log_start: float) -> None:
    pixels, weights = PublishedSpectrum(SpectrumPreprocessing(mode="published"))(
        reference["sp_flux"][None],
        torch.ones(1, 3909),
        reference["sp_rv_km_s"] / 299792.458,
        torch.tensor([log_start], dtype=torch.float64),
    )
    assert (pixels[0, :3600] - reference["sp_pixels"]).abs().max() < 1e-5
    assert (weights[0, :3600] == 1).all() and not weights[0, 3600:].any() and not pixels[0, 3600:].any()


@pytest.mark.real
def test_a_file_gives_a_converted_model_the_published_pixels(
    reference: dict[str, torch.Tensor], shared: Path
) -> None:
    model, seen = Desa(settings("mini", preprocess_spectrum={"mode": "published"}), ["spectrum"]), []
    encoder = model.require("spectrum_encoder")
    encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    file = shared / "data" / "lamost" / "dr10_fits" / "spec-59523-EG003455N132216M01_sp02-035.fits.gz"
    model.embed(spectrum=file)
    assert float((seen[0][0, :3600] - reference["sp_pixels"]).abs().max()) < 1e-5


def plain_arm(flux: np.ndarray, wavelength: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
    inside = (wavelength >= low) & (wavelength <= high)
    x, y = wavelength[inside], flux[inside]
    grid = 10 ** (np.log10(low) + 1e-4 * np.arange(size))
    level = np.interp(grid, x, y)
    level[grid < x[0]] = y[0] + (grid[grid < x[0]] - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
    level[grid > x[-1]] = y[-1] + (grid[grid > x[-1]] - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    level = medfilt(level, 3)
    place = np.arange(size)
    ratio = level / np.polynomial.Polynomial.fit(place, level, 5)(place)
    scaled = (ratio - ratio.mean()) / ratio.std()
    scaled[np.abs(scaled) > 3] = 0
    return scaled


@pytest.mark.parametrize("size", [3909, 3751])
def test_spectra_equal_plain_numpy(size: int) -> None:
    rng = np.random.default_rng(size)
    flux = 100 + np.cumsum(rng.standard_normal((3, size)), axis=1) + rng.standard_normal((3, size))
    z = np.array([3e-5, -8e-5, 2e-4])
    start = torch.full((3,), 3.5682, dtype=torch.float64)
    module = PublishedSpectrum(SpectrumPreprocessing(mode="published"))
    pixels, _ = module(torch.tensor(flux), torch.ones(3, size), torch.tensor(z), start)
    for row in range(3):
        steps = float(np.float32(3.5682)) + 1e-4 * np.arange(size)
        wavelength = ((10**steps).astype(np.float32) * np.float32(1 + z[row])).astype(float)
        arms = [(3841.0, 5800.0, 1790), (5800.0, 8798.0, 1810)]
        expected = np.concatenate([plain_arm(flux[row], wavelength, *arm) for arm in arms])
        assert np.mean(np.abs(pixels[row, :3600].numpy() - expected) > 1e-4) < 1e-3


def test_light_curves_with_gaps_equal_plain_numpy() -> None:
    rng = np.random.default_rng(1)
    flux = 5e4 + np.cumsum(rng.standard_normal((10, 1001)), axis=1)
    flux[rng.random(flux.shape) < 0.3] = np.nan
    flux[0, :40] = np.nan
    flux[0, 900:] = np.nan
    channels, mask = PublishedLightCurve(LightCurvePreprocessing(mode="published"))(torch.tensor(flux))
    assert mask.all()
    place = np.arange(1001)
    for row in range(10):
        good = np.isfinite(flux[row])
        smooth = savgol_filter(np.interp(place, place[good], flux[row, good]), 13, 1, mode="mirror")
        centred = smooth - smooth.mean()
        acf = np.correlate(centred, centred, "full")[1000:] / (centred**2).sum()
        logs = np.log1p(np.abs(np.fft.rfft(smooth)))
        stretched = np.interp(np.linspace(0, len(logs) - 1, 1001), np.arange(len(logs)), logs)
        expected = np.stack([smooth, centred / smooth.std(), (acf - acf.mean()) / acf.std(), stretched])
        np.testing.assert_allclose(channels[row].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_row_without_samples_is_zero_and_masked() -> None:
    flux = torch.full((2, 50), torch.nan)
    flux[1] = 7.0
    channels, mask = PublishedLightCurve(LightCurvePreprocessing())(flux)
    assert not channels[0].any() and mask.any(1).tolist() == [False, True]
    assert torch.isfinite(channels).all() and (channels[1, 0] == 7).all() and not channels[1, 1:3].any()


def test_gaps_are_interpolated_over_any_length() -> None:
    values = torch.tensor([[torch.nan, 1.0, torch.nan, torch.nan, 4.0, torch.nan]], dtype=torch.float64)
    assert interpolate_gaps(values)[0].tolist() == [[1.0, 1.0, 2.0, 3.0, 4.0, 4.0]]


def test_median_of_three_counts_zeros_outside() -> None:
    values = torch.randn(5, 60, dtype=torch.float64)
    expected = np.stack([medfilt(row, 3) for row in values.numpy()])
    np.testing.assert_array_equal(median_of_three(values).numpy(), expected)


def test_relative_flux_becomes_counts() -> None:
    flux = 1 + 1e-3 * torch.randn(2, 200)
    level = torch.tensor([3e4, 5e5])
    module = PublishedLightCurve(LightCurvePreprocessing())
    torch.testing.assert_close(module(flux, level)[0], module(flux.double() * level[:, None])[0])


def light_curve(magnitude: float, **meta: float) -> LightCurve:
    flux = np.ones(10, dtype=np.float32)
    return LightCurve(flux=flux, flux_err=flux, magnitude=magnitude, star_id="KIC 1", meta=meta)


def test_count_rate_of() -> None:
    assert count_rate_of(light_curve(12.0, median_flux=4.2e4)) == 4.2e4
    assert count_rate_of(light_curve(12.0)) == pytest.approx(10 * count_rate_of(light_curve(14.5)))
    with pytest.raises(FileRefused, match="counts"):
        count_rate_of(light_curve(float("nan")))
