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

from desa.archive.cadences import MAX_CADENCES, on_grid
from desa.archive.fits import integer, number, opened, text
from desa.archive.layouts import read_samples
from desa.archive.quality import FAMILIES, bitmask
from desa.errors import UnsupportedFile
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
        `desa.archive.quality`.

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
    masks = {family: bitmask(quality, family) for family in FAMILIES}
    with opened(path) as file:
        samples, layout = read_samples(file, flux_column)
        grid = on_grid(path, samples, masks[samples.family])
        header = file.header
        star, mission = star_and_mission(header)
        tess, whole = mission == "TESS", layout == "KEPSEISMIC"
        part = {"TESS": "SECTOR", "K2": "CAMPAIGN"}.get(mission, "QUARTER")
        return LightCurve(
            flux=grid.flux,
            flux_err=grid.flux_err,
            first_cadence=grid.first_cadence,
            start_bkjd=grid.start_bkjd if samples.time[0] > 1 or not whole else float("nan"),
            cadence_days=grid.cadence_days,
            star_id=star,
            mission="KEPSEISMIC" if whole else mission,
            quarters=() if whole or part not in header else (integer(header, part),),
            ra=number(header, "RA_OBJ"),
            dec=number(header, "DEC_OBJ"),
            magnitude=number(header, "TESSMAG" if tess else "KEPMAG"),
            sources=(str(path),),
            meta={
                "layout": layout,
                "median_flux": grid.median_flux,
                "teff": number(header, "TEFF"),
                "log_g": number(header, "LOGG"),
                "fe_h": number(header, "MH" if tess else "FEH"),
            },
        )


def stitch(parts: Sequence[LightCurve]) -> LightCurve:
    """Lay light curves of one star on one cadence grid; where two overlap the earlier part stays.

    Raises
    ------
    ValueError
        Without parts, for parts of different stars or cadences, or for the same quarter twice.
    """
    if not parts:
        raise ValueError("no light curve to stitch")
    ordered = sorted(parts, key=lambda part: part.first_cadence)
    stars = {part.star_id for part in ordered if part.star_id}
    if len(stars) > 1:
        raise ValueError(f"light curves of different stars: {', '.join(sorted(stars))}")
    days = ordered[0].cadence_days
    if any(abs(part.cadence_days / days - 1) > 1e-3 for part in ordered):
        raise ValueError("light curves of different cadence")
    quarters = [quarter for part in ordered for quarter in part.quarters]
    if len(set(quarters)) < len(quarters) and len({part.first_cadence for part in ordered}) < len(ordered):
        raise ValueError(f"the same quarter twice (quarters {quarters})")
    first = ordered[0].first_cadence
    length = max(part.first_cadence + len(part) for part in ordered) - first
    if length > MAX_CADENCES:
        raise ValueError(f"the light curves span {length} cadences, more than any mission lasted")
    flux = np.full(length, np.nan, dtype=np.float32)
    flux_err = flux.copy()
    for part in ordered:
        place = slice(part.first_cadence - first, part.first_cadence - first + len(part))
        free = ~np.isfinite(flux[place])
        flux[place] = np.where(free, part.flux, flux[place])
        flux_err[place] = np.where(free, part.flux_err, flux_err[place])
    return replace(
        ordered[0],
        flux=flux,
        flux_err=flux_err,
        quarters=tuple(sorted(set(quarters))),
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
    parts = [read_lightcurve_file(path, flux_column=flux_column, quality=quality) for path in files]
    try:
        return stitch(parts)
    except ValueError as error:
        names = ", ".join(Path(path).name for path in files[:3]) + (", ..." if len(files) > 3 else "")
        raise UnsupportedFile(names, str(error), "give the files of one star") from None
