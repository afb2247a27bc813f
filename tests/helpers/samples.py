"""Small archive files that pair with each other, for ingest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits


def write_quarter(
    path: Path, kic: int, quarter: int, ra: float = 290.0, dec: float = 45.0, **cards: Any
) -> Path:
    """A small long-cadence Kepler file."""
    rng = np.random.default_rng([kic, quarter])
    cadence = 1105 + 100 * quarter + np.arange(60)
    flux = rng.normal(1000 * (1 + quarter), 1, 60).astype(np.float32)
    flux[5:8] = np.nan
    columns = [
        fits.Column("TIME", "D", array=131.5 + 0.020433598 * (cadence - 1105)),
        fits.Column("CADENCENO", "J", array=cadence),
        *(fits.Column(name, "E", array=flux) for name in ("SAP_FLUX", "PDCSAP_FLUX")),
        *(fits.Column(f"{name}_ERR", "E", array=flux * 1e-4) for name in ("SAP_FLUX", "PDCSAP_FLUX")),
        fits.Column("SAP_QUALITY", "J", array=np.zeros(60, int)),
    ]
    primary = fits.PrimaryHDU()
    primary.header.update(TELESCOP="Kepler", KEPLERID=kic, OBJECT=f"KIC {kic}", QUARTER=quarter)
    primary.header.update(RA_OBJ=ra, DEC_OBJ=45.0, KEPMAG=12.0)
    primary.header.update(cards)
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([primary, fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")]).writeto(path)
    return path


def write_spectrum(path: Path, obsid: int, ra: float = 290.0, **cards: Any) -> Path:
    """A LAMOST file in the layout of DR2 to DR8."""
    rng = np.random.default_rng(obsid)
    rows = np.zeros((5, 3100), dtype=np.float32)
    rows[0], rows[1] = rng.normal(100, 1, 3100), 1
    rows[2] = 10 ** (3.5682 + 1e-4 * np.arange(3100))
    primary = fits.PrimaryHDU(rows)
    primary.header.update(TELESCOP="LAMOST", OBSID=obsid, RA=ra, DEC=45.0, Z=1e-5, SNRG=30.0)
    primary.header.update({"CLASS": "STAR", "SUBCLASS": "G2", "DESIG": f"LAMOST J{obsid}"})
    primary.header.update({"DATA_V": "LAMOST DR5", **cards})
    path.parent.mkdir(parents=True, exist_ok=True)
    primary.writeto(path)
    return path
