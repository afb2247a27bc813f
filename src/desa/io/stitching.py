"""Several light curves of one star on one cadence grid; what is missing stays missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from desa.errors import UnsupportedFile
from desa.io.cadences import MAX_CADENCES
from desa.io.registry import read_lightcurve_file
from desa.types import LightCurve

LeftOut = list[dict[str, str]]


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


def put_together(parts: Iterable[LightCurve], left_out: LeftOut) -> list[LightCurve]:
    """A star's light curves from its files': one for each mission, product and time base.

    Parameters
    ----------
    parts
        Light curves of one star, each of one file.
    left_out
        Gets the files that are no use beside the others, and why.
    """
    families: list[list[LightCurve]] = []
    for part in parts:
        family = next((family for family in families if _belong_together(family[0], part)), None)
        if family is None:
            families.append([part])
        else:
            _add(family, part, left_out)
    return [curve for family in families for curve in _stitched(family)]


def _belong_together(one: LightCurve, other: LightCurve) -> bool:
    """Whether two files' samples can share a grid: the same product, cadence and zero of cadence numbers."""
    zeros = [part.start_bkjd - part.first_cadence * one.cadence_days for part in (one, other)]
    return (
        (one.mission, one.meta.get("layout")) == (other.mission, other.meta.get("layout"))
        and abs(one.cadence_days / other.cadence_days - 1) < 1e-3
        and abs(zeros[0] - zeros[1]) < 0.5
    )


def _add(family: list[LightCurve], part: LightCurve, left_out: LeftOut) -> None:
    """Add a part; of two of the same quarter the one with more good samples stays."""
    for place, other in enumerate(family):
        if part.quarters and part.quarters == other.quarters:
            better, worse = (part, other) if part.valid.sum() > other.valid.sum() else (other, part)
            family[place] = better
            reason = f"the same quarter as {better.sources[0]}, which has as many good samples or more"
            left_out.append({"path": worse.sources[0], "reason": reason})
            return
    family.append(part)


def _stitched(family: list[LightCurve]) -> list[LightCurve]:
    """One light curve if the parts fit one grid, else each by itself (sectors years apart)."""
    try:
        return [stitch(family)]
    except ValueError:
        return family
