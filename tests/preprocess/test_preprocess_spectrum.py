"""Spectra: rest frame, variance, continuum, cosmic rays and weights, on made-up spectra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from desa.config import Settings, SpectrumPreprocessing, with_changes
from desa.errors import SettingsError
from desa.preprocess import build
from desa.preprocess.continuum import chebyshev, continuum, fit
from desa.preprocess.cosmic import REACH, cosmic_rays
from desa.preprocess.grids import arms, rest_wavelength
from desa.preprocess.lightcurve import LightCurvePreprocessor
from desa.preprocess.published import PublishedLightCurve, PublishedSpectrum
from desa.preprocess.spectrum import LIMIT, SURVEY_MEAN, SURVEY_SPREAD, SpectrumPreprocessor, resample

PIXELS = 3909
LOG_START = 3.5682
LIGHT_KM_S = 299792.458
QUICK = settings(max_examples=20, deadline=None)
WAVELENGTH = 10 ** (LOG_START + 1e-4 * np.arange(PIXELS))
H_ALPHA = 6564.61


def star(z: float = 0.0, lines: tuple[float, ...] = (H_ALPHA,), depth: float = 0.6) -> NDArray[np.float64]:
    """Observed flux of a red slope with lines as wide as the instrument's profile."""
    rest = WAVELENGTH / (1 + z)
    flux = 50 * (1 + 0.4 * (rest - 6000) / 3000 - 0.3 * ((rest - 6000) / 3000) ** 2)
    for line in lines:
        flux = flux * (1 - depth * np.exp(-0.5 * ((rest - line) / (line * 1.1e-4 * np.log(10))) ** 2))
    return flux


def run(
    flux: NDArray[np.float64], z: float = 0.0, ivar: NDArray[np.float64] | None = None, **changes: object
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels and weights of one spectrum."""
    ivar = np.full(len(flux), 1e4) if ivar is None else ivar
    module = SpectrumPreprocessor(SpectrumPreprocessing.model_validate(changes))
    pixels, weights = module(
        torch.tensor(flux, dtype=torch.float32)[None],
        torch.tensor(ivar, dtype=torch.float32)[None],
        torch.tensor([z]),
        torch.tensor([LOG_START], dtype=torch.float64),
    )
    return pixels[0].double().numpy(), weights[0].double().numpy()


def over_continuum(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sinh(pixels[:3600]) * SURVEY_SPREAD + SURVEY_MEAN


def line_velocity(pixels: NDArray[np.float64], line: float) -> float:
    """Centroid of a line in km/s from its rest wavelength."""
    wavelength = rest_wavelength(SpectrumPreprocessing())
    near = np.abs(np.log(wavelength / line)) < 6e-4 * np.log(10)
    depth = np.clip(1 - over_continuum(pixels)[near], 0.02, None) - 0.02
    return float((depth * np.log(wavelength[near] / line)).sum() / depth.sum() * LIGHT_KM_S)


def test_the_two_arms() -> None:
    blue, red = arms(SpectrumPreprocessing())
    assert (blue.pixels, red.pixels) == (1790, 1810)
    wavelength = rest_wavelength(SpectrumPreprocessing())
    assert wavelength[0] == pytest.approx(3841) and wavelength[1790] == pytest.approx(5800)
    assert wavelength[1789] < 5800 and wavelength[-1] < 8798
    np.testing.assert_allclose(np.diff(np.log10(wavelength[:1790])), 1e-4, rtol=1e-6)


def test_arms_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingsError, match="3600"):
        SpectrumPreprocessor(SpectrumPreprocessing(pixels=3599))
    with pytest.raises(SettingsError, match="blue"):
        SpectrumPreprocessor(SpectrumPreprocessing(blue=(5800.0, 3841.0)))


def test_shapes_padding_and_type() -> None:
    pixels, weights = run(star())
    assert pixels.shape == weights.shape == (4096,)
    assert (pixels[3600:] == 0).all() and (weights[3600:] == 0).all()
    assert (weights[:3600] > 0).all() and (weights <= 1).all()
    with pytest.raises(ValueError, match="must be"):
        SpectrumPreprocessor(SpectrumPreprocessing())(*[torch.ones(2, 9)] * 3, torch.ones(2))


@pytest.mark.parametrize("velocity", [-420.0, -33.0, 0.0, 17.0, 290.0])
def test_a_moving_star_comes_to_rest(velocity: float) -> None:
    z = velocity / LIGHT_KM_S
    pixels, _ = run(star(z), z)
    assert line_velocity(pixels, H_ALPHA) == pytest.approx(0, abs=1.0)
    wrong, _ = run(star(z), -z)
    if velocity in (-33.0, 17.0):
        assert line_velocity(wrong, H_ALPHA) == pytest.approx(2 * velocity, abs=0.1 * abs(velocity))


def test_an_unknown_velocity_counts_as_zero() -> None:
    for one, other in zip(run(star(), float("nan")), run(star(), 0.0), strict=True):
        np.testing.assert_array_equal(one, other)


@QUICK
@given(seed=st.integers(0, 10**6), shift=st.floats(-30, 30))
def test_resampling_equals_numpy_without_bad_pixels(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    flux, variance = rng.normal(1, 0.3, 200), rng.uniform(0.5, 2, 200)
    planes = torch.zeros(3, 1, 200 + 2 * REACH)
    planes[:, 0, REACH:-REACH] = torch.tensor(np.stack([flux, variance, np.ones(200)]))
    position = torch.tensor([[40 + shift]], dtype=torch.float64)
    new, noise, good = (x[0].numpy() for x in resample(planes, position, 100))
    place = 40 + shift + np.arange(100)
    np.testing.assert_allclose(new, np.interp(place, np.arange(200), flux), atol=2e-5)
    left, right = np.floor(place).astype(int), np.floor(place).astype(int) + 1
    share = place - left
    np.testing.assert_allclose(
        noise, (1 - share) ** 2 * variance[left] + share**2 * variance[right], rtol=1e-4
    )
    assert (good == 1).all()


def test_resampling_leaves_bad_pixels_and_the_outside_out() -> None:
    planes = torch.zeros(3, 1, 10 + 2 * REACH)
    planes[:, 0, REACH:-REACH] = 1.0
    planes[0, 0, REACH:-REACH] = torch.arange(10.0)
    planes[:, 0, REACH + 4] = 0.0
    flux, variance, good = resample(planes, torch.tensor([[-1.7, 0.3]], dtype=torch.float64), 10)
    # New pixels at -1.7, -0.7, 0.3, ..: the second has a share of 0.3 of a good pixel only.
    assert good[0].tolist() == [0, 0, 1, 1, 1, 1, 0, 1, 1, 1]
    assert good[1].tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    assert flux[1, 3].item() == pytest.approx(3.0) and variance[1, 3].item() == pytest.approx(1.0)
    assert flux[1, 0].item() == pytest.approx(0.3) and variance[1, 0].item() == pytest.approx(0.7**2 + 0.3**2)


@pytest.mark.parametrize("degree", [0, 1, 5, 12])
def test_fit_equals_numpy(degree: int) -> None:
    rng = np.random.default_rng(degree)
    place = np.linspace(-1, 1, 400)
    values = 3 + place + 0.3 * rng.standard_normal((3, 400))
    weights = (rng.random((3, 400)) < 0.7).astype(float)
    weights[1, 150:] = 0
    weights[2] = 0
    found = fit(torch.tensor(values), torch.tensor(weights), chebyshev(400, degree, torch.empty(0)))
    for row in range(2):
        good = weights[row] > 0
        expected = np.polynomial.Chebyshev.fit(place[good], values[row, good], degree)
        residual, least = (
            np.sqrt(np.mean((values[row, good] - fitted[good]) ** 2))
            for fitted in (found[row].numpy(), expected(place))
        )
        # Over a third of the range high degrees are hardly defined: as good a fit, not the same one.
        assert residual < 1.05 * least
        if row == 0 or degree <= 5:
            np.testing.assert_allclose(found[row].numpy()[good], expected(place[good]), atol=1e-4)
    assert (found[2] == 0).all()


def test_continuum_is_not_pulled_down_by_lines() -> None:
    place = np.linspace(-1, 1, 1800)
    truth = 1 + 0.3 * place - 0.2 * place**3
    flux = np.tile(truth, (2, 1))
    for centre in (200, 480, 500, 900, 1400):
        flux *= 1 - 0.5 * np.exp(-0.5 * ((np.arange(1800) - centre) / 12) ** 2)
    flux += 0.01 * np.random.default_rng(0).standard_normal(flux.shape)
    good = np.ones_like(flux)
    good[1, 600:800] = 0
    flux[1, 600:800] = 1e4
    level = continuum(torch.tensor(flux * good), torch.tensor(good), 5, 4).numpy()
    plain = continuum(torch.tensor(flux * good), torch.tensor(good), 5, 1).numpy()
    for row in range(2):
        kept = good[row] > 0
        assert np.abs(level[row] / truth - 1)[kept].mean() < 0.01
        assert np.abs(level[row] / truth - 1)[kept].mean() < 0.3 * np.abs(plain[row] / truth - 1)[kept].mean()


def test_a_featureless_spectrum_is_flat() -> None:
    pixels, _ = run(star(lines=()), ivar=np.full(PIXELS, 1e8))
    np.testing.assert_allclose(over_continuum(pixels), 1, atol=1e-3)


@pytest.mark.parametrize("kind", ["spectrum", "arm"])
def test_own_standardisation(kind: str) -> None:
    flux = star(lines=(H_ALPHA, 4862.7, 5173.0)) + np.random.default_rng(0).standard_normal(PIXELS)
    pixels, weights = run(flux, ivar=np.ones(PIXELS), standardise=kind)
    for part in [slice(0, 3600)] if kind == "spectrum" else [slice(0, 1790), slice(1790, 3600)]:
        good = pixels[part][weights[part] > 0]
        assert abs(good.mean()) < 1e-4 and good.std() == pytest.approx(1, abs=0.02)


def test_default_scale_keeps_the_depth_of_lines() -> None:
    deep, shallow = (over_continuum(run(star(depth=depth))[0]) for depth in (0.8, 0.2))
    assert deep.min() == pytest.approx(0.2, abs=0.1) and shallow.min() == pytest.approx(0.8, abs=0.03)


def test_weights_tell_the_noise() -> None:
    noise = 2.0
    weights = run(star(lines=()), ivar=np.full(PIXELS, noise**-2))[1]
    on_grid = weights[:3600]
    wavelength = rest_wavelength(SpectrumPreprocessing())
    relative = noise / np.interp(wavelength, WAVELENGTH, star(lines=()))
    variance = (relative / SURVEY_SPREAD) ** 2
    # Interpolation between two pixels halves the variance at most.
    assert (on_grid > 0.98 / (1 + variance)).all() and (on_grid < 1.02 / (1 + 0.49 * variance)).all()


@QUICK
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-17, 1e-3, 7.0, 1e8]))
def test_the_scale_of_the_flux_changes_nothing(seed: int, scale: float) -> None:
    flux = star() + np.random.default_rng(seed).standard_normal(PIXELS)
    before, weights = run(flux, ivar=np.ones(PIXELS))
    after, other = run(flux * scale, ivar=np.full(PIXELS, scale**-2.0))
    np.testing.assert_allclose(after, before, atol=2e-4)
    np.testing.assert_allclose(other, weights, atol=1e-4)


@QUICK
@given(seed=st.integers(0, 10**6), hidden=st.sampled_from([np.nan, np.inf, -1e30, 0.0, 1e9]))
def test_what_a_bad_pixel_holds_has_no_influence(seed: int, hidden: float) -> None:
    rng = np.random.default_rng(seed)
    flux, ivar = star() + rng.standard_normal(PIXELS), np.ones(PIXELS)
    bad = rng.random(PIXELS) < 0.1
    bad[1000:1200] = True
    ivar[bad] = rng.choice([0.0, -1.0, np.nan])
    spoiled = np.where(bad, hidden, flux)
    for one, other in zip(run(flux, 1e-4, ivar), run(spoiled, 1e-4, ivar), strict=True):
        np.testing.assert_array_equal(one, other)
    pixels, weights = run(flux, 1e-4, ivar)
    assert np.isfinite(pixels).all() and (pixels[weights == 0] == 0).all()
    assert (weights[:3600] == 0).mean() > 0.1


def test_a_missing_arm_or_everything_missing() -> None:
    ivar = np.ones(PIXELS)
    ivar[WAVELENGTH > 5700] = 0
    pixels, weights = run(star(), 0.0, ivar)
    assert (weights[1790:] == 0).all() and (pixels[1790:] == 0).all() and (weights[:1700] > 0).all()
    pixels, weights = run(star(), 0.0, 0 * ivar)
    assert not pixels.any() and not weights.any()
    weights = run(star()[:3751])[1]
    assert (weights[:3500] > 0).all() and (weights[3590:] == 0).all()


def test_a_continuum_near_zero_is_bad_not_huge() -> None:
    flux = star(lines=())
    flux = flux * np.clip((WAVELENGTH - 4200) / 1500, 0, 1)
    pixels, weights = run(flux + 0.01 * np.random.default_rng(0).standard_normal(PIXELS))
    assert (weights[:300] == 0).mean() > 0.7 and np.isfinite(pixels).all() and np.abs(pixels).max() <= LIMIT


def rays(flux: NDArray[np.float64], variance: float, bad: tuple[int, ...] = ()) -> list[int]:
    planes = torch.zeros(3, 1, len(flux) + 2 * REACH)
    planes[0, 0, REACH:-REACH] = torch.tensor(flux)
    planes[1, 0, REACH:-REACH] = variance
    planes[2, 0, REACH:-REACH] = 1.0
    for place in bad:
        planes[:, 0, REACH + place] = 0.0
    return [int(i) for i in cosmic_rays(planes)[0].nonzero()[:, 0]]


def test_cosmic_rays() -> None:
    rng = np.random.default_rng(0)
    flat = 1 + 0.02 * rng.standard_normal(20000)
    assert rays(flat, 0.02**2) == []
    hit = flat.copy()
    hit[[50, 400]] += 0.5
    hit[600] -= 0.5
    assert rays(hit, 0.02**2) == [50, 400]
    assert rays(hit, 0.5**2) == []
    assert rays(hit, 0.02**2, bad=(49,)) == [50, 400]
    assert rays(hit, 0.02**2, bad=(49, 51, 400)) == []


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.5])
def test_emission_lines_are_no_cosmic_rays(offset: float) -> None:
    place = np.arange(200) - 100 - offset
    for width in (2.4, 4.0, 10.0):
        line = 1 + 30 * np.exp(-0.5 * (place / (width / 2.3548)) ** 2)
        assert rays(line, 1e-6) == []


def test_a_cosmic_ray_is_removed_unless_switched_off() -> None:
    flux = star()
    at = int(np.argmin(np.abs(WAVELENGTH - 5000)))
    flux[at] *= 3
    pixels, weights = run(flux)
    clean, _ = run(star())
    assert (weights[:3600] == 0).sum() in (1, 2)
    np.testing.assert_allclose(pixels[weights > 0], clean[weights > 0], atol=0.02)
    kept, weights = run(flux, remove_cosmic_rays=False)
    assert (weights[:3600] > 0).all() and kept.max() > 2


def test_the_mode_chooses_the_modules() -> None:
    ours = build(Settings())
    assert isinstance(ours[0], LightCurvePreprocessor) and isinstance(ours[1], SpectrumPreprocessor)
    published = with_changes(
        Settings(),
        {"preprocess_lightcurve": {"mode": "published"}, "preprocess_spectrum": {"mode": "published"}},
    )
    theirs = build(published)
    assert isinstance(theirs[0], PublishedLightCurve) and isinstance(theirs[1], PublishedSpectrum)
    assert not any(module.state_dict() for module in (*ours, *theirs))


def test_no_low_precision_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, _ = run(star())
    np.testing.assert_array_equal(inside, run(star())[0])


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_fit_does_not_depend_on_the_matmul_precision(precision: str) -> None:
    draws = torch.Generator().manual_seed(0)
    values = 1.0 + 0.1 * torch.randn(8, 1807, generator=draws)
    weights = (torch.rand(8, 1807, generator=draws) > 0.3).float()
    exact = fit(values.double(), weights.double(), chebyshev(1807, 5, values))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        level = fit(values, weights, chebyshev(1807, 5, values))
    finally:
        torch.set_float32_matmul_precision(before)
    assert float((level - exact).abs().max()) < 1e-6
