"""Finding rows by a star's or a spectrum's identifier, or by a place in the sky."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from desa.explore.sky import Place, nearest_on_sky, place_of
from desa.explore.table import ExploreTable

MOST = 20
PREFIXES = ("kic", "epic", "tic", "gaiadr3")


class Finder:
    """Finds rows of a table; its names are sorted when one is first wanted, 0.2 s for a million.

    Parameters
    ----------
    table
        The table.
    """

    def __init__(self, table: ExploreTable) -> None:
        self._table, self._lock = table, threading.Lock()
        self._sorted: list[tuple[pa.Array, pa.Array]] | None = None

    def _names(self) -> list[tuple[pa.Array, pa.Array]]:
        """Names and obsids without spaces in lower case, and the order that sorts them."""
        with self._lock:
            if self._sorted is None:
                plain = [
                    pc.utf8_lower(pc.replace_substring(values, " ", ""))
                    for values in (self._table.star_id, self._table.obsid)
                ]
                self._sorted = [(values, pc.array_sort_indices(values)) for values in plain]
            return self._sorted

    def rows(self, text: str, most: int = MOST) -> tuple[list[int], Place | None]:
        """Rows whose KIC number, name or obsid is the text; if there are none, those that it is a part of.

        Parameters
        ----------
        text
            ``8462852``, ``KIC 8462852``, ``kic8462852``, an obsid, or a part of one; a place in the sky such
            as ``301.5642 44.4569`` or ``20 06 15.4 +44 27 25`` (see `desa.explore.sky.place_of`).
        most
            Rows given at most.

        Returns
        -------
        tuple
            The rows, and the place if the text is one: then they are the nearest, nearest first.
        """
        place = place_of(text)
        if place is not None:
            return nearest_on_sky(self._table, place, most), place
        wanted = re.sub(r"\s+", "", text).lower()
        if not wanted:
            return [], None
        (names, by_name), (obsids, by_obsid) = self._names()
        exact = _equal(names, by_name, wanted, most) + _equal(obsids, by_obsid, wanted, most)
        if wanted.isdigit():
            for prefix in PREFIXES:
                exact += _equal(names, by_name, f"{prefix}{int(wanted)}", most)
        if exact:
            return sorted(set(exact))[:most], None
        part = pc.or_(pc.match_substring(names, wanted), pc.match_substring(obsids, wanted))
        return [int(row) for row in np.flatnonzero(part.to_numpy(zero_copy_only=False))[:most]], None

    def row_named(self, star: str, obsid: str = "") -> int | None:
        """The row of exactly that name, the one of that obsid if there are several; None if there is none."""
        names, order = self._names()[0]
        wanted = star.replace(" ", "").lower()
        rows = _equal(names, order, wanted, len(names)) if wanted else []
        own = [row for row in rows if self._table.obsid[row].as_py() == obsid]
        return min(own or rows, default=None)

    def order_of_names(self) -> NDArray[np.float32]:
        """(N,) each row's place in the order of names, in which KIC 9 comes before KIC 10."""
        names = self._names()[0][0]
        width = pc.max(pc.utf8_length(names)).as_py()
        order = np.asarray(pc.array_sort_indices(pc.utf8_lpad(names, width)))
        places = np.empty(len(order), np.float32)
        places[order] = np.arange(len(order))
        return places


def _equal(names: pa.Array, order: pa.Array, wanted: str, most: int) -> list[int]:
    """The first rows of that name, by bisection."""

    def name_at(place: int) -> str:
        return str(names[order[place].as_py()].as_py())

    found: list[int] = []
    place = bisect_left(range(len(names)), wanted, key=name_at)
    while place < len(names) and len(found) < most and name_at(place) == wanted:
        found.append(int(order[place].as_py()))
        place += 1
    return found
