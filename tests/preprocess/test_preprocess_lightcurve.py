"""Light-curve channels against statsmodels, scipy and loops; what gaps and scale may change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter
from statsmodels.tsa.stattools import acf

from desa.config import LightCurvePreprocessing
from desa.errors import SettingsError
from desa.preprocess.lightcurve import LEAST_PAIRS, LightCurvePreprocessor, masked_moving_average
from desa.preprocess.numeric import asinh, fast_length, masked_median, safe_ratio

QUICK = settings(max_examples=25, deadline=None)


def curve(seed: int, length: int, gaps: float = 0.2, noise: float = 1e-3) -> torch.Tensor:
    """(length,) spotted star near 1 with NaN gaps, some of them long."""
    rng = np.random.default_rng(seed)
    time = np.arange(length)
    flux = 1 + 5e-3 * np.sin(2 * np.pi * time / rng.uniform(10, 60)) + noise * rng.standard_normal(length)
    flux[rng.random(length) < gaps] = np.nan
    if gaps > 0:
        start = rng.integers(0, length // 2)
        flux[start : start + length // 10] = np.nan
    return torch.tensor(flux, dtype=torch.float32)


def preprocess(flux: torch.Tensor, **changes: float) -> tuple[torch.Tensor, torch.Tensor]:
    return LightCurvePreprocessor(LightCurvePreprocessing(**changes))(torch.atleast_2d(flux))


@pytest.mark.parametrize("length", [2, 65, 997, 4320])
def test_shapes_and_mask_at_any_length(length: int) -> None:
    flux = torch.stack([curve(seed, length) for seed in range(3)])
    flux[:, 0], flux[:, -1] = 1.0, 1.01
    channels, mask = preprocess(flux)
    assert channels.shape == (3, 4, length) and channels.dtype == torch.float32
    assert torch.equal(mask, torch.isfinite(flux))
    assert torch.isfinite(channels).all()
    assert (channels[:, :2][~mask.unsqueeze(1).expand(-1, 2, -1)] == 0).all()


def test_flux_channel_is_parts_per_thousand_about_the_median() -> None:
    flux = curve(1, 3001)
    channels, mask = preprocess(flux)
    good = flux[mask[0]].double().numpy()
    median = np.sort(good)[(len(good) - 1) // 2]
    expected = 1000 * (good / median - 1)
    np.testing.assert_allclose(channels[0, 0, mask[0]].numpy(), expected, atol=2e-4)


def test_flux_channel_is_clipped_at_robust_sigma_and_keeps_its_amplitude() -> None:
    flux = curve(2, 3000)
    spoiled = flux.clone()
    at = torch.isfinite(flux).nonzero()[100, 0]
    spoiled[at] = 1.9
    channels, mask = preprocess(spoiled, clip=4.0)
    ppt = 1000 * (flux[mask[0]].double() - 1)
    sigma = 1.4826 * (ppt - ppt.median()).abs().median()
    assert channels[0, 0, at].item() == pytest.approx(4 * sigma.item(), rel=0.01)
    twice = 1 + 2 * (flux - 1)
    ratio = preprocess(twice)[0][0, 0].std() / preprocess(flux)[0][0, 0].std()
    assert ratio.item() == pytest.approx(2, rel=1e-3)


def test_deep_eclipses_on_a_flat_star_survive_a_zero_mad() -> None:
    flux = torch.ones(1000)
    flux[::100] = 0.9
    channels, _ = preprocess(flux)
    spread = 1000 * (flux.double().std(unbiased=False)).item()
    assert channels[0, 0].min().item() == pytest.approx(-min(100, 6 * spread), rel=1e-3)
    assert channels[0, 1].min() < -5


def test_standardised_channel() -> None:
    flux = curve(3, 2000)
    channels, mask = preprocess(flux)
    good = channels[0, 1, mask[0]].double()
    assert good.mean().abs() < 1e-5
    assert good.std(unbiased=False).item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("length", "gaps"), [(200, 0.0), (997, 0.2), (3000, 0.4)])
def test_acf_equals_statsmodels_with_missing_data(length: int, gaps: float) -> None:
    flux = curve(4, length, gaps)
    channels, mask = preprocess(flux, clip=1e6)
    expected = acf(flux.double().numpy(), nlags=length - 1, missing="conservative", adjusted=True, fft=False)
    good = mask[0].numpy().astype(float)
    pairs = np.array([good[lag:] @ good[: length - lag] for lag in range(length)])
    enough = pairs >= LEAST_PAIRS * good.sum()
    assert channels[0, 2, 0].item() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(channels[0, 2].numpy()[enough], expected[enough], atol=2e-5)
    assert (channels[0, 2].numpy()[~enough] == 0).all() and (~enough).any()


@pytest.mark.parametrize("length", [64, 337, 1000])
def test_acf_and_spectrum_equal_loops(length: int) -> None:
    flux = curve(5, length)
    channels, mask = preprocess(flux)
    good = mask[0].numpy()
    values = np.where(good, channels[0, 0].double().numpy(), 0.0)
    values = np.where(good, values - values[good].mean(), 0.0)

    variance = (values**2).sum() / good.sum()
    for lag in (1, 7, length // 3):
        both = good[lag:] & good[:-lag]
        product = (values[lag:] * values[:-lag])[both].mean() / variance
        assert channels[0, 2, lag].item() == pytest.approx(product, abs=1e-5)

    padded = fast_length(2 * length)
    time = np.arange(length)
    fourier = np.exp(-2j * np.pi * np.outer(np.arange(padded // 2 + 1) / padded, time)) @ values
    power = np.interp(
        np.arange(length) / (2 * length), np.arange(padded // 2 + 1) / padded, np.abs(fourier) ** 2
    )
    expected = np.log10(1 + 1000 * np.sqrt(power / good.sum()))
    np.testing.assert_allclose(channels[0, 3].numpy()[1:], expected[1:], atol=2e-3)


def test_white_noise_has_its_own_level_in_the_spectrum_at_any_length_and_duty_cycle() -> None:
    rng = np.random.default_rng(0)
    for length, gaps in ((1000, 0.0), (8000, 0.0), (8000, 0.6)):
        flux = 1 + 300e-6 * rng.standard_normal(length)
        flux[rng.random(length) < gaps] = np.nan
        channels, _ = preprocess(torch.tensor(flux))
        amplitude = 10 ** channels[0, 3].double() - 1
        assert amplitude.square().mean().sqrt().item() == pytest.approx(300, rel=0.1)


def test_spectrum_peaks_at_the_frequency_of_a_sine() -> None:
    length, period = 4320, 37.0
    flux = 1 + 1e-2 * torch.sin(2 * torch.pi * torch.arange(length) / period)
    channels, _ = preprocess(flux)
    assert channels[0, 3].argmax().item() / (2 * length) == pytest.approx(1 / period, abs=1 / length)


@pytest.mark.parametrize("width", [3, 13])
def test_smoothing_without_gaps_is_savitzky_golay(width: int) -> None:
    flux = curve(6, 500, gaps=0.0)
    smooth = masked_moving_average(flux[None], torch.ones(1, 500), width)[0]
    np.testing.assert_allclose(smooth, savgol_filter(flux.numpy(), width, 1, mode="mirror"), rtol=1e-6)
    channels, _ = preprocess(flux, smooth=width)
    expected = 1000 * (smooth.double() / smooth.double().median() - 1)
    np.testing.assert_allclose(channels[0, 0], expected - expected.median(), atol=5e-3)


def test_smoothing_across_gaps_equals_a_loop() -> None:
    flux = curve(7, 300, gaps=0.4)
    good = torch.isfinite(flux)
    smooth = masked_moving_average(torch.nan_to_num(flux)[None], good[None].float(), 7)[0]
    for i in range(3, 297):
        window = flux[i - 3 : i + 4]
        expected = window[torch.isfinite(window)].mean() if good[i] else torch.tensor(0.0)
        assert smooth[i].item() == pytest.approx(expected.item(), rel=1e-5)


@QUICK
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e6), length=st.integers(20, 700))
def test_scaling_the_flux_changes_nothing(seed: int, scale: float, length: int) -> None:
    flux = curve(seed, length)
    flux[0] = 1.0
    before, _ = preprocess(flux)
    after, _ = preprocess(flux * scale)
    # Channel 0 is clipped at a robust sigma, so float32 rounding (0.0001 ppt) is all that is left.
    assert (before[0, 0] - after[0, 0]).abs().max() < 1e-3
    assert (before[0, 1:3] - after[0, 1:3]).abs().max() < 1e-3
    assert (before[0, 3] - after[0, 3]).abs().max() < 0.05


@QUICK
@given(seed=st.integers(0, 10**6), hidden=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_a_gap_hides_has_no_influence(seed: int, hidden: float) -> None:
    flux = curve(seed, 400)
    flux[0] = 1.0
    filled = torch.where(torch.isfinite(flux), flux, torch.tensor(hidden))
    for one, other in zip(preprocess(flux), preprocess(filled), strict=True):
        assert torch.equal(one, other)


@QUICK
@given(seed=st.integers(0, 10**6), start=st.integers(0, 900), size=st.integers(1, 60))
def test_a_gap_changes_nothing_but_itself(seed: int, start: int, size: int) -> None:
    """Elsewhere channels 0 and 1 change by one shift and one scale only: those of the statistics."""
    flux = curve(seed, 1000, gaps=0.0)
    cut = flux.clone()
    cut[start : start + size] = np.nan
    before, _ = preprocess(flux, clip=1e6)
    after, mask = preprocess(cut, clip=1e6)
    left = mask[0]
    assert (after[0, :2, ~left] == 0).all()
    for channel, tolerance in ((0, 1e-3), (1, 1e-3)):
        x, y = before[0, channel, left].double(), after[0, channel, left].double()
        slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
        assert slope.item() == pytest.approx(1, abs=0.1)
        assert (y - y.mean() - slope * (x - x.mean())).abs().max() < tolerance


def test_rows_do_not_touch_each_other() -> None:
    flux = torch.stack([curve(seed, 1234) for seed in range(4)])
    together, _ = preprocess(flux)
    alone = torch.cat([preprocess(row)[0] for row in flux])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_rows_without_information_are_zero() -> None:
    flux = torch.stack(
        [torch.full((100,), torch.nan), torch.full((100,), -1.0), torch.zeros(100), torch.ones(100)]
    )
    channels, mask = preprocess(flux)
    assert (channels == 0).all()
    assert mask.any(dim=1).tolist() == [False, False, False, True]


def test_bad_settings_and_shapes_are_refused() -> None:
    with pytest.raises(SettingsError, match="odd"):
        LightCurvePreprocessor(LightCurvePreprocessing(smooth=4))
    with pytest.raises(ValueError, match="must be"):
        LightCurvePreprocessor(LightCurvePreprocessing())(torch.ones(5))
    with pytest.raises(ValueError, match="window"):
        preprocess(torch.ones(4), smooth=13)


def test_no_low_precision_under_autocast_and_no_state() -> None:
    module = LightCurvePreprocessor(LightCurvePreprocessing())
    flux = curve(8, 500)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, _ = module(flux)
    assert torch.equal(inside, module(flux)[0])
    assert not module.state_dict()


@pytest.mark.parametrize("least", [1, 2, 17, 1999, 2 * 34560, 69121])
def test_fast_length(least: int) -> None:
    length = fast_length(least)
    assert length >= least and length % 2 == 0 and length < 2 * least + 2
    for factor in (2, 3, 5):
        while length % factor == 0:
            length //= factor
    assert length == 1


def test_masked_median_on_the_path_of_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    values, good = torch.randn(5, 40), (torch.rand(5, 40) < 0.7).float()
    good[4] = 0
    expected = [row[mask > 0].median() if mask.any() else 0.0 for row, mask in zip(values, good, strict=True)]
    assert masked_median(values, good)[:, 0].tolist() == [float(x) for x in expected]
    monkeypatch.setattr("desa.preprocess.numeric.on_cpu", lambda _: False)
    assert masked_median(values, good)[:, 0].tolist() == [float(x) for x in expected]


def test_small_helpers() -> None:
    values = torch.tensor([-50.0, -1e-3, 0.0, 0.7, 1e4])
    torch.testing.assert_close(asinh(values), torch.asinh(values), rtol=1e-6, atol=3e-7)
    assert safe_ratio(torch.ones(3), torch.tensor([2.0, 0.0, -1.0])).tolist() == [0.5, 0.0, 0.0]
