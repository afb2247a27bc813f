"""Files whose parts contradict each other, or lack the one that tells what is data, are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits

from desa.errors import DamagedFile
from desa.io.registry import read_lightcurve_file, read_spectrum
from helpers.layouts import K2SC, write_image, write_k2
from helpers.samples import write_quarter, write_spectrum


def edited(path: Path, part: int, **cards: object) -> Path:
    with fits.open(path, mode="update") as hdus:
        hdus[part].header.update(cards)
    return path


def test_a_spectrum_whose_header_says_other_wavelengths(tmp_path: Path) -> None:
    read_spectrum(write_spectrum(tmp_path / "right.fits", 1, COEFF0=3.5682, COEFF1=1e-4))
    for name, cards in (("start", {"COEFF0": 3.5692}), ("step", {"COEFF0": 3.5682, "COEFF1": 2e-4})):
        with pytest.raises(DamagedFile, match="its header says"):
            read_spectrum(write_spectrum(tmp_path / f"{name}.fits", 1, **cards))


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"BJDREFI": 2457000, "BJDREFF": 0.0}, "count from 2457000"),
        ({"BJDREFI": 2454833, "BJDREFF": 0.0, "TSTART": 900.0, "TSTOP": 990.0}, "its header says otherwise"),
    ],
)
def test_times_that_the_header_contradicts(cards: dict[str, float], words: str, tmp_path: Path) -> None:
    path = write_quarter(tmp_path / "a.fits", 7, 1)
    read_lightcurve_file(edited(path, 1, BJDREFI=2454833, BJDREFF=0.0, TSTART=131.0, TSTOP=140.0))
    with pytest.raises(DamagedFile, match=words):
        read_lightcurve_file(edited(path, 1, **cards))


def test_times_that_the_cadence_numbers_contradict(tmp_path: Path) -> None:
    path = write_quarter(tmp_path / "a.fits", 7, 1)
    with fits.open(path, mode="update") as hdus:
        hdus[1].data["TIME"] += 300.0
    with pytest.raises(DamagedFile, match="its cadence numbers about"):
        read_lightcurve_file(path)


def test_kepseismic_without_the_flags_of_what_was_filled_in(tmp_path: Path) -> None:
    assert len(read_lightcurve_file(write_image(tmp_path / "whole.fits"))) == 400
    with pytest.raises(DamagedFile, match="which samples were filled in is missing"):
        read_lightcurve_file(write_image(tmp_path / "cut.fits", flags=False))


def test_k2sc_without_its_pdc_table_is_not_read_as_sap(tmp_path: Path) -> None:
    read_lightcurve_file(write_k2(tmp_path / "whole.fits", K2SC, ("PDC", "SAP")))
    cut = write_k2(tmp_path / "cut.fits", K2SC, ("SAP",))
    with pytest.raises(DamagedFile, match="its table PDC is missing"):
        read_lightcurve_file(cut)
    read_lightcurve_file(cut, flux_column="sap")
