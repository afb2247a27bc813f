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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.archive.fits import has_column, integer, native, number, opened, text
from desa.errors import DamagedFile, UnsupportedFile
from desa.types import LAMOST_LOG_WAVELENGTH_START, LAMOST_LOG_WAVELENGTH_STEP, Spectrum

SUPPORTED = "desa reads LAMOST low-resolution spectra of any release"
MIN_PIXELS, MAX_PIXELS = 3000, 4500
MIN_GOOD = 0.2
"""Least share of good pixels; the emptiest real file at hand has 0.48."""
_COLUMNS = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")

_Rows = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[Any], NDArray[Any]]


def _image_rows(hdu: Any) -> tuple[_Rows, float, float]:
    """Rows of the image layouts, with the first pixel's log wavelength and the step."""
    data = native(hdu.data, "f4")
    header = hdu.header
    row = data[2]
    rising = bool(np.all(np.diff(row) > 0)) and row[0] > 1000
    start, step = number(header, "COEFF0"), number(header, "COEFF1")
    wavelength = row if rising else None
    return (data[0], data[1], wavelength, data[3], data[4]), start, step


def _table_rows(hdu: Any) -> _Rows:
    values = [native(hdu.data.field(name)[0], "f4") for name in _COLUMNS]
    return values[0], values[1], values[2], values[3], values[4]


def _refuse_others(path: str | Path, hdus: Any) -> None:
    header = hdus[0].header
    names = {str(hdu.name).upper() for hdu in hdus}
    if {"COADD_B", "COADD_R"} & names:
        raise UnsupportedFile(path, "a LAMOST medium-resolution spectrum", SUPPORTED)
    if "TELESCOP" in header and text(header, "TELESCOP") in ("Kepler", "TESS"):
        raise UnsupportedFile(path, f"a {text(header, 'TELESCOP')} file, not a spectrum", SUPPORTED)
    raise UnsupportedFile(path, "a FITS file, but not a LAMOST low-resolution spectrum", SUPPORTED)


def _log_start(path: str | Path, wavelength: NDArray[Any] | None, start: float, step: float) -> float:
    """log10 of the first pixel's wavelength, checked against the grid all releases share."""
    if wavelength is not None:
        with np.errstate(all="ignore"):
            log = np.log10(wavelength.astype(np.float64))
        if not np.all(np.isfinite(log)):
            raise DamagedFile(path, "wavelengths are not finite", "download it again")
        start = float(np.median(log - LAMOST_LOG_WAVELENGTH_STEP * np.arange(len(log))))
        grid = start + LAMOST_LOG_WAVELENGTH_STEP * np.arange(len(log))
        if np.abs(log - grid).max() > 0.5 * LAMOST_LOG_WAVELENGTH_STEP:
            raise DamagedFile(path, "wavelengths are not on LAMOST's grid of 1e-4 dex")
    elif not np.isfinite(start) or abs(step / LAMOST_LOG_WAVELENGTH_STEP - 1) > 1e-6:
        raise DamagedFile(path, "no wavelength solution (COEFF0, COEFF1)")
    if abs(start - LAMOST_LOG_WAVELENGTH_START) > 0.05:
        raise DamagedFile(path, f"first pixel at {10**start:.1f} Angstrom, not 3700")
    return round(start, 7)


def star_name(header: Any) -> str:
    """Gaia identifier where the target list names one, else the survey's designation by position."""
    comment = text(header, "TCOMMENT")
    if text(header, "TSOURCE") == "Kepler" and re.fullmatch(r"\d{15,19}", comment):
        return f"Gaia DR2 {comment}"
    kic = re.fullmatch(r"(?:KIC|kplr)\s*0*(\d{4,9})", comment)
    if kic:
        return f"KIC {kic.group(1)}"
    obsid = text(header, "OBSID")
    return text(header, "DESIG") or (f"LAMOST {obsid}" if obsid else "")


def _release(header: Any, has_wavelength: bool) -> str:
    version = re.search(r"DR\s*(\d+)", text(header, "DATA_V"))
    if version:
        return f"DR{version.group(1)}"
    return "DR2" if has_wavelength else "DR1"


def read_spectrum(path: str | Path) -> Spectrum:
    """Read one LAMOST low-resolution spectrum.

    Parameters
    ----------
    path
        A FITS file, gzipped or not, under any name.

    Returns
    -------
    Spectrum
        As observed (the star's velocity is in `z`); ``ivar`` is 0 where the pixel is bad. Objects that the
        survey did not classify as stars are read too, with ``meta["is_star"]`` False.

    Raises
    ------
    UnsupportedFile
        For medium resolution, light curves and other whole files.
    DamagedFile
        For files that are empty, truncated, corrupt, or have less than `MIN_GOOD` of their pixels good.
    """
    with opened(path) as hdus:
        primary = hdus[0]
        start = step = float("nan")
        if (
            primary.header.get("NAXIS") == 2
            and primary.header.get("NAXIS2") == 5
            and primary.data is not None
        ):
            rows, start, step = _image_rows(primary)
        elif len(hdus) > 1 and hasattr(hdus[1], "columns") and all(has_column(hdus[1], n) for n in _COLUMNS):
            if len(hdus[1].data) != 1:
                raise UnsupportedFile(
                    path, f"a table of {len(hdus[1].data)} rows, not one spectrum", SUPPORTED
                )
            rows = _table_rows(hdus[1])
        else:
            _refuse_others(path, hdus)
        header = dict(primary.header)
    flux, ivar, wavelength, and_mask, or_mask = rows
    if not MIN_PIXELS <= len(flux) <= MAX_PIXELS:
        raise UnsupportedFile(path, f"a spectrum of {len(flux)} pixels", SUPPORTED)
    log_start = _log_start(path, wavelength, start, step)
    release = _release(header, wavelength is not None)
    return _spectrum(path, header, release, flux, ivar, and_mask, or_mask, log_start)


def _spectrum(
    path: str | Path,
    header: Any,
    release: str,
    flux: NDArray[Any],
    ivar: NDArray[Any],
    and_mask: NDArray[Any],
    or_mask: NDArray[Any],
    log_start: float,
) -> Spectrum:
    good = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0) & (and_mask == 0) & (np.abs(flux) < 1e15)
    if good.mean() < MIN_GOOD:
        raise DamagedFile(path, f"only {int(good.sum())} good pixels of {len(flux)}")
    if not np.any(flux[good] > 0):
        raise DamagedFile(path, "no positive flux")
    z = number(header, "Z")
    object_class = text(header, "CLASS").upper()
    return Spectrum(
        flux=np.where(np.isfinite(flux) & (np.abs(flux) < 1e15), flux, 0).astype(np.float32),
        ivar=np.where(good, ivar, 0).astype(np.float32),
        log_wavelength_start=log_start,
        z=z if abs(z) < 0.1 or object_class == "GALAXY" else float("nan"),
        star_id=star_name(header),
        obsid=text(header, "OBSID") or Path(text(header, "FILENAME")).stem,
        release=release,
        object_class=object_class,
        object_subclass=text(header, "SUBCLASS"),
        snr={band: _snr(header, band) for band in "ugriz"},
        or_mask=np.where(np.isfinite(or_mask), or_mask, 0).astype(np.int32),
        ra=number(header, "RA"),
        dec=number(header, "DEC"),
        sources=(str(path),),
        meta={
            "is_star": object_class in ("STAR", ""),
            "z_err": number(header, "Z_ERR"),
            "fiber": integer(header, "FIBERID"),
        },
    )


def _snr(header: Any, band: str) -> float:
    value = number(header, "SNR" + band.upper())
    return value if np.isfinite(value) else number(header, "SN_" + band.upper())
