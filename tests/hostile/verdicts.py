"""What a damaged file that was accepted is worth, beside the whole one."""

from __future__ import annotations

from typing import Any

import numpy as np

from desa.types import LightCurve, Spectrum

Item = LightCurve | Spectrum

SILENT_CHECKED = "ACCEPTED SILENTLY: other numbers, though the file has a checksum"
SILENT_UNCHECKED = "accepted silently: other numbers, in a file that holds no checksum of them"
SILENT_EDITED = "accepted silently: numbers that were written anew as if right"
MUST_NOT = (
    "TRACEBACK",
    "HANG",
    "ABSURD",
    "ABOVE 2 GB",
    "REFUSED IN MANY WORDS",
    SILENT_CHECKED,
)
"""Verdicts that fail the campaign."""

FEW, SHARE = 8, 0.005
"""So many samples, or this share of them, may differ as they do where cosmic rays hit."""

SIGMAS = 3.0


def facts(item: Item) -> dict[str, Any]:
    """What an item says beside its samples."""
    named = {"star_id": item.star_id, "ra": item.ra, "dec": item.dec}
    if isinstance(item, LightCurve):
        more = (item.mission, item.quarters, item.magnitude, round(item.start_bkjd, 3), item.cadence_days)
    else:
        more = (item.obsid, item.z, item.release, item.object_class, sorted(item.snr.items()))
    return {**named, "more": more}


def _first(item: Item) -> int:
    return item.first_cadence if isinstance(item, LightCurve) else 0


def aligned(item: Item, other: Item) -> tuple[np.ndarray, ...]:
    """Flux, sigma and validity of both on the cadences or pixels of both."""
    start = [_first(item), _first(other)]
    size = max(start[0] + len(item), start[1] + len(other)) - min(start)
    found = []
    for one, first in zip((item, other), start, strict=True):
        flux, sigma, valid = np.zeros(size), np.zeros(size), np.zeros(size, bool)
        place = slice(first - min(start), first - min(start) + len(one))
        flux[place], valid[place] = np.nan_to_num(one.flux), one.valid
        with np.errstate(all="ignore"):
            own = one.flux_err if isinstance(one, LightCurve) else 1 / np.sqrt(one.ivar)
        known = one.flux[one.valid]
        scatter = 0.5 * np.diff(np.percentile(np.diff(known), (16, 84)))[0] if len(known) > 2 else 0.0
        sigma[place] = np.where(np.isfinite(own), own, scatter)
        found += [flux, sigma, valid]
    return tuple(found)


def absurd(item: Item) -> bool:
    """Whether numbers came out that no star has."""
    values = item.flux[item.valid]
    if not len(values) or not np.isfinite(values).all() or np.ptp(values) == 0:
        return True
    return isinstance(item, LightCurve) and not abs(np.median(values) - 1) < 0.05


def judged(item: Item, whole: Item, silent: str) -> str:
    """The verdict on an item that a damaged file gave.

    Parameters
    ----------
    item, whole
        Of the damaged and the good file.
    silent
        The verdict where its numbers are others.
    """
    if absurd(item):
        return "ABSURD"
    if type(item) is not type(whole) or abs(_first(item) - _first(whole)) > 10**6:
        return silent
    flux, sigma, valid, good_flux, good_sigma, good_valid = aligned(item, whole)
    both = valid & good_valid
    beyond = both & (
        np.abs(flux - good_flux) > SIGMAS * np.minimum(sigma, good_sigma) + 1e-7 * np.abs(good_flux)
    )
    strange = int(beyond.sum() + (valid & ~good_valid).sum())
    grid = isinstance(item, Spectrum) and abs(item.log_wavelength_start - whole.log_wavelength_start) > 1e-6
    if grid or strange > max(FEW, SHARE * good_valid.sum()):
        return silent
    if str(facts(item)) != str(facts(whole)):
        return "accepted: the same samples; another name, place or label in its header"
    if strange:
        return "accepted: a few samples are others, as where cosmic rays hit"
    if (good_valid & ~valid).any():
        return "accepted: some samples are missing, the others the same"
    changed = np.any(flux[both] != good_flux[both]) or np.any(sigma[both] != good_sigma[both])
    return "accepted: other within the noise" if changed else "accepted: unharmed"
