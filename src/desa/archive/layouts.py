"""Layouts of light-curve files, told by their columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.archive.fits import column, has_column, native, number
from desa.errors import UnsupportedFile
from desa.types import KEPLER_CADENCE_DAYS

BKJD_ZERO = 2454833.0
SUPPORTED = "desa reads Kepler, K2 and TESS light curves in flux, K2SC, K2SFF and KEPSEISMIC files"


@dataclass(frozen=True)
class Samples:
    """One file's samples (N,), before they are put on a grid; time in BKJD, flux in the file's own unit."""

    time: NDArray[np.float64]
    cadence: NDArray[np.int64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    quality: NDArray[np.int64]
    cadence_days: float
    family: str = "Kepler"


def _integers(hdu: Any, name: str, fallback: int) -> NDArray[np.int64]:
    if not has_column(hdu, name):
        return np.full(len(hdu.data), fallback, dtype=np.int64)
    return native(hdu.data.field(name), "i8")


def _bkjd(hdu: Any, time: NDArray[np.float64]) -> NDArray[np.float64]:
    zero = number(hdu.header, "BJDREFI") + number(hdu.header, "BJDREFF")
    return time + (zero - BKJD_ZERO) if np.isfinite(zero) else time


def _pipeline(hdu: Any, flux_column: str) -> Samples:
    """Tables of the Kepler, K2 and TESS pipelines."""
    name = {"pdcsap": "PDCSAP_FLUX", "sap": "SAP_FLUX"}[flux_column]
    family = "Kepler" if has_column(hdu, "SAP_QUALITY") else "TESS"
    days = number(hdu.header, "TIMEDEL")
    return Samples(
        time=_bkjd(hdu, column(hdu, "TIME", "f8")),
        cadence=_integers(hdu, "CADENCENO", 0),
        flux=column(hdu, name, "f8"),
        flux_err=column(hdu, name + "_ERR", "f8"),
        quality=_integers(hdu, "SAP_QUALITY" if family == "Kepler" else "QUALITY", 0),
        cadence_days=days if np.isfinite(days) and days > 0 else KEPLER_CADENCE_DAYS,
        family=family,
    )


def _k2sc(hdu: Any, flux_column: str) -> Samples:
    """K2SC (Aigrain et al. 2016): `flux` is corrected for the telescope's motion."""
    return Samples(
        time=column(hdu, "time", "f8"),
        cadence=column(hdu, "cadence", "i8"),
        flux=column(hdu, "flux", "f8"),
        flux_err=column(hdu, "error", "f8"),
        quality=column(hdu, "quality", "i8"),
        cadence_days=KEPLER_CADENCE_DAYS,
    )


def _k2sff(hdu: Any, flux_column: str) -> Samples:
    """K2SFF (Vanderburg & Johnson 2014): FCOR corrected, FRAW not; MOVING marks thruster firings."""
    flux = column(hdu, "FRAW" if flux_column == "sap" else "FCOR", "f8")
    return Samples(
        time=column(hdu, "T", "f8"),
        cadence=column(hdu, "CADENCENO", "i8"),
        flux=flux,
        flux_err=np.full(len(flux), np.nan),
        quality=np.where(column(hdu, "MOVING", "i8") > 0, 1048576, 0).astype(np.int64),
        cadence_days=KEPLER_CADENCE_DAYS,
    )


def _k2varcat(hdu: Any, flux_column: str) -> Samples:
    """K2VARCAT (Armstrong et al. 2015): DETFLUX detrended, APTFLUX raw; no cadence numbers."""
    stem = "APTFLUX" if flux_column == "sap" else "DETFLUX"
    time = column(hdu, "TIME", "f8")
    return Samples(
        time=time,
        cadence=_cadence_from_time(time, KEPLER_CADENCE_DAYS),
        flux=column(hdu, stem, "f8"),
        flux_err=column(hdu, stem + "_ERR", "f8"),
        quality=np.zeros(len(time), dtype=np.int64),
        cadence_days=KEPLER_CADENCE_DAYS,
    )


def _kepseismic(image: NDArray[np.float64]) -> Samples:
    """KEPSEISMIC (Garcia et al. 2011): (N, 2) image of days and ppm about 0, gaps already filled."""
    time, ppm = native(image[:, 0], "f8"), native(image[:, 1], "f8")
    if np.nanmedian(time) > 50_000:  # BJD - 2400000
        time = time + 2_400_000.0 - BKJD_ZERO
    return Samples(
        time=time,
        cadence=_cadence_from_time(time, KEPLER_CADENCE_DAYS),
        flux=1.0 + 1e-6 * ppm,
        flux_err=np.full(len(time), np.nan),
        quality=np.zeros(len(time), dtype=np.int64),
        cadence_days=KEPLER_CADENCE_DAYS,
    )


def _cadence_from_time(time: NDArray[np.float64], days: float) -> NDArray[np.int64]:
    finite = np.isfinite(time)
    if not finite.any():
        return np.zeros(len(time), dtype=np.int64)
    cadence = np.full(len(time), -1, dtype=np.int64)
    cadence[finite] = np.rint((time[finite] - time[finite][0]) / days).astype(np.int64)
    return cadence


_Reader = Callable[[Any, str], Samples]
_LAYOUTS: tuple[tuple[tuple[str, ...], _Reader], ...] = (
    (("TIME", "CADENCENO", "PDCSAP_FLUX", "SAP_FLUX"), _pipeline),
    (("CADENCE", "TRTIME", "FLUX", "ERROR"), _k2sc),
    (("T", "FRAW", "FCOR", "CADENCENO"), _k2sff),
    (("TIME", "APTFLUX", "DETFLUX"), _k2varcat),
)


def read_samples(path: str | Path, hdus: Any, flux_column: str) -> tuple[Samples, str]:
    """Read the samples of an open file.

    Parameters
    ----------
    path
        Named in errors.
    hdus
        The open file.
    flux_column
        ``"pdcsap"`` or ``"sap"``; formats with one corrected and one raw column follow it.

    Returns
    -------
    tuple
        The samples and the layout's name.

    Raises
    ------
    UnsupportedFile
        For any other layout.
    """
    primary = hdus[0]
    if primary.header.get("NAXIS") == 2 and primary.header.get("NAXIS1") == 2:
        return _kepseismic(primary.data), "KEPSEISMIC"
    if len(hdus) < 2 or not hasattr(hdus[1], "columns"):
        raise UnsupportedFile(path, "a FITS file without a light-curve table", SUPPORTED)
    table = hdus[1]
    names = {name.upper() for name in table.columns.names}
    for needed, reader in _LAYOUTS:
        if names.issuperset(needed):
            return reader(table, flux_column), reader.__name__.strip("_")
    if any("PIXELS" in name or name == "FLUX_BKG" for name in names):
        raise UnsupportedFile(path, "a target pixel file (images, not a light curve)", SUPPORTED)
    if any(name.startswith(("IRM", "MAG", "DELTA_MAG", "TFA", "PCA")) for name in names):
        raise UnsupportedFile(path, "a light curve in magnitudes", SUPPORTED)
    raise UnsupportedFile(
        path, f"a table with unknown columns ({', '.join(sorted(names)[:4])}, ...)", SUPPORTED
    )
