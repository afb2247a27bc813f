"""K2SFF light curves (Vanderburg & Johnson 2014)."""

from __future__ import annotations

import numpy as np

from desa.errors import DamagedFile
from desa.io.cadences import Samples
from desa.io.fits import AGAIN, OpenFile, text
from desa.io.lightcurves import LightCurveFile, times
from desa.io.registry import reader
from desa.types import KEPLER_CADENCE_DAYS

THRUSTER_FIRING = 1 << 20


@reader
class K2SFF(LightCurveFile):
    """The best aperture: FCOR corrected, FRAW not; MOVING: thrusters fired."""

    product = "K2SFF"
    layout = "K2SFF"
    needed = frozenset({"T", "FRAW", "FCOR", "CADENCENO"})

    def samples(self, file: OpenFile, flux_column: str) -> Samples:
        """FCOR or FRAW."""
        file.check(1)
        table = file.first_table()
        name = text(table.header, "EXTNAME")
        if name not in ("", "BESTAPER"):
            raise DamagedFile(file.path, f"its first table is {name}, not that of the best aperture", AGAIN)
        flux = table.column("FRAW" if flux_column == "sap" else "FCOR", "f8")
        return Samples(
            time=times(table, "T"),
            cadence=table.column("CADENCENO", "i8"),
            flux=flux,
            flux_err=np.full(len(flux), np.nan),
            quality=np.where(table.column("MOVING", "i8") > 0, THRUSTER_FIRING, 0).astype(np.int64),
            cadence_days=KEPLER_CADENCE_DAYS,
        )
