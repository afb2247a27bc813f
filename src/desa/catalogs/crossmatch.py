"""Pairing by sky position, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


def _coordinates(ra: ArrayLike, dec: ArrayLike) -> tuple[SkyCoord, NDArray[np.int64]]:
    """Coordinates of the rows that have a position, and which rows those are."""
    from astropy.coordinates import SkyCoord  # takes 0.3 s, and a single file has nothing to be matched with

    ra_, dec_ = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(ra_) & np.isfinite(dec_) & (np.abs(dec_) <= 90))
    return SkyCoord(ra_[rows] * u.deg, dec_[rows] * u.deg), rows


def nearest(
    ra: ArrayLike, dec: ArrayLike, ra_catalog: ArrayLike, dec_catalog: ArrayLike, radius_arcsec: float
) -> NDArray[np.int64]:
    """Nearest catalogue row within a radius, for each position.

    Parameters
    ----------
    ra, dec
        (N,) degrees; NaN finds nothing.
    ra_catalog, dec_catalog
        (M,) degrees; NaN is never found.
    radius_arcsec
        Largest separation in arcseconds.

    Returns
    -------
    NDArray
        (N,) rows of the catalogue, -1 where there is none.
    """
    found = np.full(len(np.asarray(ra)), -1, dtype=np.int64)
    if not len(found) or not len(np.asarray(ra_catalog)):
        return found
    here, rows = _coordinates(ra, dec)
    there, catalog_rows = _coordinates(ra_catalog, dec_catalog)
    if len(rows) and len(catalog_rows):
        index, separation, _ = here.match_to_catalog_sky(there)
        close = separation.arcsec <= radius_arcsec
        found[rows[close]] = catalog_rows[index[close]]
    return found


def groups(ra: ArrayLike, dec: ArrayLike, keys: ArrayLike, radius_arcsec: float) -> NDArray[np.int64]:
    """Number rows so that rows of one star share a number.

    Rows belong together if they share a key or lie within the radius of each other.

    Parameters
    ----------
    ra, dec
        (N,) degrees; NaN where unknown.
    keys
        (N,) identifiers.
    radius_arcsec
        In arcseconds.

    Returns
    -------
    NDArray
        (N,) group numbers from 0.
    """
    _, key_number = np.unique(np.asarray(keys), return_inverse=True)
    count = len(key_number)
    first = np.full(key_number.max(initial=-1) + 1, -1, dtype=np.int64)
    first[key_number[::-1]] = np.arange(count)[::-1]
    left, right = np.arange(count), first[key_number]
    if count > 1 and radius_arcsec > 0:
        from astropy.coordinates import search_around_sky

        here, rows = _coordinates(ra, dec)
        one, other, _, _ = search_around_sky(here, here, radius_arcsec * u.arcsec)
        left, right = np.concatenate([left, rows[one]]), np.concatenate([right, rows[other]])
    graph = coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
