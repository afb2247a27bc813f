"""Spectrum files: every layout and rule, on small files written here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from desa.errors import DamagedFile, UnsupportedFile
from desa.io import identify, read
from desa.io.gaia import is_gaia_source, pixel_centre
from desa.io.inspect import describe, format_line
from desa.io.registry import read_lightcurve_file, read_spectrum
from desa.types import Spectrum
from helpers.archive_files import write_quarter, write_spectrum


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.name"


@pytest.mark.parametrize("layout", ["DR1", "DR5", "DR10"])
@pytest.mark.parametrize("n", [3751, 3909])
def test_layouts_masks_and_header(file: Path, layout: str, n: int) -> None:
    arrays = write_spectrum(file, layout, n=n)
    found = read_spectrum(file)
    assert len(found) == n
    good = np.ones(n, bool)
    good[:23] = False
    assert np.array_equal(found.valid, good)
    assert np.array_equal(found.flux[good], arrays["FLUX"][good])
    assert np.isfinite(found.flux).all()
    assert np.array_equal(found.ivar[good], arrays["IVAR"][good])
    assert found.or_mask is not None
    assert np.array_equal(np.flatnonzero(found.or_mask == 64), np.arange(30, 40))
    assert np.allclose(found.wavelength, arrays["WAVELENGTH"], rtol=1e-6)
    assert found.log_wavelength_start == pytest.approx(3.5682, abs=1e-7)
    assert found.release == layout
    assert found.obsid == ("" if layout == "DR1" else "123456789")
    assert (found.z, found.snr["g"], found.object_subclass) == (1e-4, 50, "G2")
    assert identify(file) == "spectrum"
    assert isinstance(read(file), Spectrum)


def test_grid_that_starts_at_exactly_3700(file: Path) -> None:
    write_spectrum(file, n=3820)
    with fits.open(file, mode="update") as hdus:
        hdus[1].data["WAVELENGTH"][0] *= 3700 / 10**3.5682
    assert read_spectrum(file).log_wavelength_start == pytest.approx(np.log10(3700), abs=2e-7)


@pytest.mark.parametrize(
    ("header", "z", "is_star"),
    [
        ({"Z": -9999.0}, np.nan, True),
        ({"Z": 0.02}, np.nan, True),
        ({"CLASS": "GALAXY", "Z": 0.02}, 0.02, False),
        ({"CLASS": "QSO", "Z": 2.5}, 2.5, False),
        ({"CLASS": "Unknown", "Z": -9999.0}, np.nan, False),
    ],
)
def test_redshifts_and_other_objects(file: Path, header: dict[str, object], z: float, is_star: bool) -> None:
    write_spectrum(file, header=header)
    found = read_spectrum(file)
    assert found.z == pytest.approx(z, nan_ok=True)
    assert found.meta["is_star"] is is_star
    assert ("NOT A STAR" in format_line(describe(file))) is not is_star


PROXIMA = {"RA": 217.3923, "DEC": -62.6761}  # at the epoch of DR2, 2015.5


@pytest.mark.parametrize(
    ("header", "star"),
    [
        ({}, "LAMOST J004000.00+200000.0"),
        ({"DESIG": " "}, "LAMOST 123456789"),
        ({"TCOMMENT": "KIC 08462852"}, "KIC 8462852"),
        ({"TCOMMENT": "kplr008462852"}, "KIC 8462852"),
        ({"TSOURCE": "Kepler", "TCOMMENT": "247263572"}, "EPIC 247263572"),
        ({"TSOURCE": "Kepler", "TCOMMENT": "2099871358546191232"}, "Gaia DR2 2099871358546191232"),
        ({"OBJNAME": "5853498713160606720"} | PROXIMA, "Gaia DR2 5853498713160606720"),
        ({"OBJNAME": "5853498713160606720"}, "LAMOST J004000.00+200000.0"),
        ({"TSOURCE": "LEGUE_LCH", "TCOMMENT": "16789426740120756"}, "LAMOST J004000.00+200000.0"),
    ],
)
def test_names(file: Path, header: dict[str, object], star: str) -> None:
    write_spectrum(file, header=header)
    assert read_spectrum(file).star_id == star


@pytest.mark.parametrize(
    ("number", "ra", "dec"),
    [
        (5853498713160606720, 217.3923, -62.6761),  # Proxima Centauri
        (2081900940499099136, 301.56439, 44.45688),  # KIC 8462852
    ],
)
def test_gaia_numbers_hold_the_position(number: int, ra: float, dec: float) -> None:
    assert is_gaia_source(number, ra, dec)
    assert is_gaia_source(number, ra - 360, dec)
    assert not is_gaia_source(number, ra, dec + 0.1)
    assert not is_gaia_source(number, float("nan"), dec)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 12 * 4**12 - 1))
def test_pixels_are_where_their_neighbours_are(pixel: int) -> None:
    """A pixel of 51 arcsec lies within 2 arcmin of the one that shares its parent; none beyond the last."""
    here, there = pixel_centre(pixel), pixel_centre(pixel ^ 1)
    assert here is not None
    assert there is not None
    away = np.hypot((here[0] - there[0] + 180) % 360 - 180, 0) * np.cos(np.radians(here[1]))
    assert np.hypot(away, here[1] - there[1]) < 2 / 60 or abs(here[1]) > 89.9
    assert pixel_centre(12 * 4**12 + pixel) is None


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"IVAR": 0.0}, "only 0 good pixels"),
        ({"FLUX": np.nan}, "only 0 good pixels"),
        ({"FLUX": 1.0}, "same in all pixels"),
        ({"FLUX": -2.0}, "no flux"),
        ({"ANDMASK": 32.0}, "only 0 good pixels"),
        ({"WAVELENGTH": 5000.0}, "LAMOST's grid"),
    ],
)
def test_impossible_spectra(file: Path, damage: dict[str, float], sentence: str) -> None:
    write_spectrum(file)
    with fits.open(file, mode="update") as hdus:
        for name, value in damage.items():
            hdus[1].data[name][0] = value
    with pytest.raises(DamagedFile, match=f"some.name: .*{sentence}"):
        read_spectrum(file)


def test_blown_up_values_are_bad_pixels(file: Path) -> None:
    write_spectrum(file)
    with fits.open(file, mode="update") as hdus:
        hdus[1].data["FLUX"][0, 1000] *= 2.0**40
        hdus[1].data["IVAR"][0, 2000] *= 2.0**40
    found = read_spectrum(file)
    assert np.array_equal(np.flatnonzero(~found.valid), [*range(23), 1000, 2000])
    assert found.flux[1000] == 0


def test_what_is_not_a_lamost_spectrum(file: Path) -> None:
    write_quarter(file)
    with pytest.raises(UnsupportedFile, match="a Kepler, K2 or TESS light curve, not a spectrum"):
        read_spectrum(file)
    write_spectrum(file)
    with pytest.raises(UnsupportedFile, match="a LAMOST spectrum, not a light curve"):
        read_lightcurve_file(file)
    write_spectrum(file, "DR5", header={"TELESCOP": "SDSS 2.5-M"})
    with pytest.raises(UnsupportedFile, match="not a spectrum of a layout that desa knows"):
        read_spectrum(file)
    write_spectrum(file, "DR5", n=500)
    with pytest.raises(UnsupportedFile, match="of 500 pixels"):
        read_spectrum(file)
    write_spectrum(file, "DR1", header={"COEFF1": 2e-4})
    with pytest.raises(DamagedFile, match="no wavelength solution"):
        read_spectrum(file)
    columns = [fits.Column(name, "E", array=np.ones(4000)) for name in ("FLUX", "IVAR", "LOGLAM")]
    medium = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="COADD_B")])
    medium[0].header["TELESCOP"] = "LAMOST"
    medium.writeto(file, overwrite=True)
    for reader in (read_spectrum, identify, read):
        with pytest.raises(UnsupportedFile, match=r"medium-resolution.*desa reads"):
            reader(file)
