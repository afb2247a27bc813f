"""Readers against astropy by hand, on real files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desa.errors import UnsupportedFile, WrongModality
from desa.io.heads import read_head
from desa.io.inspect import describe, format_line
from desa.io.memory import to_lightcurve, to_spectrum
from desa.io.quality import KEPLER_BITS, PRESETS, TESS_BITS, bitmask
from desa.io.registry import glance, open_file, read_lightcurve_file, read_spectrum, readers
from desa.io.stitching import read_lightcurve
from desa.io.tables import is_table_file, open_table
from helpers.real_files import KINDS

pytestmark = pytest.mark.real
QUARTER_2 = "data/kepler/formats/kplr010002792-2009259160929_llc.fits.gz"


def test_a_quarter_on_its_grid(shared: Path) -> None:
    lightcurve = read_lightcurve_file(shared / QUARTER_2)
    table = fits.getdata(shared / QUARTER_2, 1)
    good = np.isfinite(table["PDCSAP_FLUX"]) & np.isfinite(table["TIME"])
    good &= (table["SAP_QUALITY"] & bitmask("default", "Kepler")) == 0
    median = np.median(table["PDCSAP_FLUX"][good])
    place = table["CADENCENO"][good] - lightcurve.first_cadence
    assert lightcurve.valid.sum() == good.sum()
    assert np.allclose(lightcurve.flux[place], table["PDCSAP_FLUX"][good] / median, rtol=1e-6)
    assert np.allclose(lightcurve.flux_err[place], table["PDCSAP_FLUX_ERR"][good] / median, rtol=1e-6)
    assert np.abs(lightcurve.time[place] - table["TIME"][good]).max() < 0.01  # barycentric correction only
    assert (lightcurve.star_id, lightcurve.quarters, lightcurve.mission) == ("KIC 10002792", (2,), "Kepler")
    assert lightcurve.valid[0]
    assert lightcurve.valid[-1]


def test_quality_and_column_are_choices(shared: Path) -> None:
    counts = {
        choice: int(read_lightcurve_file(shared / QUARTER_2, quality=choice, flux_column="sap").valid.sum())
        for choice in ("none", "default", "hard")
    }
    assert counts["none"] > counts["default"] > counts["hard"]
    sap = read_lightcurve_file(shared / QUARTER_2, flux_column="sap")
    assert not np.array_equal(sap.flux, read_lightcurve_file(shared / QUARTER_2).flux, equal_nan=True)
    with pytest.raises(ValueError, match="quality must be"):
        read_lightcurve_file(shared / QUARTER_2, quality="soft")
    for family, bits in {"Kepler": KEPLER_BITS, "TESS": TESS_BITS}.items():
        assert all(mask & ~sum(bits) == 0 for mask in PRESETS[family].values())


def test_many_quarters_keep_their_gaps(shared: Path) -> None:
    files = sorted((shared / "data/kepler/multiquarter/011442793").glob("*.fits"))
    star = read_lightcurve(files[::-1])
    parts = [read_lightcurve_file(file) for file in files]
    assert star.quarters == (3, 4, 5)
    assert star.valid.sum() == sum(part.valid.sum() for part in parts)
    for part in parts:
        place = slice(
            part.first_cadence - star.first_cadence, part.first_cadence - star.first_cadence + len(part)
        )
        assert np.array_equal(star.flux[place], part.flux, equal_nan=True)
        assert np.nanmedian(star.flux[place]) == pytest.approx(1, abs=1e-6)
        assert abs(star.time[place][0] - part.start_bkjd) < 0.02
    with pytest.raises(UnsupportedFile, match="same quarter twice"):
        read_lightcurve([files[0], files[0]])
    with pytest.raises(UnsupportedFile, match="different stars"):
        read_lightcurve([files[0], shared / QUARTER_2])


def test_short_cadence_bins_are_the_long_cadences(shared: Path) -> None:
    """The same quarter of another star in long cadence: the same numbers at the same times of the clock."""
    path = shared / "data/kepler/formats/kplr010666592-2009131110544_slc.fits.gz"
    lightcurve = read_lightcurve_file(path, quality="none")
    table = fits.getdata(path, 1)
    flux, error = table["PDCSAP_FLUX"].astype(float)[3000:3030], table["PDCSAP_FLUX_ERR"][3000:3030]
    place = 568 + 100 - lightcurve.first_cadence
    median = lightcurve.meta["median_flux"]
    assert lightcurve.flux[place] == pytest.approx(flux.mean() / median, rel=1e-6)
    assert lightcurve.flux_err[place] == pytest.approx(np.sqrt((error**2).sum()) / 30 / median, rel=1e-5)
    assert lightcurve.cadence_days == pytest.approx(0.0204336, rel=1e-5)
    long_cadence = fits.getdata(next((shared / "data/kepler/multiquarter/005735762").glob("*2009131*")), 1)
    clock = (long_cadence["TIME"] - long_cadence["TIMECORR"])[100]
    assert long_cadence["CADENCENO"][100] == 668
    assert np.mean((table["TIME"] - table["TIMECORR"])[3000:3030]) == pytest.approx(clock, abs=1e-5)


def test_spectra_of_every_layout(shared: Path) -> None:
    lamost = shared / "data/lamost"
    for path, release in [
        (next(iter(sorted((lamost / "dr1_fits").glob("*-013*")))), "DR1"),
        (lamost / "formats/spec-56309-GAC088N20V1_sp08-126.fits.gz", "DR2"),
        (lamost / "formats/48013172.fits", "DR7"),
        (next(iter(sorted((lamost / "dr10_fits").glob("*")))), "DR10"),
    ]:
        spectrum = read_spectrum(path)
        with fits.open(path) as hdus:
            if release == "DR10":
                flux, ivar, mask = (hdus[1].data[name][0] for name in ("FLUX", "IVAR", "ANDMASK"))
            else:
                flux, ivar, mask = hdus[0].data[[0, 1, 3]]
            z = hdus[0].header["Z"]
        bad = (ivar <= 0) | (mask > 0)
        assert spectrum.release == release
        assert np.array_equal(spectrum.flux, flux)
        assert np.array_equal(spectrum.ivar > 0, ~bad)
        assert np.array_equal(spectrum.ivar[~bad], ivar[~bad])
        assert spectrum.wavelength[0] == pytest.approx(3699.99, abs=0.02)
        assert spectrum.z == pytest.approx(z)
        assert spectrum.snr["g"] > 0


def test_galaxies_are_read_but_flagged(shared: Path) -> None:
    found = [read_spectrum(path) for path in sorted((shared / "data/lamost/dr7_fits").glob("*"))]
    flagged = [item for item in found if not item.meta["is_star"]]
    assert {item.object_class for item in flagged} == {"GALAXY", "UNKNOWN"}
    assert len(flagged) == 5


def test_inspect_lines(shared: Path, tmp_path: Path) -> None:
    row = describe(shared / QUARTER_2)
    json.dumps(row)
    assert "KIC 10002792: Kepler light curve, quarter 2, 4070/4342 good" in format_line(row)
    (tmp_path / "x.fits").write_bytes(b"hello")
    assert "x.fits: REFUSED: not a FITS file" in format_line(describe(tmp_path / "x.fits"))


def test_lightkurve_gives_the_same_light_curve(shared: Path) -> None:
    lightkurve = pytest.importorskip("lightkurve")
    path = shared / QUARTER_2
    theirs = to_lightcurve(lightkurve.read(str(path), quality_bitmask=bitmask("default", "Kepler")))
    ours = read_lightcurve_file(path)
    shift = theirs.first_cadence - ours.first_cadence
    both = slice(shift, shift + len(theirs))
    common = ours.valid[both] & theirs.valid
    assert common.sum() >= 0.99 * ours.valid.sum()
    assert np.allclose(ours.flux[both][common], theirs.flux[common], rtol=2e-4)
    assert theirs.star_id == "KIC 10002792"
    collection = lightkurve.LightCurveCollection(
        [
            lightkurve.read(str(file))
            for file in sorted((shared / "data/kepler/multiquarter/011442793").glob("*"))
        ]
    )
    assert to_lightcurve(collection).quarters == (3, 4, 5)


def test_specutils_gives_the_same_spectrum(shared: Path) -> None:
    specutils = pytest.importorskip("specutils")
    import astropy.units as u
    from astropy.nddata import InverseVariance

    ours = read_spectrum(next(iter(sorted((shared / "data/lamost/dr10_fits").glob("*")))))
    theirs = to_spectrum(
        specutils.Spectrum(
            flux=ours.flux * u.Unit("erg/(s cm2 AA)"),
            spectral_axis=ours.wavelength * u.AA,
            uncertainty=InverseVariance(ours.ivar),
            mask=ours.ivar <= 0,
        )
    )
    inner = slice(10, len(ours) - 10)
    assert np.array_equal(theirs.valid[inner], ours.valid[inner])
    assert np.allclose(theirs.flux[inner][ours.valid[inner]], ours.flux[inner][ours.valid[inner]], rtol=0.01)
    with pytest.raises(WrongModality, match="light curve is needed"):
        to_lightcurve(3)
    with pytest.raises(WrongModality, match="spectrum is needed"):
        to_spectrum(read_lightcurve_file(shared / QUARTER_2))


def test_every_file_has_one_reader(shared: Path) -> None:
    """By its first bytes as by the whole file, and no other claims it."""
    folder = shared / "data"
    files = [folder / name for name in KINDS.values()]
    files += [*sorted((folder / "kepler").rglob("*.parquet")), folder / "lamost/dr10_compact.npz"]
    for path in files:
        tables = is_table_file(path)
        own = [one for one in readers() if one.in_tables == tables]
        with open_file(path) as file:
            claiming = [one for one in own if one.claims(file)]
        assert len(claiming) == 1, path
        front = open_table(path) if tables else read_head(path)
        assert [one for one in own if one.claims(front)] == claiming, path
        assert glance(path).kind == claiming[0].kind
