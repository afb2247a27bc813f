import numpy as np
import pytest

from desa.simulate.emulator import load_emulator
from desa.simulate.photometry import absolute_magnitudes, combined_magnitude, load_bolometric_corrections


def test_sun_and_red_clump() -> None:
    sun = absolute_magnitudes(0.0, 5772, 4.438, 0.0)
    assert sun["g"] == pytest.approx(4.65, abs=0.03)
    assert sun["v"] == pytest.approx(4.81, abs=0.05)
    assert sun["bp"] - sun["rp"] == pytest.approx(0.80, abs=0.03)
    clump = absolute_magnitudes(1.73, 4800, 2.45, 0.0)
    assert clump["bp"] - clump["rp"] == pytest.approx(1.17, abs=0.06)
    assert sun["kp"] == pytest.approx(sun["g"], abs=0.1)


def test_colour_falls_with_temperature_and_rises_with_extinction() -> None:
    teff = np.linspace(3200, 12000, 60)
    m = absolute_magnitudes(0.0, teff, 4.4, 0.0)
    assert np.all(np.diff(m["bp"] - m["rp"]) < 0)
    red = absolute_magnitudes(0.0, teff, 4.4, 0.0, av=1.0)
    assert np.all(red["g"] - m["g"] > 0.5)
    assert np.all(red["bp"] - red["rp"] > m["bp"] - m["rp"])
    assert red["v"] - m["v"] == pytest.approx(np.ones(60), abs=0.04)


def test_flat_off_the_table_and_broadcasting() -> None:
    table = load_bolometric_corrections()
    assert table(5000, 9.0, 0.0)["g"] == table(5000, 5.5, 0.0)["g"]
    assert table(5000.0, 4.0, 0.0)["g"].shape == ()
    assert table([[5000], [6000]], [4.0, 4.5, 5.0], 0.0)["bp"].shape == (2, 3)


def test_combined() -> None:
    assert combined_magnitude(10.0, 10.0) == pytest.approx(10 - 2.5 * np.log10(2))
    assert combined_magnitude(10.0, np.nan) == pytest.approx(10.0)


def test_agrees_with_the_emulated_spectra() -> None:
    # BP-RP by crude passbands (boxes) of the SED, against MIST: the slope with Teff must agree.
    emulator = load_emulator()
    teff = np.array([4200.0, 5000, 5800, 6600, 7400])
    labels = np.column_stack([teff, np.full(5, 4.4), np.zeros(5), np.zeros(5)])
    centres = (emulator.sed_edges[1:] + emulator.sed_edges[:-1]) / 2
    photons = emulator.sed(labels) * centres
    blue = photons[:, (centres > 3700) & (centres < 6600)].sum(1)
    red = photons[:, (centres > 6400) & (centres < 9400)].sum(1)
    crude = -2.5 * np.log10(blue / red)
    mist = absolute_magnitudes(0.0, teff, 4.4, 0.0)
    difference = crude - (mist["bp"] - mist["rp"])
    assert np.ptp(difference) < 0.12
