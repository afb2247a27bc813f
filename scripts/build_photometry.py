"""Make `src/desa/simulate/data/bolometric_corrections.npz` from MIST's tables.

    python -m pip download --no-deps astrolachesis==1.0.9 && unzip astrolachesis-1.0.9-*.whl -d lachesis
    python scripts/build_photometry.py lachesis/lachesis/Datafiles/BC_tables/bc_tables.h5    # needs h5py

The tables are those of MIST (Choi et al. 2016, ApJ 823, 102; Dotter 2016, ApJS 222, 8), synthetic
photometry of C3K/ATLAS12 models, as the PyPI package astrolachesis (MIT licence) repacks them. Kept are five
bands, 2500-15000 K, and six extinctions (R_V = 3.1).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from desa.files import written_whole

OUT = Path(__file__).parents[1] / "src" / "desa" / "simulate" / "data" / "bolometric_corrections.npz"
BANDS = {
    "g": "Gaia_G_EDR3",
    "bp": "Gaia_BP_EDR3",
    "rp": "Gaia_RP_EDR3",
    "kp": "Kepler_Kp",
    "v": "Bessell_V",
}
FIRST_BAND_COLUMN = 5
EXTINCTIONS = (0.0, 0.2, 0.6, 1.0, 2.0, 4.0)


def axis(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """The distinct values between two limits."""
    distinct = np.unique(values)
    return distinct[(distinct >= low) & (distinct <= high)]


def nearest(
    nodes: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Index of the node next to each value, and whether it is that node."""
    place = np.abs(values[:, None] - nodes).argmin(1)
    return place, np.isclose(nodes[place], values)


def main() -> None:
    """Read, cut, put on a regular grid, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    with h5py.File(parser.parse_args().tables) as file:
        group = file["UBVRIplus"]
        names = [name.decode() for name in group["band_names"][:]]
        metallicities, data = group["feh_values"][:], group["data"][:].astype(np.float64)
    columns = [FIRST_BAND_COLUMN + names.index(name) for name in BANDS.values()]
    first = data[0]
    axes = {
        "teff": axis(first[:, 0], 2500, 15000),
        "log_g": axis(first[:, 1], -0.5, 5.5),
        "fe_h": axis(metallicities, -2.5, 0.75),
        "av": np.array(EXTINCTIONS),
    }
    values = np.full([len(a) for a in axes.values()] + [len(columns)], np.nan)
    for k, fe_h in enumerate(axes["fe_h"]):
        rows = data[int(np.flatnonzero(metallicities == fe_h)[0])]
        where = [nearest(axes[name], rows[:, c]) for name, c in (("teff", 0), ("log_g", 1), ("av", 3))]
        keep = np.all([found for _, found in where], axis=0)
        teff, log_g, av = (place[keep] for place, _ in where)
        values[teff, log_g, k, av] = rows[keep][:, columns]
    if not np.isfinite(values).all():
        raise SystemExit("the tables don't cover the grid")
    arrays = {f"axis_{name}": a.astype(np.float32) for name, a in axes.items()}
    arrays["bands"] = np.array(list(BANDS))
    arrays["corrections"] = values.astype(np.float16)
    with written_whole(OUT) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{values.shape}, {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
