"""Which kind of file: told by what is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from desa.archive.fits import opened, text
from desa.archive.kepler import read_lightcurve_file
from desa.archive.lamost import read_spectrum
from desa.errors import UnsupportedFile
from desa.types import LightCurve, Spectrum

Kind = Literal["lightcurve", "spectrum"]


def identify(path: str | Path) -> Kind:
    """Say whether a file is a light curve or a spectrum, by its headers alone.

    Raises
    ------
    UnsupportedFile, DamagedFile
        If it is neither, or can't be read. Whether all of it is sound only reading it tells.
    """
    with opened(path) as file:
        header = file.header
        telescope = text(header, "TELESCOP").upper()
        if telescope in ("KEPLER", "TESS") or header.get("NAXIS1") == 2:
            return "lightcurve"
        if telescope == "LAMOST" or header.get("NAXIS2") == 5:
            return "spectrum"
    raise UnsupportedFile(
        path, f"a FITS file of {telescope or 'an unknown telescope'}", "desa reads Kepler and LAMOST"
    )


def read(path: str | Path) -> LightCurve | Spectrum:
    """Read a light curve or a spectrum; errors as the readers'."""
    return read_lightcurve_file(path) if identify(path) == "lightcurve" else read_spectrum(path)
