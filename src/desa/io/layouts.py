"""Layouts of light-curve files, told by their columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.errors import UnsupportedFile
from desa.io.fits import OpenFile, Table, number, text
from desa.types import KEPLER_CADENCE_DAYS

BKJD_ZERO = 2454833.0
KEPLER_CADENCE_ZERO_BKJD = 108.9331
"""BKJD of cadence 0. The light travel time to the Sun moves it by up to 0.004 d: a fifth of a cadence."""

SUPPORTED = "desa reads Kepler, K2 and TESS light curves in flux, K2SC, K2SFF, K2VARCAT and KEPSEISMIC files"
THRUSTER_FIRING = 1 << 20
FILLED_IN = 1

_PIPELINE_COLUMNS = frozenset(
    {"TIME", "TIMECORR", "CADENCENO", "SAP_QUALITY", "QUALITY", "POS_CORR1", "POS_CORR2"}
    | {f"{kind}{end}" for kind in ("SAP_FLUX", "SAP_BKG", "PDCSAP_FLUX") for end in ("", "_ERR")}
    | {f"{kind}_CENTR{axis}{end}" for kind in ("PSF", "MOM") for axis in "12" for end in ("", "_ERR")}
)


@dataclass(frozen=True)
class Samples:
    """Samples (N,) before they are put on a grid; time in BKJD, flux in the source's own unit.

    Parameters
    ----------
    time, cadence, flux, flux_err, quality
        (N,) each; a cadence below 0 and a time that is NaN mean no sample.
    cadence_days
        Days from one cadence number to the next.
    family
        Whose quality bits these are: ``"Kepler"``, ``"TESS"`` or ``"KEPSEISMIC"``.
    """

    time: NDArray[np.float64]
    cadence: NDArray[np.int64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    quality: NDArray[np.int64]
    cadence_days: float
    family: str = "Kepler"


def cadences_from_time(time: NDArray[np.float64], days: float) -> NDArray[np.int64]:
    """Cadence numbers of samples that have none.

    Kepler's own numbers at Kepler's long cadence (its clock ran evenly for nine years), else counted from
    BKJD 0; -1 where the time is NaN. Counted on from the first sample, so that a step a little off the
    mission's neither repeats nor skips a number.

    Parameters
    ----------
    time
        (N,) BKJD.
    days
        Step.
    """
    cadence = np.full(len(time), -1, dtype=np.int64)
    finite = np.isfinite(time)
    if finite.any():
        first = time[finite][0]
        zero = KEPLER_CADENCE_ZERO_BKJD if abs(days / KEPLER_CADENCE_DAYS - 1) < 1e-3 else 0.0
        cadence[finite] = round((first - zero) / days) + np.rint((time[finite] - first) / days).astype(
            np.int64
        )
    return cadence


def _time(table: Table, name: str = "TIME") -> NDArray[np.float64]:
    """Times in BKJD by the table's own zero point (TESS counts from 2457000)."""
    zero = number(table.header, "BJDREFI") + number(table.header, "BJDREFF")
    time = table.column(name, "f8")
    return time + (zero - BKJD_ZERO) if np.isfinite(zero) else time


def _pipeline(file: OpenFile, table: Table, flux_column: str) -> Samples:
    """Tables of the Kepler, K2 and TESS pipelines.

    Tools that add columns (PyKE's kepcotrend) leave a checksum that no longer holds, so it counts only
    where the columns are the pipeline's.
    """
    if table.names <= _PIPELINE_COLUMNS:
        file.check(1)
    name = {"pdcsap": "PDCSAP_FLUX", "sap": "SAP_FLUX"}[flux_column]
    family = "Kepler" if "SAP_QUALITY" in table.names else "TESS"
    quality = "SAP_QUALITY" if family == "Kepler" else "QUALITY"
    days = number(table.header, "TIMEDEL")
    flux = table.column(name, "f8")
    return Samples(
        time=_time(table),
        cadence=table.column("CADENCENO", "i8"),
        flux=flux,
        flux_err=table.column(name + "_ERR", "f8"),
        quality=table.column(quality, "i8")
        if quality in table.names
        else np.zeros(len(flux), dtype=np.int64),
        cadence_days=days if np.isfinite(days) and days > 0 else KEPLER_CADENCE_DAYS,
        family=family,
    )


def _k2sc(file: OpenFile, table: Table, flux_column: str) -> Samples:
    """K2SC (Aigrain et al. 2016): flux without the telescope's motion, from PDCSAP or from SAP."""
    table = file.table(flux_column.removesuffix("sap").upper() or "SAP") or table
    return Samples(
        time=_time(table),
        cadence=table.column("CADENCE", "i8"),
        flux=table.column("FLUX", "f8"),
        flux_err=table.column("ERROR", "f8"),
        quality=table.column("QUALITY", "i8"),
        cadence_days=KEPLER_CADENCE_DAYS,
    )


def _k2sff(file: OpenFile, table: Table, flux_column: str) -> Samples:
    """K2SFF (Vanderburg & Johnson 2014), best aperture: FCOR corrected, FRAW not; MOVING: thrusters fired."""
    flux = table.column("FRAW" if flux_column == "sap" else "FCOR", "f8")
    return Samples(
        time=_time(table, "T"),
        cadence=table.column("CADENCENO", "i8"),
        flux=flux,
        flux_err=np.full(len(flux), np.nan),
        quality=np.where(table.column("MOVING", "i8") > 0, THRUSTER_FIRING, 0).astype(np.int64),
        cadence_days=KEPLER_CADENCE_DAYS,
    )


def _k2varcat(file: OpenFile, table: Table, flux_column: str) -> Samples:
    """K2VARCAT (Armstrong et al. 2015): DETFLUX detrended, APTFLUX raw; no cadence numbers."""
    file.check(1)
    stem = "APTFLUX" if flux_column == "sap" else "DETFLUX"
    time = _time(table)
    return Samples(
        time=time,
        cadence=cadences_from_time(time, KEPLER_CADENCE_DAYS),
        flux=table.column(stem, "f8"),
        flux_err=table.column(stem + "_ERR", "f8"),
        quality=np.zeros(len(time), dtype=np.int64),
        cadence_days=KEPLER_CADENCE_DAYS,
    )


def _kepseismic(file: OpenFile) -> Samples:
    """KEPSEISMIC (Garcia et al. 2011): an (N, 2) image of days and ppm about 0 on an even grid.

    The second part says which samples were observed (1) and which filled in (2); these last are gaps.
    Times are BJD - 2400000; a few files count from their own first sample, and their BKJD is not known.
    """
    image = file.image().astype(np.float64)
    time = image[:, 0]
    steps = np.diff(time)
    days = float(np.median(steps))
    if np.nanmedian(time) > 50_000:
        time = time + (2_400_000.0 - BKJD_ZERO)
    flags = file.hdus[1].data if len(file.hdus) > 1 else None
    filled = np.zeros(len(time)) if flags is None or np.shape(flags) != time.shape else flags == 2
    return Samples(
        time=time,
        cadence=cadences_from_time(time, days) if time[0] > 1 else np.rint(time / days).astype(np.int64),
        flux=1.0 + 1e-6 * image[:, 1],
        flux_err=np.full(len(time), np.nan),
        quality=np.where(filled, FILLED_IN, 0).astype(np.int64),
        cadence_days=days,
        family="KEPSEISMIC",
    )


_Reader = Callable[[OpenFile, Table, str], Samples]
_LAYOUTS: tuple[tuple[frozenset[str], str, _Reader], ...] = (
    (frozenset({"TIME", "CADENCENO", "PDCSAP_FLUX", "SAP_FLUX"}), "pipeline", _pipeline),
    (frozenset({"CADENCE", "TRTIME", "FLUX", "ERROR"}), "K2SC", _k2sc),
    (frozenset({"T", "FRAW", "FCOR", "CADENCENO"}), "K2SFF", _k2sff),
    (frozenset({"TIME", "APTFLUX", "DETFLUX"}), "K2VARCAT", _k2varcat),
)


def find_layout(file: OpenFile) -> tuple[str, Callable[[str], Samples]]:
    """Name of an open file's layout, and what reads its samples.

    Raises
    ------
    UnsupportedFile
        For any other layout.
    DamagedFile
        Where the file ends early.
    """
    if file.header.get("NAXIS") == 2 and file.header.get("NAXIS1") == 2:
        return "KEPSEISMIC", lambda _: _kepseismic(file)
    table = file.table()
    if table is not None:
        for needed, layout, reader in _LAYOUTS:
            if needed <= table.names:
                return layout, partial(reader, file, table)
    raise UnsupportedFile(file.path, _what_else(file.header, table), SUPPORTED)


def read_samples(file: OpenFile, flux_column: str) -> tuple[Samples, str]:
    """Read the samples of an open file.

    Parameters
    ----------
    file
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
    DamagedFile
        Where the file ends early or does not agree with its checksum.
    """
    layout, read = find_layout(file)
    file.check(0)
    return read(flux_column), layout


def _what_else(header: Any, table: Table | None) -> str:
    """What a file is that is no light curve in flux."""
    if text(header, "TELESCOP") == "LAMOST":
        return "a LAMOST spectrum, not a light curve"
    if table is None:
        return "a FITS file without a light-curve table"
    if any("PIXELS" in name or name == "FLUX_BKG" for name in table.names):
        return "a target pixel file (images, not a light curve)"
    if any(name.startswith(("IRM", "MAG", "DELTA_MAG", "TFA", "PCA")) for name in table.names):
        return "a light curve in magnitudes"
    return f"a table with unknown columns ({', '.join(sorted(table.names)[:4])}, ...)"
