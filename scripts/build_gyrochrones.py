"""Make `src/desa/simulate/data/gyrochrones.npz`: rotation period by effective temperature and age.

    python -m pip install --target gyro --no-deps gyrointerp==0.7
    PYTHONPATH=gyro python scripts/build_gyrochrones.py

The table is the mean slow sequence of Bouma, Palumbo & Hillenbrand (2023, ApJL 947, L3), interpolated between
open clusters from 80 Myr to 2.6 Gyr and extended to 4 Gyr, as their package gyrointerp (MIT licence) gives
it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gyrointerp.models import slow_sequence

from desa.files import written_whole

OUT = Path(__file__).parents[1] / "src" / "desa" / "simulate" / "data" / "gyrochrones.npz"
TEFF = np.arange(3800.0, 6201.0, 50.0)
AGE_MYR = np.geomspace(80.0, 4000.0, 48)


def main() -> None:
    """Tabulate and write."""
    prot = np.stack([slow_sequence(TEFF, age, bounds_error="4gyrextrap") for age in AGE_MYR], axis=1)
    if not np.isfinite(prot).all():
        raise SystemExit("the table has holes")
    arrays = {"axis_teff": TEFF, "axis_log_age": np.log10(AGE_MYR) - 3.0, "prot": prot.astype(np.float32)}
    with written_whole(OUT) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{prot.shape}, {OUT.stat().st_size / 1e3:.1f} kB, {prot.min():.2f} to {prot.max():.2f} d")


if __name__ == "__main__":
    main()
