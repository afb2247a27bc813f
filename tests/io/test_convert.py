"""Objects in memory, against the same data by hand or from files."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st

from desa.errors import DamagedFile, FileRefused, UnsupportedFile, WrongModality
from desa.io.lamost import LAMOST_GRID, LAMOST_PIXELS
from desa.io.memory import to_lightcurve, to_spectrum
from desa.io.resample import onto_grid
from desa.io.stitching import read_lightcurve
from desa.types import LightCurve
from helpers.archive_files import DAYS, light, write_quarter

GRID = 10 ** (3.5682 + 1e-4 * np.arange(LAMOST_PIXELS))


@pytest.fixture(scope="module")
def lightkurve():
    return pytest.importorskip("lightkurve")


@pytest.fixture(scope="module")
def specutils():
    return pytest.importorskip("specutils")


def wave(bkjd):
    return 5 + np.sin(2 * np.pi * bkjd / 5)


def _made(lightkurve, time, flux, **more):
    return lightkurve.LightCurve(time=time, flux=flux, flux_err=0.001 * np.abs(flux), **more)


def test_a_light_curve_without_cadence_numbers(lightkurve) -> None:
    """Gaps are found from the times, and Kepler's own cadence numbers too."""
    cadence = np.delete(np.arange(1000, 1400), [50, 51, 52])
    flux = light(len(cadence))
    made = _made(lightkurve, 2454833 + 108.9331 + DAYS * cadence, flux)
    made.time.format = "jd"
    found = to_lightcurve(made)
    assert found.first_cadence == 1000
    assert np.array_equal(np.flatnonzero(~found.valid), [50, 51, 52])
    assert np.allclose(found.flux[found.valid], flux / np.median(flux), rtol=1e-6)
    assert found.cadence_days == pytest.approx(DAYS)


@pytest.mark.parametrize("minutes", [2, 10, 200 / 60, 20])
def test_short_exposures_are_binned(lightkurve, minutes: float) -> None:
    time = 2454833.0 + 1000 + np.arange(0, 10, minutes / 1440)
    found = to_lightcurve(_made(lightkurve, time, wave(time - 2454833)))
    assert 460 <= len(found) <= 491
    assert abs(found.cadence_days * 1440 - 29.7) < 0.4
    assert found.valid.mean() > 0.97
    assert np.allclose(
        found.flux[found.valid] * found.meta["median_flux"], wave(found.time[found.valid]), atol=0.03
    )


def test_long_exposures_leave_gaps(lightkurve) -> None:
    time = 2454833.0 + 1000 + np.arange(0, 10, 1 / 24)
    found = to_lightcurve(_made(lightkurve, time, wave(time - 2454833)))
    assert found.cadence_days == pytest.approx(0.0204336, rel=1e-4)
    assert int(found.valid.sum()) == 240
    assert np.allclose(
        found.flux[found.valid] * found.meta["median_flux"], wave(found.time[found.valid]), atol=0.03
    )


def test_masked_unsorted_repeated_and_percent(lightkurve) -> None:
    time = 2454833.0 + 200 + DAYS * np.arange(100)
    flux = Masked((100 + light(100) / 1e3) * u.percent, mask=np.arange(100) == 7)
    order = np.random.default_rng(0).permutation(np.r_[np.arange(100), 40])
    made = lightkurve.LightCurve(time=time[order], flux=flux[order])
    found = to_lightcurve(made)
    assert len(found) == 100
    assert np.array_equal(np.flatnonzero(~found.valid), [7])
    assert np.isnan(found.flux_err).all()


def test_objects_that_are_no_light_curve(lightkurve) -> None:
    time = 2454833.0 + 200 + DAYS * np.arange(100)
    made = _made(lightkurve, time, light(100))
    for bad, error, sentence in [
        (made.fold(1.0), UnsupportedFile, "folded"),
        (lightkurve.LightCurve(time=time, flux=light(100) * u.mag), UnsupportedFile, "magnitudes"),
        (_made(lightkurve, time, light(100) - 1e4 * 1.5), DamagedFile, "median flux"),
        (made[:5], DamagedFile, "only 5 samples"),
        (_made(lightkurve, np.full(50, 2455000.0), light(50)), DamagedFile, "the same time"),
        ({"flux": 1}, WrongModality, "light curve is needed, not a table without time"),
        (3, WrongModality, "light curve is needed, not int"),
    ]:
        with pytest.raises(error, match=sentence):
            to_lightcurve(bad)


def test_paths_and_our_own_types(tmp_path: Path) -> None:
    for quarter in (1, 2):
        write_quarter(tmp_path / str(quarter), quarter=quarter, first=1000 * quarter)
    files = [tmp_path / "1", tmp_path / "2"]
    whole = read_lightcurve(files)
    own = to_lightcurve(files[0])
    assert isinstance(own, LightCurve)
    assert to_lightcurve(own) is own
    for source in (files, [str(file) for file in files], [own, files[1]]):
        assert np.array_equal(to_lightcurve(source).flux, whole.flux, equal_nan=True)
    with pytest.raises(FileRefused):
        to_spectrum(files[0])


def test_lamost_grid_onto_itself() -> None:
    flux, ivar = light(LAMOST_PIXELS), np.full(LAMOST_PIXELS, 4.0)
    ivar[100] = 0
    value, weight = onto_grid(GRID, flux, ivar, LAMOST_GRID)
    good = np.arange(LAMOST_PIXELS) != 100
    assert np.allclose(value[good], flux[good], rtol=1e-6)
    assert np.allclose(weight[good], 4, rtol=1e-4)
    assert weight[100] == 0


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 6), st.floats(3600, 4500), st.floats(8000, 9500), st.integers(0, 1000))
def test_flux_and_information_are_kept(step: float, blue: float, red: float, seed: int) -> None:
    """Linear pixels of any width: the mean of the flux and the summed inverse variance stay."""
    wavelength = np.arange(blue, red, step)
    flux = 1 + 0.3 * np.sin(wavelength / 300)
    value, weight = onto_grid(wavelength, flux, np.full(len(flux), 9.0), LAMOST_GRID)
    good = weight > 0
    inside = (wavelength > GRID[good].min()) & (wavelength < GRID[good].max())
    assert np.allclose(value[good], 1 + 0.3 * np.sin(GRID[good] / 300), atol=0.3 * step / 300 + 1e-3)
    assert weight.sum() == pytest.approx(9 * inside.sum(), rel=0.02)
    order = np.random.default_rng(seed).permutation(len(flux))
    again = onto_grid(wavelength[order], flux[order], np.full(len(flux), 9.0), LAMOST_GRID)
    assert np.array_equal(again[0], value)


def test_a_useless_pixel_does_not_drown_the_others() -> None:
    ivar = np.full(LAMOST_PIXELS, 4.0)
    ivar[10] = 1e-30
    value, weight = onto_grid(GRID, light(LAMOST_PIXELS), ivar, LAMOST_GRID)
    assert np.allclose(weight[20:], 4, rtol=1e-4)
    assert weight[10] == 0
    assert np.allclose(value[20:], light(LAMOST_PIXELS)[20:], rtol=1e-6)
    assert not onto_grid(GRID[:1], np.ones(1), np.ones(1), LAMOST_GRID)[1].any()


def test_uncertainties_axes_and_masks(specutils) -> None:
    flux = light(LAMOST_PIXELS) * u.Unit("erg/(s cm2 AA)")
    for uncertainty in (StdDevUncertainty, VarianceUncertainty, InverseVariance):
        value = {"std": 0.5, "var": 0.25, "ivar": 4.0}[uncertainty(np.ones(1)).uncertainty_type]
        spectrum = specutils.Spectrum(
            flux=flux,
            spectral_axis=GRID * u.AA,
            uncertainty=uncertainty(np.full(LAMOST_PIXELS, value)),
            mask=np.arange(LAMOST_PIXELS) == 1000,
        )
        found = to_spectrum(spectrum)
        assert np.allclose(found.ivar[found.valid], 4, rtol=1e-4)
        assert np.array_equal(np.flatnonzero(~found.valid), [1000])
    nanometre = specutils.Spectrum(flux=flux, spectral_axis=GRID / 10 * u.nm)
    assert np.allclose(to_spectrum(nanometre).flux, flux.value, rtol=1e-5)
    assert to_spectrum(nanometre).ivar[0] == pytest.approx(1 / (0.01 * np.median(flux.value)) ** 2, rel=1e-3)
    frequency = specutils.Spectrum(flux=flux[::-1], spectral_axis=(GRID[::-1] * u.AA).to(u.Hz, u.spectral()))
    assert np.allclose(to_spectrum(frequency).flux, flux.value, rtol=1e-5)
    with pytest.raises(UnsupportedFile, match="no good pixel in LAMOST's range"):
        to_spectrum(specutils.Spectrum(flux=flux, spectral_axis=GRID * 10 * u.AA))
    with pytest.raises(UnsupportedFile, match="one at a time"):
        to_spectrum(
            specutils.Spectrum(flux=np.ones((2, 50)) * u.Jy, spectral_axis=np.arange(4000, 4050) * u.AA)
        )
    with pytest.raises(DamagedFile, match="no positive flux"):
        to_spectrum(specutils.Spectrum(flux=-flux, spectral_axis=GRID * u.AA))
    with pytest.raises(WrongModality, match="spectrum is needed, not int"):
        to_spectrum(3)
