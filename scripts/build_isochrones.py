"""Make `src/desa/simulate/data/isochrones.npz` from the MIST isochrones.

    python -m pip download --no-deps lachesis-grids==0.0.9 && unzip lachesis_grids-0.0.9-*.whl -d lachesis
    python scripts/build_isochrones.py lachesis/lachesis_grids/grids/mist_v2.5_vvcrit0.4.h5    # needs h5py

The isochrones are MIST's with v/v_crit = 0.4 (Choi et al. 2016, ApJ 823, 102; Dotter 2016, ApJS 222, 8), as
the PyPI package lachesis-grids repacks them. Kept are the equivalent evolutionary phases from the zero-age
main sequence to the end of the early asymptotic giant branch, every second age, and four numbers a point as
16-bit integers over their range (log Teff to 2e-5, log L to 1e-4), the initial mass as float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from desa.files import written_whole

OUT = Path(__file__).parents[1] / "src" / "desa" / "simulate" / "data" / "isochrones.npz"
FIRST_EEP, LAST_EEP = 202, 760
METALLICITIES = (-2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5)
LOG_AGES = np.round(np.arange(7.6, 10.201, 0.1), 2)
RANGES = {"mass_left": (0.0, 1.0), "log_teff": (3.3, 4.5), "log_l": (-4.0, 5.0)}


def isochrone(rows: NDArray[np.float64], columns: dict[str, int]) -> dict[str, NDArray[np.float64]]:
    """One isochrone on the grid of phases; NaN where it has none."""
    out = {name: np.full(LAST_EEP - FIRST_EEP + 1, np.nan) for name in ("initial_mass", *RANGES)}
    eep = rows[:, columns["eep"]].astype(int)
    keep = (eep >= FIRST_EEP) & (eep <= LAST_EEP) & np.isfinite(rows[:, columns["log_L"]])
    place, rows = eep[keep] - FIRST_EEP, rows[keep]
    out["initial_mass"][place] = rows[:, columns["initial_mass"]]
    out["mass_left"][place] = rows[:, columns["star_mass"]] / rows[:, columns["initial_mass"]]
    out["log_teff"][place] = rows[:, columns["log_Teff"]]
    out["log_l"][place] = rows[:, columns["log_L"]]
    return out


def quantised(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint16]:
    """Values as 0..65534 between two limits; 65535 stands for NaN."""
    if np.nanmin(values) < low or np.nanmax(values) > high:
        raise SystemExit(f"values reach from {np.nanmin(values)} to {np.nanmax(values)}")
    steps = np.rint((values - low) / (high - low) * 65534)
    return np.where(np.isfinite(values), steps, 65535).astype(np.uint16)


def main() -> None:
    """Read, cut, quantise, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("isochrones", type=Path)
    with h5py.File(parser.parse_args().isochrones) as file:
        names = [n if isinstance(n, str) else n.decode() for n in file.attrs["columns"]]
        columns = {name: i for i, name in enumerate(names)}
        metallicities, log_ages = file["feh_values"][:], file["age_values"][:]
        lengths, values = file["lengths"][:], file["values"][:].astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    found = []
    for fe_h in METALLICITIES:
        for log_age in LOG_AGES:
            block = int(np.argmin(abs(metallicities - fe_h))) * len(log_ages)
            block += int(np.argmin(abs(log_ages - log_age)))
            rows = values[starts[block] : starts[block + 1]]
            if abs(rows[0, columns["age"]] - log_age) > 1e-3:
                raise SystemExit("the isochrones are not in the expected order")
            found.append(isochrone(rows, columns))
    shape = (len(METALLICITIES), len(LOG_AGES), LAST_EEP - FIRST_EEP + 1)
    arrays: dict[str, NDArray[np.generic]] = {
        "axis_fe_h": np.array(METALLICITIES),
        "axis_log_age": LOG_AGES,
        "first_eep": np.array(FIRST_EEP),
        "initial_mass": np.stack([f["initial_mass"] for f in found]).reshape(shape).astype(np.float32),
    }
    for name, (low, high) in RANGES.items():
        table = np.stack([f[name] for f in found]).reshape(shape)
        arrays[name] = quantised(table, low, high)
        arrays[f"range_{name}"] = np.array([low, high])
    with written_whole(OUT) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{shape}, {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
