"""Make `src/desa/simulate/data/kepler_calendar.npz`: what all Kepler stars share, from real quarter files.

    python scripts/build_kepler_calendar.py FOLDER    # with files *llc.fits[.gz] of several stars a quarter

Kept by quarter: first and last cadence, the quality bits that all stars have, the cadences at which all stars
have no time, or no corrected flux or a bit that spoils it (as runs), and the mean time of cadence 0.
Derived numbers only; no flux is kept.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from desa.files import written_whole
from desa.io.quality import bitmask
from desa.types import KEPLER_CADENCE_DAYS

OUT = Path(__file__).parents[1] / "src" / "desa" / "simulate" / "data" / "kepler_calendar.npz"
Columns = dict[str, NDArray[np.generic]]


def read(path: Path) -> tuple[int, Columns] | None:
    """(quarter, columns) of one file, None for one that is shortened or of an old release."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            header, data = hdus[0].header, hdus[1].data
            if header.get("DATA_REL") != 25 or header.get("OBSMODE") != "long cadence":
                return None
            names = {"cadence": "CADENCENO", "time": "TIME", "quality": "SAP_QUALITY", "flux": "PDCSAP_FLUX"}
            return int(header["QUARTER"]), {key: np.array(data[name]) for key, name in names.items()}


def runs(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """(start, end, value) of the stretches of equal values that are not 0."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])
    found = [(a, b, values[a]) for a, b in pairwise(edges) if values[a] != 0]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def main() -> None:
    """Read, intersect, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    quarters: dict[int, list[Columns]] = defaultdict(list)
    for path in sorted(parser.parse_args().folder.rglob("kplr*llc.fits*")):
        found = read(path)
        if found is not None:
            quarters[found[0]].append(found[1])
    table, flags, no_time, all_lost = [], [], [], []
    spoilt = bitmask("default", "Kepler")
    for quarter in sorted(quarters):
        longest = max(len(c["cadence"]) for c in quarters[quarter])
        stars = [c for c in quarters[quarter] if len(c["cadence"]) == longest]
        cadence = stars[0]["cadence"].astype(np.int64)
        offsets = [np.nanmedian(c["time"] - cadence * KEPLER_CADENCE_DAYS) for c in stars]
        table.append((quarter, cadence[0], cadence[-1], np.mean(offsets)))
        common = np.bitwise_and.reduce([c["quality"].astype(np.int64) for c in stars])
        time_lost = np.all([~np.isfinite(c["time"].astype(float)) for c in stars], axis=0)
        lost = np.all([~np.isfinite(c["flux"].astype(float)) for c in stars], axis=0)
        for name, values in (
            (flags, common),
            (no_time, time_lost),
            (all_lost, lost | ((common & spoilt) != 0)),
        ):
            rows = runs(values.astype(np.int64))
            rows[:, :2] += cadence[0]
            name.append(rows)
        print(
            quarter, len(stars), cadence[0], cadence[-1], len(flags[-1]), len(no_time[-1]), len(all_lost[-1])
        )
    arrays = {
        "quarters": np.array([row[:3] for row in table], dtype=np.int32),
        "time_offset": np.array([row[3] for row in table]),
        "flags": np.concatenate(flags).astype(np.int32),
        "no_time": np.concatenate(no_time).astype(np.int32)[:, :2],
        "lost": np.concatenate(all_lost).astype(np.int32)[:, :2],
    }
    with written_whole(OUT) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{OUT.stat().st_size / 1e3:.1f} kB; offsets {np.ptp(arrays['time_offset']) * 1440:.2f} min")


if __name__ == "__main__":
    main()
