"""Which stars are for training and which are not: a hash of the star's identifier decides."""

from __future__ import annotations

import hashlib
from bisect import bisect_right

SPLITS = ("train", "valid", "calibration", "test")
SHARES = (0.7, 0.1, 0.1, 0.1)

_EDGES = tuple(int(round(sum(SHARES[:n]), 9) * 2**64) for n in range(1, len(SHARES)))


def split_of(star_id: str) -> str:
    """Split of a star: the same on every machine, in every survey, whatever else the survey holds.

    Parameters
    ----------
    star_id
        ``"KIC 8462852"``.

    Returns
    -------
    str
        ``"train"`` (70 %), ``"valid"``, ``"calibration"`` or ``"test"`` (10 % each).
    """
    digest = hashlib.blake2b(star_id.encode(), digest_size=8).digest()
    return SPLITS[bisect_right(_EDGES, int.from_bytes(digest, "big"))]
