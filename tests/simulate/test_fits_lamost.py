from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desa.io.registry import read_spectrum
from desa.simulate.fits_lamost import file_name, write_lamost
from desa.simulate.spectra import simulate_spectrum
from desa.types import Spectrum


@pytest.fixture(scope="module")
def spectrum() -> Spectrum:
    return simulate_spectrum(
        teff=5500,
        log_g=4.4,
        fe_h=-0.1,
        rv=-30,
        snr_g=40,
        rng=np.random.default_rng(5),
        star_id="KIC 8462852",
        obsid="123456789",
        ra=290.1234567,
        dec=-3.456,
    )


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_read_back(spectrum: Spectrum, tmp_path: Path, name: str) -> None:
    path = write_lamost(spectrum, tmp_path / name, {"lmjd": 57000})
    back = read_spectrum(path)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    np.testing.assert_array_equal(back.flux, spectrum.flux)
    np.testing.assert_array_equal(back.ivar, spectrum.ivar)
    assert back.log_wavelength_start == pytest.approx(3.5682, abs=1e-7)
    assert (back.star_id, back.obsid, back.release) == ("KIC 8462852", "123456789", "DR10")
    assert back.z == pytest.approx(spectrum.z, abs=1e-8)
    assert (back.ra, back.dec) == pytest.approx((spectrum.ra, spectrum.dec), abs=1e-6)
    assert back.object_class == "STAR"
    assert back.object_subclass == spectrum.object_subclass
    for band in "ugriz":
        assert back.snr[band] == pytest.approx(spectrum.snr[band], abs=0.006)
    np.testing.assert_array_equal(back.or_mask, spectrum.or_mask)


def test_layout_is_that_of_a_real_file(spectrum: Spectrum, tmp_path: Path, shared: Path) -> None:
    path = write_lamost(spectrum, tmp_path / "mock.fits")
    real = sorted((shared / "data" / "lamost" / "dr10_fits").glob("*.fits.gz"))[0]
    with fits.open(path) as mock_hdus, fits.open(real) as real_hdus:
        assert len(mock_hdus) == len(real_hdus)
        assert mock_hdus[1].name == real_hdus[1].name == "COADD"
        assert mock_hdus[1].columns.names == real_hdus[1].columns.names
        assert mock_hdus[1].data.shape == real_hdus[1].data.shape
        assert all(f.endswith("E") for f in mock_hdus[1].columns.formats)
        ours, theirs = mock_hdus[0].header, real_hdus[0].header
        for key in ours:
            if key not in ("MOCK", "COMMENT", "SIMPLE", "BITPIX", "NAXIS", "EXTEND"):
                assert key in theirs, key
                assert isinstance(ours[key], type(theirs[key])), key
        mock_hdus.verify("exception")


def test_a_spectrum_with_nothing_known(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bare = Spectrum(rng.normal(10, 1, 3909).astype("f4"), np.ones(3909, "f4"), 3.5682)
    back = read_spectrum(write_lamost(bare, tmp_path / "b.fits"))
    assert np.isnan(back.z)
    np.testing.assert_array_equal(back.flux, bare.flux)


def test_file_name() -> None:
    labels = {"lmjd": 56201, "planid": "KP193637N444141V03", "spid": 1, "fiberid": 7}
    assert file_name(labels) == "spec-56201-KP193637N444141V03_sp01-007.fits"
