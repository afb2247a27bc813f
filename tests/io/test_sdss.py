"""A product that was added in one file: SDSS spectra, from the file to a survey and a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import desa.io.sdss
from desa.errors import DamagedFile, FileRefused, ModelError
from desa.inference.model import Desa
from desa.io.inspect import describe, format_line
from desa.io.registry import glance, identify, read_lightcurve_file, read_spectrum
from desa.survey.ingest import ingest
from desa.survey.store import Survey
from helpers.sdss_files import PIXELS, START, write_sdss
from helpers.tiny import tiny_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.name"


def test_what_it_holds(file: Path) -> None:
    columns = write_sdss(file)
    found = read_spectrum(file)
    good = np.arange(PIXELS) > 10
    np.testing.assert_array_equal(found.valid, good)
    np.testing.assert_array_equal(found.flux, columns["flux"])
    np.testing.assert_allclose(found.wavelength, 10.0 ** columns["loglam"], rtol=1e-6)
    assert (found.log_wavelength_start, found.log_wavelength_step) == (pytest.approx(START, abs=2e-7), 1e-4)
    assert (found.star_id, found.obsid, found.release) == ("SDSS 0266-51630-0007", "0266-51630-0007", "26")
    assert (found.z, found.snr["g"], found.object_subclass) == (pytest.approx(2e-4), 20, "G2")
    assert (found.ra, found.dec, found.meta["is_star"]) == (10.0, 20.0, True)
    seen = glance(file)
    assert (seen.kind, seen.name, seen.obsid, seen.ra) == (identify(file), found.star_id, found.obsid, 10.0)
    assert "SDSS 26 spectrum, STAR G2, 4589/4600 good, S/N 20.0, z 0.0002" in format_line(describe(file))


def test_what_it_refuses(file: Path) -> None:
    write_sdss(file, CLASS="GALAXY", Z=0.3)
    assert not read_spectrum(file).meta["is_star"]
    with pytest.raises(Exception, match="an SDSS spectrum, not a light curve"):
        read_lightcurve_file(file)
    with fits.open(file, mode="update") as hdus:
        hdus["COADD"].data["loglam"][2000:] += 1e-3
    with pytest.raises(DamagedFile, match="not on a grid of 1e-4 dex"):
        read_spectrum(file)
    file.write_bytes(file.read_bytes()[:50_000])
    with pytest.raises(DamagedFile, match="truncated"):
        read_spectrum(file)


@pytest.mark.parametrize("seed", range(30))
def test_damage_is_a_sentence_or_sane_data(seed: int, file: Path) -> None:
    write_sdss(file)
    rng, raw = np.random.default_rng(seed), bytearray(file.read_bytes())
    for place in rng.integers(0, len(raw) if seed % 2 else 20_000, 20):
        raw[place] ^= 1 << int(rng.integers(0, 8))
    file.write_bytes(raw[: len(raw) - (int(rng.integers(0, 150_000)) if seed % 3 == 0 else 0)])
    try:
        found = read_spectrum(file)
    except FileRefused as error:
        assert "some.name" in str(error)
        return
    assert found.valid.mean() > 0.2
    assert np.ptp(found.flux[found.valid]) > 0


def test_a_model_of_lamost_spectra_refuses_it_unless_told(tmp_path: Path) -> None:
    """From files and from the survey they make, to the bit."""
    write_sdss(tmp_path / "spec")
    report = ingest(None, tmp_path / "spec", None, tmp_path / "survey", processes=1)
    assert report["left_out"] == []
    survey = Survey.open(tmp_path / "survey")
    np.testing.assert_array_equal(survey.spectrum(0).flux, read_spectrum(tmp_path / "spec").flux)
    assert survey.spectrum(0).grid == read_spectrum(tmp_path / "spec").grid
    model = Desa(tiny_settings()).eval()
    with pytest.raises(ModelError, match=r"4600 pixels .* trained on 3909 pixels .*--resample-spectra"):
        model.embed(spectrum=tmp_path / "spec")
    model.resample_spectra = True
    own = model.embed(spectrum=tmp_path / "spec")
    again = model.embed(spectrum=survey.spectrum(0))
    np.testing.assert_array_equal(own.features_spectrum, again.features_spectrum)
    assert np.isfinite(own.vector).all()


def test_nothing_else_knows_of_it() -> None:
    package = Path(desa.__file__).parent
    naming = [path for path in package.rglob("*.py") if "io.sdss" in path.read_text(encoding="utf-8")]
    assert naming == []
    assert Path(desa.io.sdss.__file__).parent == package / "io"
