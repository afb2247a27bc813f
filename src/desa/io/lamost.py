"""LAMOST low-resolution spectra of every data release.

Three layouts, told by the content:

- DR1: image of 5 rows [flux, ivar, continuum-normalised flux, and-mask, or-mask];
- DR2 to DR8: image of 5 rows [flux, ivar, wavelength, and-mask, or-mask];
- DR9 and later: a table of one row with FLUX, IVAR, WAVELENGTH, ANDMASK, ORMASK.

Wavelengths are vacuum and heliocentric; the star's own velocity (header Z) is not applied. A pixel is bad
where its inverse variance is not positive, its flux is not finite, or any bit of the and-mask is set (1 bad
CCD pixel, 2 bad profile, 4 no sky, 8 bright sky, 16 bad centre, 32 no data, in every exposure).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.errors import DamagedFile, FileRefused, UnsupportedFile
from desa.io.fits import OpenFile, integer, number, text
from desa.io.gaia import is_gaia_source
from desa.io.registry import Choices, Front, Glance, Reader, reader
from desa.io.spectra import is_star, redshift, usable_pixels
from desa.types import Spectrum, SpectrumGrid

SUPPORTED = "desa reads LAMOST low-resolution spectra of any release"
MIN_PIXELS, MAX_PIXELS = 3000, 4500

LAMOST_LOG_WAVELENGTH_START = 3.5682
"""log10 of the first pixel, 3699.99 Angstrom in vacuum."""

LAMOST_LOG_WAVELENGTH_STEP = 1e-4
"""The pixels' step in dex; 69 km/s."""

LAMOST_PIXELS = 3909
"""Most pixels a low-resolution spectrum has."""

LAMOST_GRID = SpectrumGrid(LAMOST_LOG_WAVELENGTH_START, LAMOST_LOG_WAVELENGTH_STEP, LAMOST_PIXELS)

FIRST_EPIC = 200_000_000
_ARRAYS = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")
_COLUMNS = frozenset(_ARRAYS)


@dataclass(frozen=True, eq=False)
class _Rows:
    """A file's arrays (N,); the wavelength is None where the layout has none."""

    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    wavelength: NDArray[np.float32] | None
    and_mask: NDArray[np.float32]
    or_mask: NDArray[np.float32]


def is_lamost(header: Any) -> bool:
    """Whether a primary header is of a LAMOST file."""
    return text(header, "TELESCOP") == "LAMOST" or text(header, "ORIGIN") == "NAOC-LAMOST"


def _rows(file: OpenFile) -> _Rows:
    if file.header.get("NAXIS") == 2:
        rows = np.ascontiguousarray(file.image(), dtype=np.float32)
        rising = rows[2][0] > 1000 and bool(np.all(np.diff(rows[2]) > 0))
        if not rising:
            _check_first_release(file, rows[2])
        return _Rows(rows[0], rows[1], rows[2] if rising else None, rows[3], rows[4])
    table = file.first_table()
    if len(table) != 1:
        raise UnsupportedFile(file.path, f"a table of {len(table)} rows, not one spectrum", SUPPORTED)
    return _Rows(*(table.column(name, "f4")[0] for name in _ARRAYS))


def _check_first_release(file: OpenFile, third: NDArray[np.float32]) -> None:
    """Refuse a third row that is neither wavelengths nor, in DR1, the normalised flux, whose median is 1."""
    later = text(file.header, "DATA_V") not in ("", "LAMOST DR1")
    if later or not 0.2 < np.median(third) < 5:
        raise DamagedFile(file.path, "its row of wavelengths is damaged", "download it again")


def log_start(path: str | Path, wavelength: NDArray[Any] | None, header: Any) -> float:
    """log10 of the first pixel's wavelength, checked against the grid all releases share."""
    step = LAMOST_LOG_WAVELENGTH_STEP
    if wavelength is None:
        start = number(header, "COEFF0")
        if not abs(number(header, "COEFF1") / step - 1) < 1e-6:
            raise DamagedFile(path, "no wavelength solution (COEFF0, COEFF1)")
    else:
        starts = np.log10(wavelength.astype(np.float64)) - step * np.arange(len(wavelength))
        start = float(np.median(starts))
        if not np.abs(starts - start).max() < 0.5 * step:
            raise DamagedFile(path, "wavelengths are not on LAMOST's grid of 1e-4 dex")
        _agree(path, start, header)
    if not abs(start - LAMOST_LOG_WAVELENGTH_START) < 0.05:
        raise DamagedFile(path, "the first pixel is not near 3700 Angstrom")
    return round(start, 7)


def _agree(path: str | Path, start: float, header: Any) -> None:
    """Refuse wavelengths that the header contradicts: one of both is wrong, and with it every velocity."""
    step = LAMOST_LOG_WAVELENGTH_STEP
    told, told_step = number(header, "COEFF0"), number(header, "COEFF1")
    if abs(told - start) > 0.5 * step or abs(told_step / step - 1) > 1e-3:  # False for what is not told
        raise DamagedFile(
            path, f"its wavelengths begin at 10^{start:.4f} Angstrom, its header says 10^{told:.4f}"
        )


def star_name(header: Any) -> str:
    """Name of the star by a primary header.

    A Gaia source number or a KIC or EPIC number where the survey's target list names one, else the
    survey's designation by position, which all observations of a star share, else the observation's number.
    """
    source, comment, target = (text(header, key) for key in ("TSOURCE", "TCOMMENT", "OBJNAME"))
    known = re.fullmatch(r"(KIC|EPIC|kplr|ktwo)\s*0*(\d{4,9})", comment)
    if known:
        return f"{'EPIC' if known[1] in ('EPIC', 'ktwo') else 'KIC'} {known[2]}"
    if source == "Kepler" and re.fullmatch(r"0*[1-9]\d{4,8}", comment):
        return f"{'EPIC' if int(comment) >= FIRST_EPIC else 'KIC'} {int(comment)}"
    if source == "Kepler" and re.fullmatch(r"\d{15,19}", comment):
        return f"Gaia DR2 {comment}"
    place = number(header, "RA"), number(header, "DEC")
    for name in (comment, target):
        if re.fullmatch(r"\d{15,19}", name) and is_gaia_source(int(name), *place):
            return f"Gaia DR2 {name}"
    return text(header, "DESIG") or f"LAMOST {text(header, 'OBSID')}".strip()


def observation(header: Any) -> str:
    """The observation's number; the first release has only file names."""
    return text(header, "OBSID") or Path(text(header, "FILENAME")).stem


def _release(header: Any, has_wavelength: bool) -> str:
    version = re.search(r"DR\s*(\d+)", text(header, "DATA_V"))
    if version:
        return f"DR{version.group(1)}"
    return "DR2" if has_wavelength else "DR1"


@reader
class LamostSpectrum(Reader[OpenFile]):
    """Low-resolution spectra of any release."""

    kind = "spectrum"
    one = "a LAMOST spectrum"
    product = "LAMOST low-resolution spectra of any release"

    def claims(self, file: Front) -> bool:
        """Whether LAMOST's telescope is named and the arrays are there."""
        table, header = file.columns >= _COLUMNS, file.header
        image = not file.columns and header.get("NAXIS") == 2 and header.get("NAXIS2") == 5
        return (table or image) and is_lamost(header)

    def refusal(self, file: Front) -> FileRefused | None:
        """Other files of LAMOST."""
        if not is_lamost(file.header):
            return None
        if not file.columns:
            return DamagedFile(file.path, "there is no spectrum after the header", "download it again")
        medium = "LOGLAM" in file.columns
        what = "a LAMOST medium-resolution spectrum" if medium else "a LAMOST file without a known spectrum"
        return UnsupportedFile(file.path, what, SUPPORTED)

    def glance(self, file: Front, member: str) -> Glance:
        """What the primary header says."""
        header = file.header
        place = number(header, "RA"), number(header, "DEC")
        return Glance(self.kind, star_name(header), observation(header), *place, header.get("MOCK") is True)

    def read(self, file: OpenFile, member: str, choices: Choices) -> Spectrum:
        """As observed, ``ivar`` 0 where a pixel is bad."""
        path, header, rows = file.path, file.header, _rows(file)
        for part in range(min(2, len(file.hdus))):
            file.check(part)
        if not MIN_PIXELS <= len(rows.flux) <= MAX_PIXELS:
            raise UnsupportedFile(path, f"a spectrum of {len(rows.flux)} pixels", SUPPORTED)
        flux, ivar = usable_pixels(path, rows.flux, rows.ivar, rows.and_mask != 0)
        object_class = text(header, "CLASS").upper()
        return Spectrum(
            flux=flux,
            ivar=ivar,
            log_wavelength_start=log_start(path, rows.wavelength, header),
            log_wavelength_step=LAMOST_LOG_WAVELENGTH_STEP,
            z=redshift(number(header, "Z"), object_class),
            star_id=star_name(header),
            obsid=observation(header),
            release=_release(header, rows.wavelength is not None),
            object_class=object_class,
            object_subclass=text(header, "SUBCLASS"),
            snr={band: _snr(header, band) for band in "ugriz"},
            or_mask=np.where(np.abs(rows.or_mask) < 2**31, rows.or_mask, 0).astype(np.int32),
            ra=number(header, "RA"),
            dec=number(header, "DEC"),
            sources=(str(path),),
            meta={
                "survey": "LAMOST",
                "is_star": is_star(object_class),
                "z_err": number(header, "Z_ERR"),
                "fiber": integer(header, "FIBERID"),
                "helio_rv": number(header, "HELIO_RV"),
            },
        )


def _snr(header: Any, band: str) -> float:
    for key in ("SNR", "SN_"):
        value = number(header, key + band.upper())
        if value >= 0:
            return value
    return float("nan")
