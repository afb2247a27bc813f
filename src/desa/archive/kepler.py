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

from desa.archive.fits import integer, number, opened, text
from desa.archive.layouts import Samples, read_samples
from desa.archive.quality import bitmask
from desa.errors import DamagedFile, UnsupportedFile
from desa.types import KEPLER_CADENCE_DAYS, LightCurve

HALF_HOUR_DAYS = 30.0 / 1440.0
MAX_CADENCES = 250_000
"""Fourteen years of long cadence; a longer grid comes from a damaged cadence number."""


def _binned(samples: Samples) -> Samples:
    """Short cadence and TESS to 30 minutes: means of the good samples where at least half are good."""
    long_cadence = KEPLER_CADENCE_DAYS if samples.family == "Kepler" else HALF_HOUR_DAYS
    count = round(long_cadence / samples.cadence_days)
    if count < 2:
        return samples
    start = samples.cadence[0] - samples.cadence[0] % count
    bins = (samples.cadence - start) // count
    total = int(bins[-1]) + 1
    good = np.isfinite(samples.flux) & np.isfinite(samples.time)
    index = bins[good]
    number_in = np.bincount(index, minlength=total).astype(np.float64)
    enough = number_in >= 0.5 * count
    with np.errstate(all="ignore"):
        flux = np.bincount(index, samples.flux[good], total) / number_in
        variance = np.bincount(index, samples.flux_err[good] ** 2, total) / number_in**2
        time = np.bincount(index, samples.time[good], total) / number_in
    return Samples(
        time=np.where(enough, time, np.nan),
        cadence=start // count + np.arange(total),
        flux=np.where(enough, flux, np.nan),
        flux_err=np.where(enough, np.sqrt(variance), np.nan),
        quality=np.zeros(total, dtype=np.int64),
        cadence_days=samples.cadence_days * count,
        family=samples.family,
    )


def _checked(path: str | Path, samples: Samples, mask: int) -> Samples:
    """Drop flagged samples and refuse what can't be a light curve."""
    rows = samples.cadence >= 0
    cadence = samples.cadence[rows]
    if len(cadence) < 10:
        raise DamagedFile(path, f"only {len(cadence)} samples")
    if np.any(np.diff(cadence) <= 0):
        raise DamagedFile(path, "cadence numbers do not increase", "download it again")
    if cadence[-1] - cadence[0] > MAX_CADENCES * max(1, round(HALF_HOUR_DAYS / samples.cadence_days)):
        raise DamagedFile(path, "cadence numbers span an impossible time", "download it again")
    times = samples.time[rows]
    flux = np.where((samples.quality[rows] & mask) != 0, np.nan, samples.flux[rows])
    flux = np.where(np.isfinite(times) & (np.abs(flux) < 1e15), flux, np.nan)
    return replace(
        samples,
        time=times,
        cadence=cadence,
        flux=flux,
        flux_err=samples.flux_err[rows],
        quality=samples.quality[rows],
    )


def _start(path: str | Path, samples: Samples, first: int) -> float:
    """Time of cadence `first`; refuses times that do not follow the cadence numbers."""
    good = np.flatnonzero(np.isfinite(samples.time))
    starts = samples.time[good] - (samples.cadence[good] - first) * samples.cadence_days
    if len(good) == 0 or np.ptp(np.percentile(starts, [5, 95])) > 1.0:
        raise DamagedFile(path, "times do not follow the cadence numbers", "download it again")
    return float(np.median(starts[:50]))


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
    masks = {family: bitmask(quality, family) for family in ("Kepler", "TESS")}
    with opened(path) as hdus:
        header = dict(hdus[0].header)
        samples, layout = read_samples(path, hdus, flux_column)
        samples = _binned(_checked(path, samples, masks[samples.family]))
    good = np.flatnonzero(np.isfinite(samples.flux))
    if len(good) < 10:
        raise DamagedFile(path, f"only {len(good)} good samples of {len(samples.flux)}")
    median = float(np.median(samples.flux[good]))
    if not median > 0:
        raise DamagedFile(path, f"the median flux is {median:.3g}, so no relative flux exists")
    first, last = int(samples.cadence[good[0]]), int(samples.cadence[good[-1]])
    flux = np.full(last - first + 1, np.nan, dtype=np.float32)
    flux_err = flux.copy()
    place = samples.cadence[good] - first
    flux[place] = samples.flux[good] / median
    flux_err[place] = samples.flux_err[good] / median
    star, mission = star_and_mission(header)
    tess = mission == "TESS"
    keys = ("SECTOR",) if tess else ("CAMPAIGN",) if mission == "K2" else ("QUARTER",)
    several = layout == "KEPSEISMIC"
    return LightCurve(
        flux=flux,
        flux_err=flux_err,
        first_cadence=first,
        start_bkjd=_start(path, samples, first),
        cadence_days=samples.cadence_days,
        star_id=star,
        mission="KEPSEISMIC" if several else mission,
        quarters=() if several else tuple(integer(header, key) for key in keys if key in header),
        ra=number(header, "RA_OBJ"),
        dec=number(header, "DEC_OBJ"),
        magnitude=number(header, "TESSMAG" if tess else "KEPMAG"),
        sources=(str(path),),
        meta={
            "layout": layout,
            "median_flux": median,
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
