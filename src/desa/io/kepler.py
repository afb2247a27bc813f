"""Light-curve files: Kepler and K2 long cadence, short cadence and TESS binned to 30 minutes, KEPSEISMIC.

The layout is told by the content. Each file is divided by its own median; several files of one star are
laid on the mission's cadence grid, and what is missing stays missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from desa.errors import UnsupportedFile
from desa.io.cadences import MAX_CADENCES, on_grid
from desa.io.fits import OpenFile, integer, number, opened, text
from desa.io.layouts import read_samples
from desa.io.quality import bitmask
from desa.types import LightCurve


def star_and_mission(header: Any) -> tuple[str, str]:
    """Name of the star and the mission, by a file's primary header; empty where it says none."""
    tic, object_name = text(header, "TICID"), text(header, "OBJECT")
    if text(header, "TELESCOP") == "TESS":
        return (f"TIC {tic}" if tic else object_name), "TESS"
    kepler = integer(header, "KEPLERID")
    if kepler < 0:
        return object_name, text(header, "MISSION") or text(header, "TELESCOP")
    k2 = kepler >= 60_000_000
    return (f"EPIC {kepler}" if k2 else f"KIC {kepler}"), ("K2" if k2 else "Kepler")


def read_lightcurve_file(
    path: str | Path, *, flux_column: str = "pdcsap", quality: str | int = "default"
) -> LightCurve:
    """Read one light-curve file.

    Parameters
    ----------
    path
        A FITS file, gzipped or not, under any name.
    flux_column
        ``"pdcsap"`` (corrected) or ``"sap"`` (as measured).
    quality
        Which quality bits spoil a sample: ``"default"``, ``"hard"``, ``"none"`` or a number; see
        `desa.io.quality`.

    Returns
    -------
    LightCurve
        Relative flux on the cadence grid, from the first to the last good sample.

    Raises
    ------
    UnsupportedFile
        For target pixel files, magnitudes, spectra and anything else that is whole but no light curve.
    DamagedFile
        For files that are empty, truncated, corrupt or without ten good samples.
    ValueError
        For an unknown `flux_column` or `quality`.
    """
    if flux_column not in ("pdcsap", "sap"):
        raise ValueError(f"flux_column must be pdcsap or sap, not {flux_column!r}")
    bitmask(quality, "Kepler")
    with opened(path) as file:
        return lightcurve_of(file, flux_column=flux_column, quality=quality)


def lightcurve_of(
    file: OpenFile, *, flux_column: str = "pdcsap", quality: str | int = "default"
) -> LightCurve:
    """Read an open file; as `read_lightcurve_file`."""
    samples, layout = read_samples(file, flux_column)
    grid = on_grid(file.path, samples, bitmask(quality, samples.family))
    header = file.header
    star, mission = star_and_mission(header)
    tess, whole = mission == "TESS", layout == "KEPSEISMIC"
    part = {"TESS": "SECTOR", "K2": "CAMPAIGN"}.get(mission, "QUARTER")
    return LightCurve(
        flux=grid.flux,
        flux_err=grid.flux_err,
        first_cadence=grid.first_cadence,
        start_bkjd=float("nan") if whole and samples.time[0] < 1 else grid.start_bkjd,
        cadence_days=grid.cadence_days,
        star_id=star,
        mission="KEPSEISMIC" if whole else mission,
        quarters=() if whole or part not in header else (integer(header, part),),
        ra=number(header, "RA_OBJ"),
        dec=number(header, "DEC_OBJ"),
        magnitude=number(header, "TESSMAG" if tess else "KEPMAG"),
        sources=(str(file.path),),
        meta={
            "layout": layout,
            "median_flux": grid.median_flux,
            "teff": number(header, "TEFF"),
            "log_g": number(header, "LOGG"),
            "fe_h": number(header, "MH" if tess else "FEH"),
        },
    )


def _aligned(parts: Sequence[LightCurve]) -> list[LightCurve]:
    """Parts in the order of their cadence numbers, which are made to agree with the times.

    Numbers of other makers may start anywhere; the missions' own agree with time to a fifth of a cadence.
    """
    days = parts[0].cadence_days
    zeros = np.array([part.start_bkjd - part.first_cadence * days for part in parts])
    known = np.sort(zeros[np.isfinite(zeros)])
    if not len(known):
        return sorted(parts, key=lambda part: part.first_cadence)
    shifts = np.nan_to_num((zeros - known[len(known) // 2]) / days)
    moved = [
        replace(part, first_cadence=part.first_cadence + round(shift)) if abs(shift) > 1 else part
        for part, shift in zip(parts, shifts, strict=True)
    ]
    return sorted(moved, key=lambda part: part.first_cadence)


def stitch(parts: Sequence[LightCurve]) -> LightCurve:
    """Lay light curves of one star on one cadence grid; where two overlap the earlier part stays.

    Raises
    ------
    ValueError
        Without parts; for parts of different stars or cadences; for the same quarter twice, which are parts
        that share more than half of the shorter one's good samples.
    """
    if not parts:
        raise ValueError("no light curve to stitch")
    stars = {part.star_id for part in parts if part.star_id}
    if len(stars) > 1:
        raise ValueError(f"light curves of different stars: {', '.join(sorted(stars))}")
    if any(abs(part.cadence_days / parts[0].cadence_days - 1) > 1e-3 for part in parts):
        raise ValueError("light curves of different cadence")
    ordered = _aligned(parts)
    first = ordered[0].first_cadence
    length = max(part.first_cadence + len(part) for part in ordered) - first
    if length > MAX_CADENCES:
        raise ValueError(f"the light curves span {length} cadences, more than any mission lasted")
    flux = np.full(length, np.nan, dtype=np.float32)
    flux_err = flux.copy()
    for part in ordered:
        place = slice(part.first_cadence - first, part.first_cadence - first + len(part))
        taken = np.isfinite(flux[place])
        shared = int((taken & part.valid).sum())
        if 2 * shared > min(int(part.valid.sum()), int(np.isfinite(flux).sum())):
            numbers = ", ".join(map(str, part.quarters)) or "unnumbered"
            raise ValueError(f"the same quarter twice ({numbers}: {shared} good samples are there already)")
        flux[place] = np.where(taken, flux[place], part.flux)
        flux_err[place] = np.where(taken, flux_err[place], part.flux_err)
    return replace(
        ordered[0],
        flux=flux,
        flux_err=flux_err,
        star_id=next(iter(stars), ""),
        quarters=tuple(sorted({quarter for part in ordered for quarter in part.quarters})),
        sources=tuple(source for part in ordered for source in part.sources),
    )


def read_lightcurve(
    paths: str | Path | Sequence[str | Path], *, flux_column: str = "pdcsap", quality: str | int = "default"
) -> LightCurve:
    """Read one or many quarters of one star onto one cadence grid; arguments and errors as one file's.

    Raises
    ------
    UnsupportedFile
        Also where the files are of different stars, cadences, or twice the same quarter.
    """
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not files:
        raise ValueError("no files: give one or more of one star")
    parts = [read_lightcurve_file(path, flux_column=flux_column, quality=quality) for path in files]
    try:
        return stitch(parts)
    except ValueError as error:
        names = ", ".join(Path(path).name for path in files[:3]) + (", ..." if len(files) > 3 else "")
        raise UnsupportedFile(names, str(error), "give the files of one star") from None
