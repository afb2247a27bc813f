"""Telling a Gaia source number from any other long number: it holds the star's position."""

from __future__ import annotations

import math

LEVEL = 12
"""A Gaia source number shifted right by 35 bits is its HEALPix of this level (nested, equatorial)."""

NEAR_ARCSEC = 90.0
"""A level-12 pixel is 51 arcsec wide; stars are found up to 43 arcsec from the centre of their own."""

_RING = (2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4)
_LONGITUDE = (1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7)


def is_gaia_source(number: int, ra: float, dec: float) -> bool:
    """Whether a number is the Gaia source number of a star at a position.

    Parameters
    ----------
    number
        Candidate, such as an object name of 15 to 19 digits.
    ra, dec
        Degrees; NaN is never the place of a source.
    """
    place = pixel_centre(number >> 35)
    if place is None or not (math.isfinite(ra) and math.isfinite(dec)):
        return False
    lon, lat = math.radians(place[0] - ra), (math.radians(place[1]), math.radians(dec))
    half = math.sin((lat[0] - lat[1]) / 2) ** 2 + math.cos(lat[0]) * math.cos(lat[1]) * math.sin(lon / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half)))) * 3600 < NEAR_ARCSEC


def pixel_centre(pixel: int) -> tuple[float, float] | None:
    """Centre of a nested HEALPix pixel of level 12, in degrees; None if there is no such pixel.

    Gorski et al. 2005, ApJ 622, 759, equations 4 to 9.
    """
    side = 1 << LEVEL
    face, inside = divmod(pixel, side * side)
    if not 0 <= face < 12:
        return None
    x = sum(((inside >> (2 * bit)) & 1) << bit for bit in range(LEVEL))
    y = sum(((inside >> (2 * bit + 1)) & 1) << bit for bit in range(LEVEL))
    ring = _RING[face] * side - x - y - 1
    if ring < side:
        in_ring, height, shift = ring, 1 - ring**2 / (3 * side**2), 0
    elif ring > 3 * side:
        in_ring = 4 * side - ring
        height, shift = -1 + in_ring**2 / (3 * side**2), 0
    else:
        in_ring, height, shift = side, (2 * side - ring) * 2 / (3 * side), (ring - side) & 1
    step = (_LONGITUDE[face] * in_ring + x - y + 1 + shift) // 2
    step = (step - 1) % (4 * side) + 1
    return math.degrees((step - (shift + 1) / 2) * math.pi / 2 / in_ring), math.degrees(math.asin(height))
