"""K2VARCAT light curves (Armstrong et al. 2015)."""

from __future__ import annotations

import numpy as np

from desa.io.cadences import Samples, cadences_from_time
from desa.io.fits import OpenFile
from desa.io.lightcurves import LightCurveFile, times
from desa.io.registry import reader
from desa.types import KEPLER_CADENCE_DAYS


@reader
class K2VARCAT(LightCurveFile):
    """DETFLUX detrended, APTFLUX raw; no cadence numbers."""

    product = "K2VARCAT"
    layout = "K2VARCAT"
    needed = frozenset({"TIME", "APTFLUX", "DETFLUX"})

    def samples(self, file: OpenFile, flux_column: str) -> Samples:
        """DETFLUX or APTFLUX."""
        file.check(1)
        table = file.first_table()
        stem = "APTFLUX" if flux_column == "sap" else "DETFLUX"
        time = times(table)
        return Samples(
            time=time,
            cadence=cadences_from_time(time, KEPLER_CADENCE_DAYS),
            flux=table.column(stem, "f8"),
            flux_err=table.column(stem + "_ERR", "f8"),
            quality=np.zeros(len(time), dtype=np.int64),
            cadence_days=KEPLER_CADENCE_DAYS,
        )
