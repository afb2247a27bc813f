"""Finding rows by a star's or a spectrum's identifier."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from desa.explore.table import ExploreTable

MOST = 20


def find_rows(table: ExploreTable, text: str, most: int = MOST) -> list[int]:
    """Rows whose KIC number, name or obsid is the text; if there are none, those that it is a part of.

    Parameters
    ----------
    table
        The table.
    text
        ``8462852``, ``KIC 8462852``, ``kic8462852``, an obsid, or a part of one.
    most
        Rows given at most.
    """
    wanted = re.sub(r"\s+", "", text).lower()
    if not wanted:
        return []
    names = pc.utf8_lower(pc.replace_substring(table.star_id, " ", ""))
    obsids = pc.utf8_lower(table.obsid)
    exact = pc.or_(pc.equal(names, wanted), pc.equal(obsids, wanted))
    if wanted.isdigit():
        number = str(int(wanted))
        for prefix in ("kic", "epic", "tic", "gaiadr3"):
            exact = pc.or_(exact, pc.equal(names, prefix + number))
    rows = _rows(exact, most)
    if rows:
        return rows
    part = pc.or_(pc.match_substring(names, wanted), pc.match_substring(obsids, wanted))
    return _rows(part, most)


def _rows(chosen: pa.BooleanArray, most: int) -> list[int]:
    return [int(row) for row in np.flatnonzero(chosen.to_numpy(zero_copy_only=False))[:most]]
