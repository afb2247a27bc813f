"""Places in the sky: reading them from what a user types, and the rows nearest to one."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desa.explore.table import ExploreTable

RADIUS = 0.5
"""Degrees within which rows count as near a place."""

NUMBER = r"(\d+(?:\.\d+)?)"
DECIMAL = re.compile(rf"\s*{NUMBER}°?\s*[,;\s]\s*([+\-−]?)\s*{NUMBER}°?\s*")
SEXAGESIMAL = re.compile(
    rf"\s*(\d+)[h:\s]\s*(\d+)[m:\s]\s*{NUMBER}s?\s*[,;]?\s*"
    rf"([+\-−])?\s*(\d+)[d°:\s]\s*(\d+)[m'′:\s]\s*{NUMBER}[s\"″]?\s*"
)


@dataclass(frozen=True)
class Place:
    """A place in the sky, degrees (ICRS)."""

    ra: float
    dec: float


def place_of(text: str) -> Place | None:
    """The place that a text names: two numbers in degrees, or hours, minutes, seconds and degrees.

    Two whole numbers that could be identifiers count as degrees only if they lie in the ranges of right
    ascension and declination. None if the text is no place.
    """
    found = DECIMAL.fullmatch(text)
    if found:
        ra, sign, dec = float(found[1]), found[2], float(found[3])
    else:
        found = SEXAGESIMAL.fullmatch(text)
        if not found:
            return None
        hours, minutes, degrees, arcmin = (int(found[part]) for part in (1, 2, 5, 6))
        seconds, arcsec, sign = float(found[3]), float(found[7]), found[4] or ""
        if max(minutes, seconds, arcmin, arcsec) >= 60:
            return None
        ra = 15 * (hours + minutes / 60 + seconds / 3600)
        dec = degrees + arcmin / 60 + arcsec / 3600
    if ra >= 360 or dec > 90:
        return None
    return Place(ra, -dec if sign in ("-", "−") else dec)


def separations(table: ExploreTable, place: Place) -> NDArray[np.float64]:
    """(N,) degrees between each row and a place (haversine formula); NaN where a row's place is unknown."""
    ra, dec = np.radians(table.ra), np.radians(table.dec)
    here = np.radians(place.dec)
    half = np.sin((dec - here) / 2) ** 2
    half += np.cos(dec) * np.cos(here) * np.sin((ra - np.radians(place.ra)) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))))


def nearest_on_sky(table: ExploreTable, place: Place, most: int, radius: float = RADIUS) -> list[int]:
    """Rows within a radius of a place (degrees), nearest first."""
    apart = separations(table, place)
    near = np.flatnonzero(apart <= radius)
    return [int(row) for row in near[np.argsort(apart[near], kind="stable")][:most]]
