"""When Kepler looked: quarters, gaps and quality flags that all its stars share, and who missed what.

The table (`scripts/build_kepler_calendar.py`) was read off real files of data release 25: quarters' cadence
numbers, common SAP_QUALITY bits (downlinks, safe modes, coarse pointing, argabrightenings), and cadences
without a time or a good corrected flux.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from desa.types import KEPLER_CADENCE_DAYS

QUARTERS: Final = tuple(range(18))
DEAD_MODULE_CADENCE: Final = 12934
"""Last cadence of module 3, which failed in quarter 4 (January 2010)."""
ON_DEAD_MODULE: Final = 0.19
"""Share of the stars that turn onto module 3 (or 7, lost too) in one of the four seasons."""
Q0_SHARE: Final = 0.30
"""Share of the stars that the commissioning quarter already had."""
DROPPED_SHARE: Final = 0.16
"""Share of the stars that were targets for a part of the mission only."""


@dataclass(frozen=True, eq=False)
class Calendar:
    """The mission's cadences, from the first of quarter 0 to the last of quarter 17.

    Parameters
    ----------
    quarters
        (18, 3): quarter, first cadence, last cadence.
    time_offset
        BKJD days at cadence 0, on the mean cadence.
    quality
        (L,) SAP_QUALITY bits that all stars share.
    no_time
        (L,) cadences without a time stamp.
    lost
        (L,) cadences that no star has a good flux of: flagged, or without corrected flux.
    """

    quarters: NDArray[np.int32]
    time_offset: float
    quality: NDArray[np.int32]
    no_time: NDArray[np.bool_]
    lost: NDArray[np.bool_]

    @property
    def first(self) -> int:
        """First cadence number."""
        return int(self.quarters[0, 1])

    @cached_property
    def quarter(self) -> NDArray[np.int8]:
        """(L,) quarter of each cadence, -1 between quarters."""
        out = np.full(len(self.quality), -1, dtype=np.int8)
        for number, first, last in self.quarters:
            out[first - self.first : last + 1 - self.first] = number
        return out

    def span(self, quarter: int) -> slice:
        """Where a quarter lies in the arrays."""
        _, first, last = self.quarters[quarter]
        return slice(int(first) - self.first, int(last) + 1 - self.first)

    def time(self, place: slice) -> NDArray[np.float64]:
        """BKJD days of a stretch of cadences."""
        cadence = self.first + np.arange(place.start, place.stop)
        return np.asarray(self.time_offset + KEPLER_CADENCE_DAYS * cadence)


def calendar_of(arrays: Any) -> Calendar:
    """A calendar from the arrays that `scripts/build_kepler_calendar.py` writes."""
    quarters = arrays["quarters"]
    first, length = int(quarters[0, 1]), int(quarters[-1, 2] - quarters[0, 1] + 1)
    quality = np.zeros(length, dtype=np.int32)
    for start, stop, bits in arrays["flags"]:
        quality[start - first : stop - first] = bits
    masks = {}
    for name in ("no_time", "lost"):
        masks[name] = np.zeros(length, dtype=bool)
        for start, stop in arrays[name]:
            masks[name][start - first : stop - first] = True
    lost = masks["no_time"] | masks["lost"]
    offset = float(np.mean(arrays["time_offset"]))
    return Calendar(quarters, offset, quality, masks["no_time"], lost)


@cache
def load_calendar() -> Calendar:
    """The calendar shipped with desa (read once a process)."""
    path = resources.files("desa.simulate") / "data" / "kepler_calendar.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
        return calendar_of(dict(arrays))


@dataclass(frozen=True)
class Coverage:
    """Which quarters a star has.

    Parameters
    ----------
    quarters
        Ascending.
    season
        0 to 3: with the quarter's number it says on which of its four modules the star lies.
    cut_quarter_4
        Whether quarter 4 ends when module 3 failed.
    """

    quarters: tuple[int, ...]
    season: int
    cut_quarter_4: bool


def draw_coverage(rng: np.random.Generator) -> Coverage:
    """Quarters of a star: most have all from quarter 1 or 0, a fifth lose each fourth, some have a few."""
    season = int(rng.integers(4))
    dead = rng.random() < ON_DEAD_MODULE
    start = 0 if rng.random() < Q0_SHARE else 1
    stop = 17
    if rng.random() < DROPPED_SHARE:
        start, stop = sorted(int(q) for q in rng.integers(0, 18, 2))
    kept = [q for q in range(start, stop + 1) if not (dead and q > 4 and q % 4 == season)]
    if not kept:
        kept = [9]
    return Coverage(tuple(kept), season, dead and season == 0)
