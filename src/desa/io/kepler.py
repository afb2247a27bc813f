"""Light curves of the Kepler, K2 and TESS pipelines: long cadence, and short cadence binned to 30 minutes."""

from __future__ import annotations

import numpy as np

from desa.errors import FileRefused, UnsupportedFile
from desa.io.cadences import Samples
from desa.io.fits import OpenFile, number, text
from desa.io.lightcurves import LightCurveFile, times
from desa.io.registry import Front, reader, supported
from desa.types import KEPLER_CADENCE_DAYS

PIPELINE_COLUMNS = frozenset(
    {"TIME", "TIMECORR", "CADENCENO", "SAP_QUALITY", "QUALITY", "POS_CORR1", "POS_CORR2"}
    | {f"{kind}{end}" for kind in ("SAP_FLUX", "SAP_BKG", "PDCSAP_FLUX") for end in ("", "_ERR")}
    | {f"{kind}_CENTR{axis}{end}" for kind in ("PSF", "MOM") for axis in "12" for end in ("", "_ERR")}
)


@reader
class PipelineLightCurve(LightCurveFile):
    """Tables of the missions' own pipelines."""

    product = "Kepler, K2 and TESS light curves in flux"
    layout = "pipeline"
    needed = frozenset({"TIME", "CADENCENO", "PDCSAP_FLUX", "SAP_FLUX"})

    def refusal(self, file: Front) -> FileRefused | None:
        """Other files of the missions, and tables of pixels or magnitudes."""
        names = file.columns
        if any("PIXELS" in name or name == "FLUX_BKG" for name in names):
            what = "a target pixel file (images, not a light curve)"
        elif any(name.startswith(("IRM", "MAG", "DELTA_MAG", "TFA", "PCA")) for name in names):
            what = "a light curve in magnitudes"
        elif text(file.header, "TELESCOP").upper() not in ("KEPLER", "TESS"):
            return None
        elif names:
            what = f"a table with unknown columns ({', '.join(sorted(names)[:4])}, ...)"
        else:
            what = "a FITS file without a light-curve table"
        return UnsupportedFile(file.path, what, supported("lightcurve"))

    def samples(self, file: OpenFile, flux_column: str) -> Samples:
        """PDCSAP_FLUX or SAP_FLUX.

        Tools that add columns (PyKE's kepcotrend) leave a checksum that no longer holds, so it counts only
        where the columns are the pipeline's.
        """
        table = file.first_table()
        if table.names <= PIPELINE_COLUMNS:
            file.check(1)
        name = {"pdcsap": "PDCSAP_FLUX", "sap": "SAP_FLUX"}[flux_column]
        family = "Kepler" if "SAP_QUALITY" in table.names else "TESS"
        quality = "SAP_QUALITY" if family == "Kepler" else "QUALITY"
        days = number(table.header, "TIMEDEL")
        flux = table.column(name, "f8")
        return Samples(
            time=times(table),
            cadence=table.column("CADENCENO", "i8"),
            flux=flux,
            flux_err=table.column(name + "_ERR", "f8"),
            quality=table.column(quality, "i8")
            if quality in table.names
            else np.zeros(len(flux), dtype=np.int64),
            cadence_days=days if np.isfinite(days) and days > 0 else KEPLER_CADENCE_DAYS,
            family=family,
        )
