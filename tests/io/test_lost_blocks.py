"""Blocks that were lost, moved or overwritten: masked or refused, never taken for data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desa.errors import DamagedFile
from desa.io import compact
from desa.io.registry import read, read_lightcurve_file, read_spectrum
from helpers.archive_files import (
    light,
    pipeline_table,
    write_archive,
    write_quarter,
    write_spectrum,
    write_table,
)
from helpers.layouts import K2SC, K2SFF, table_columns, write_image, write_k2
from helpers.sdss_files import write_sdss


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kic 7.dat"


def test_a_flux_of_exactly_zero_is_no_sample(path: Path) -> None:
    flux = light(300).astype("f4")
    flux[40:60] = 0
    write_quarter(path, columns={"PDCSAP_FLUX": flux})
    np.testing.assert_array_equal(np.flatnonzero(~read(path).valid), np.arange(40, 60))


def test_stuck_values_are_no_data(path: Path) -> None:
    """A hundred equal ones may be; a hundred and one are a lost block."""
    for count, lost in ((100, 0), (101, 101)):
        flux = light(600).astype("f4")
        flux[200 : 200 + count] = flux[200]
        write_quarter(path, n=600, columns={"PDCSAP_FLUX": flux})
        assert (~read(path).valid).sum() == lost
        with fits.open(write_and_open(path), mode="update") as hdus:
            hdus[0].data[0, 1000 : 1000 + count] = 0
        assert (~read(path).valid).sum() == 23 + lost


def write_and_open(path: Path) -> Path:
    write_spectrum(path, "DR5")
    return path


def test_files_of_impossible_values(path: Path) -> None:
    """A few are like cosmic rays; with many of them the rest is not trusted either."""
    for share, refused in ((0.04, False), (0.06, True)):
        flux = light(1000).astype("f4")
        flux[: int(share * 1000)] *= 1e20
        write_quarter(path, n=1000, columns={"PDCSAP_FLUX": flux})
        arrays = write_spectrum(path.with_name("spec"), "DR5")
        with fits.open(path.with_name("spec"), mode="update") as hdus:
            hdus[0].data[0, 100 : 100 + int(share * len(arrays["FLUX"]))] = 1e20
        for file in (path, path.with_name("spec")):
            if not refused:
                assert len(read(file)) >= 900
                continue
            with pytest.raises(DamagedFile, match="samples have impossible values"):
                read(file)


def test_times_of_another_age(path: Path) -> None:
    layout = next(one for one in compact.LAYOUTS if one.unit == compact.MAGNITUDES)
    columns = table_columns(layout)
    write_table(path, columns)
    read(path)
    write_table(path, {**columns, layout.time: 2 * columns[layout.time]})
    with pytest.raises(DamagedFile, match="its times lie 152 years from 2009"):
        read(path)


@pytest.mark.parametrize("layout", ["DR1", "DR5", "DR10"])
def test_bytes_that_belong_to_no_part(layout: str, path: Path) -> None:
    """A block that is there twice moves the rest of the file; a byte that is lost does too."""
    write_spectrum(path, layout)
    raw = path.read_bytes()
    read_spectrum(path)
    for changed in (raw[:20_000] + raw[20_000 - 2880 :], raw[:60_000] + raw[60_001:], raw + b"\r\n--end--"):
        path.write_bytes(changed)
        with pytest.raises(DamagedFile):
            read_spectrum(path)


def test_wavelengths_that_are_none_are_not_taken_for_a_normalised_flux(path: Path) -> None:
    """The third row of DR1 is the flux over its continuum, of later releases the wavelengths."""
    for release, third in (("DR5", 1.0), ("DR1", 0.0), ("DR1", 1e30)):
        write_spectrum(path, release)
        with fits.open(path, mode="update") as hdus:
            hdus[0].data[2] = third
        with pytest.raises(DamagedFile, match="its row of wavelengths is damaged"):
            read_spectrum(path)


def test_an_archive_of_spectra_whose_grid_or_flux_is_damaged(path: Path) -> None:
    for name, value in (("loglam", 0.0), ("loglam", 4.5), ("flux_over_median_f16", 1.0)):
        write_archive(path, 7)
        with np.load(path) as stored:
            arrays = {key: stored[key] for key in stored.files}
        with path.open("wb") as stream:
            np.savez(stream, **{**arrays, name: np.full_like(arrays[name], value)})
        with pytest.raises(DamagedFile):
            read_spectrum(f"{path}::7")


CHECKED = {
    "K2SC": (lambda path: write_k2(path, K2SC, ("PDC", "SAP")), 1),
    "KEPSEISMIC": (write_image, 1),
    "LAMOST DR5": (lambda path: write_spectrum(path, "DR5"), 0),
    "LAMOST DR10": (lambda path: write_spectrum(path, "DR10"), 1),
    "SDSS": (write_sdss, 1),
}


@pytest.mark.parametrize("name", CHECKED)
def test_checksums_hold_wherever_a_file_has_one(name: str, path: Path) -> None:
    write, part = CHECKED[name]
    write(path)
    with fits.open(path, memmap=False) as hdus:
        hdus.writeto(path, overwrite=True, checksum=True)
        data = hdus[part].fileinfo()["datLoc"]
    read(path)
    raw = bytearray(path.read_bytes())
    raw[data + 1003] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DamagedFile, match="does not agree with its checksum"):
        read(path)


def test_flags_of_kepseismic_that_are_neither_of_both(path: Path) -> None:
    write_image(path)
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[30] = 3
        for hdu in hdus:
            hdu.add_checksum()
    with pytest.raises(DamagedFile, match="which samples were filled in"):
        read(path)


def test_pages_of_a_table_are_compared_with_their_checksums(path: Path) -> None:
    """One bit in the flux of a Parquet file that has checksums and isn't compressed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(pipeline_table(7, n=400))
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    raw = bytearray(path.read_bytes())
    place = raw.index(table.column("PDCSAP_FLUX").to_numpy().tobytes()) + 801
    raw[place] ^= 1
    read_lightcurve_file(path)
    path.write_bytes(raw)
    with pytest.raises(DamagedFile, match="damaged table"):
        read_lightcurve_file(path)


def test_k2sff_without_its_first_table(path: Path) -> None:
    """The table that follows is of another aperture."""
    write_k2(path, K2SFF, ("CIRC_APER1", "BESTAPER"))
    with pytest.raises(DamagedFile, match="CIRC_APER1, not that of the best aperture"):
        read(path)
    write_k2(path, K2SFF, ("BESTAPER", "CIRC_APER1"))
    read(path)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"END" + b" " * 77, b" " * 80, 1))
    with pytest.raises(DamagedFile, match="its first header has lost its end"):
        read(path)
