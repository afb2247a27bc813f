from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from desa.simulate import lamost_effects as effects
from desa.simulate.broadening import (
    PADDED,
    PIXEL_VELOCITY,
    broaden,
    cropped,
    degrade,
    displaced,
    extend,
    gaussian_transfer,
    rotation_transfer,
    sigma_pixels,
)
from desa.simulate.chromosphere import LINES, STEFAN_BOLTZMANN, chromospheric_flux
from desa.simulate.emulator import load_emulator
from desa.simulate.extinction import extinction_curve, redden
from desa.simulate.instrument import WAVE, load_instrument
from desa.simulate.residuals import SpectralResiduals, load_residuals
from desa.simulate.spectra import Component, component_flux, composite_flux, simulate_spectrum, subclass_of
from desa.types import SPEED_OF_LIGHT

SUN = {"teff": 5777.0, "log_g": 4.44, "fe_h": 0.0}


def line(centre: float = 6000.0, sigma_km_s: float = 120.0) -> np.ndarray:
    return 1.0 - 0.6 * np.exp(-0.5 * ((WAVE / centre - 1) * SPEED_OF_LIGHT / sigma_km_s) ** 2)


def width_km_s(flux: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of a line's velocity about 6000 A."""
    v = (WAVE / 6000.0 - 1) * SPEED_OF_LIGHT
    depth = np.where(np.abs(v) < 3000, 1 - flux, 0)
    mean = (v * depth).sum() / depth.sum()
    return float(mean), float(np.sqrt(((v - mean) ** 2 * depth).sum() / depth.sum()))


def test_extension_is_smooth_and_undone() -> None:
    flux = load_emulator().flux([[5000, 4.5, 0, 0]])[0].astype(float)
    long = extend(flux)
    assert len(long) == PADDED
    np.testing.assert_array_equal(cropped(long, 3909), flux)
    steps = np.abs(np.diff(np.append(long, long[0])))
    outside = np.concatenate([steps[:90], steps[-90:]])
    assert outside.max() < 2 * np.abs(np.diff(flux)).max()


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 400), st.floats(-500, 500))
def test_broadening_keeps_the_energy(vsini: float, velocity: float) -> None:
    # Absorbed energy of a line: neither rotation nor velocity changes it, in units of log wavelength.
    flux = broaden(line(), vsini=vsini, velocity=velocity)
    assert (1 - flux).sum() == pytest.approx((1 - line()).sum(), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.floats(600, 2400), st.floats(600, 2400))
def test_degrading_keeps_the_energy(blue: float, red: float) -> None:
    flux = degrade(line(), np.linspace(blue, red, 3909))
    assert (1 - flux).sum() == pytest.approx((1 - line()).sum(), rel=2e-3)


def test_degraded_line_has_the_wanted_resolution() -> None:
    sigma = SPEED_OF_LIGHT / 2500 / 2.35482
    for resolution in (700, 1200, 1800):
        _, got = width_km_s(degrade(line(sigma_km_s=sigma), np.full(3909, float(resolution))))
        assert got == pytest.approx(SPEED_OF_LIGHT / resolution / 2.35482, rel=0.01)
    ramp = np.linspace(900, 2400, 3909)
    _, got = width_km_s(degrade(line(sigma_km_s=sigma), ramp))
    assert got == pytest.approx(SPEED_OF_LIGHT / np.interp(6000, WAVE, ramp) / 2.35482, rel=0.02)
    sharp = degrade(line(sigma_km_s=sigma), np.full(3909, 5000.0))
    np.testing.assert_allclose(sharp, line(sigma_km_s=sigma), atol=1e-9)


def test_rotation_profile_against_gray() -> None:
    # Slow reference: Fourier integral of Gray's profile G(v) itself.
    vsini, u = 150.0, 0.6
    frequencies = np.fft.rfftfreq(PADDED)

    def profile(x: float) -> float:
        y = 1 - x * x
        return (2 * (1 - u) * np.sqrt(y) + 0.5 * np.pi * u * y) / (np.pi * (1 - u / 3))

    transfer = rotation_transfer(vsini, u)
    for k in (0, 100, 400, 900, 2000):
        omega = 2 * np.pi * frequencies[k] * vsini / PIXEL_VELOCITY
        want = quad(lambda x, w=omega: profile(x) * np.cos(w * x), -1, 1)[0]
        assert transfer[k] == pytest.approx(want, abs=1e-6)


def test_shift_and_displacement() -> None:
    for velocity in (-300.0, -20.0, 5.0, 450.0):
        assert width_km_s(broaden(line(), velocity=velocity))[0] == pytest.approx(velocity, abs=1.0)
    for velocity in (-60.0, 8.0, 69.03):
        moved = displaced(line(), np.full(3909, velocity))
        assert width_km_s(moved)[0] == pytest.approx(velocity, abs=0.3)
    assert sigma_pixels(1800) == pytest.approx(1.0246, abs=1e-3)
    assert gaussian_transfer(2.0)[0] == 1


def test_extinction_is_that_of_the_paper() -> None:
    # Cardelli, Clayton & Mathis (1989), table 3, R_V = 3.1; in B the table and the formula differ by 0.015.
    inverse_micron = np.array([2.78, 2.27, 1.82, 1.43, 1.11, 0.80, 0.63])
    table = np.array([1.569, 1.337, 1.000, 0.751, 0.479, 0.282, 0.190])
    assert extinction_curve(1e4 / inverse_micron) == pytest.approx(table, abs=0.016)
    flux = redden(np.ones(2), [4405.0, 5495.0], av=1.0)
    assert -2.5 * np.log10(flux[0] / flux[1]) == pytest.approx(1 / 3.1, abs=0.02)
    with pytest.raises(ValueError, match="3030"):
        extinction_curve([2000.0])


def test_chromosphere_adds_the_energy_that_it_says() -> None:
    added = chromospheric_flux(WAVE, 5000.0, -4.3)
    near = (WAVE > 3900) & (WAVE < 4000)
    total = (added * np.gradient(WAVE))[near].sum()
    assert total == pytest.approx(STEFAN_BOLTZMANN * 5000.0**4 * 10**-4.3, rel=0.02)
    assert WAVE[near][added[near].argmax()] == pytest.approx(LINES[0][1], abs=0.9)
    assert not chromospheric_flux(WAVE, 5000.0, float("nan")).any()
    assert (added >= 0).all()


@pytest.mark.parametrize(
    ("teff", "log_g", "vacuum"),
    [
        (7500, 4.2, 6564.61),
        (7500, 4.2, 4862.69),
        (5500, 4.4, 3934.78),
        (4800, 4.5, 5185.05),
        (4500, 4.5, 5891.58),
        (5500, 4.4, 8544.44),
    ],
)
def test_lines_at_vacuum_wavelengths(teff: float, log_g: float, vacuum: float) -> None:
    flux = component_flux(Component(teff, log_g, 0.0, rv=60.0))
    observed = vacuum * (1 + 60.0 / SPEED_OF_LIGHT)
    near = np.flatnonzero(np.abs(WAVE - observed) < 6)
    k = near[flux[near].argmin()]
    a, b, c = flux[k - 1 : k + 2]
    place = k + 0.5 * (a - c) / (a - 2 * b + c)
    found = 10 ** (3.5682 + 1e-4 * place)
    assert (found / observed - 1) * SPEED_OF_LIGHT == pytest.approx(0, abs=15)


def test_composite_is_weighted_by_area() -> None:
    star, companion = Component(6000, 4.3, 0.0, rv=-80), Component(4500, 4.6, 0.0, rv=120, radius_ratio=0.7)
    both = composite_flux([star, companion])
    np.testing.assert_allclose(both, component_flux(star) + 0.49 * component_flux(companion))
    same = composite_flux([star, Component(6000, 4.3, 0.0, rv=-80, radius_ratio=2.0)])
    np.testing.assert_allclose(same, 5 * component_flux(star))


def test_noise_is_what_ivar_says() -> None:
    rng = np.random.default_rng(2)
    ivar = np.linspace(0.5, 4, 3909)
    draws = np.array([effects.noise(ivar, 60.0, rng) for _ in range(400)])
    ratio = (draws**2).mean(0) * ivar
    assert np.sqrt(ratio) == pytest.approx(np.interp(WAVE, *effects.NOISE_OVER_IVAR), rel=0.2)
    z = draws * np.sqrt(ivar)
    assert (z[:, 1:] * z[:, :-1]).mean() / (z**2).mean() == pytest.approx(0.14, abs=0.03)


def test_whole_observation() -> None:
    spectra = [
        simulate_spectrum(**SUN, rv=-40, snr_g=s, rng=np.random.default_rng(i))
        for i, s in enumerate([15, 40, 200] * 25)
    ]
    for spectrum, want in zip(spectra, [15, 40, 200] * 25, strict=True):
        assert spectrum.flux.dtype == spectrum.ivar.dtype == np.float32
        assert 3800 <= len(spectrum) <= 3909
        assert np.isfinite(spectrum.flux).all() and (spectrum.ivar >= 0).all()
        assert spectrum.snr["g"] == pytest.approx(want, rel=0.1)
        assert spectrum.z == pytest.approx(-40 / SPEED_OF_LIGHT, abs=8e-5)
        and_mask = spectrum.meta["and_mask"]
        assert (spectrum.ivar[and_mask > 0] == 0).all() and (spectrum.or_mask[and_mask > 0] > 0).all()
    assert 0.005 < np.mean([(s.ivar == 0).mean() for s in spectra]) < 0.04
    assert np.median([s.snr["u"] / s.snr["g"] for s in spectra]) < 0.5
    assert np.median([s.snr["i"] / s.snr["g"] for s in spectra]) > 1
    assert len({len(s) for s in spectra}) > 1


def test_same_seed_same_spectrum() -> None:
    a, b, c = (simulate_spectrum(**SUN, av=0.3, rng=np.random.default_rng(s)) for s in (7, 7, 8))
    np.testing.assert_array_equal(a.flux, b.flux)
    np.testing.assert_array_equal(a.ivar, b.ivar)
    assert a.z == b.z and not np.array_equal(a.flux[:3800], c.flux[:3800])


def clean(**extra: Any) -> np.ndarray:
    flux = simulate_spectrum(**{**SUN, **extra}, snr_g=900, rng=np.random.default_rng(3)).flux[:3800]
    return flux / np.median(flux)


def test_companion_activity_and_extinction_show() -> None:
    plain, wave = clean(), WAVE[:3800]
    k_line = np.abs(wave - 3934.8) < 2
    assert clean(activity=-4.0)[k_line].mean() > plain[k_line].mean()
    colour = [np.median(f[wave > 8000]) / np.median(f[wave < 4500]) for f in (clean(av=2.0), plain)]
    assert colour[0] > 1.8 * colour[1]
    assert np.abs(clean(companion=Component(5700, 4.4, 0.0, rv=250)) - plain).max() > 0.02


def test_residual_correction() -> None:
    residuals = load_residuals()
    rng = np.random.default_rng(0)
    assert residuals.rest(5777, 4.4, 0.0).shape == (3909,)
    assert np.abs(residuals.rest(5777, 4.4, 0.0)).max() < 1.0
    assert np.std(residuals.rest(5777, 4.4, 0.0)[600:3700]) < 0.03
    assert not residuals.rest(3900, 4.5, 0.0).any()
    np.testing.assert_array_equal(residuals.rest(8000, 4.4, 0.0), residuals.rest(9500, 4.4, 0.0))
    rest, observed = residuals.scatter(5777, 50, rng)
    assert 0 < np.std(rest[600:3700]) < 0.05
    assert not observed[500:1500].any()
    assert observed.any()
    none = SpectralResiduals.none()
    assert (
        not none.rest(5777, 4.4, 0.0).any()
        and not np.any(none.scatter(5777, 50, rng))
        and not none.observed.any()
    )


def test_instrument_draws() -> None:
    instrument, rng = load_instrument(), np.random.default_rng(4)
    assert all(instrument.response(s, rng).min() > 0 for s in (1, 30, 2000))
    counts = [instrument.pixel_count(rng) for _ in range(300)]
    assert 0.7 < np.mean(np.array(counts) == 3909) < 0.9


def test_subclass() -> None:
    assert [subclass_of(t) for t in (7500, 5800, 5600, 4000, 3000)] == ["A7", "F9", "G2", "K7", "M3"]
