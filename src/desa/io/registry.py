"""Which kind of file: told by what is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from desa.io import lamost, layouts
from desa.io.fits import opened
from desa.io.kepler import lightcurve_of
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
        if lamost.is_lamost(file.header):
            lamost.find_layout(file)
            return "spectrum"
        layouts.find_layout(file)
        return "lightcurve"


def read(path: str | Path) -> LightCurve | Spectrum:
    """Read a light curve or a spectrum; errors as the readers'."""
    with opened(path) as file:
        return lamost.spectrum_of(file) if lamost.is_lamost(file.header) else lightcurve_of(file)
