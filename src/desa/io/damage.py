"""What damaged bytes look like among samples; shared by light curves and spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.errors import DamagedFile

MAX_OVER_MEDIAN = 1e4
"""Values this far beyond their median come from damaged bytes (real spectra: up to 77; the greatest flares:
about 100)."""

MOST_IMPOSSIBLE = 0.05
"""Share of such values above which a file is not read: a few flipped bits are no more than cosmic rays."""

LONGEST_STUCK = 100
"""More equal values in a row are no measurement, but a lost block of a disk. The longest in real files:
60 pixels in LAMOST's spectra, 44 cadences."""


def stuck(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) samples that are one of more than `LONGEST_STUCK` equal ones in a row.

    Parameters
    ----------
    values
        (N,); NaN is equal to nothing.
    """
    ends = np.flatnonzero(np.concatenate([values[1:] != values[:-1], [True]]))
    lengths = np.diff(ends, prepend=-1)
    return np.repeat(lengths > LONGEST_STUCK, lengths)


def check_possible(path: str | Path, possible: NDArray[np.bool_]) -> None:
    """Refuse samples of which too many can't be.

    Parameters
    ----------
    path
        Named in the error.
    possible
        Of each measured sample, whether its value may be one.

    Raises
    ------
    DamagedFile
        If more than `MOST_IMPOSSIBLE` of them are not.
    """
    wrong = int((~possible).sum())
    if wrong > MOST_IMPOSSIBLE * len(possible):
        raise DamagedFile(
            path, f"{wrong} of {len(possible)} samples have impossible values", "download it again"
        )
