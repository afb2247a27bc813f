"""K2SC light curves (Aigrain et al. 2016): K2 flux without the telescope's motion."""

from __future__ import annotations

import numpy as np

from desa.errors import DamagedFile
from desa.io.cadences import Samples
from desa.io.fits import AGAIN, OpenFile, Table
from desa.io.lightcurves import LightCurveFile, times
from desa.io.registry import reader
from desa.types import KEPLER_CADENCE_DAYS


@reader
class K2SC(LightCurveFile):
    """The release at MAST, and files as the program itself writes them.

    The release has a table for each kind of flux, PDC and SAP, with the motion taken out of ``FLUX``. The
    program's own files have one table, K2SC, with ``FLUX`` as it was and the motion in ``TRPOSI``.
    """

    product = "K2SC"
    layout = "K2SC"
    needed = frozenset({"CADENCE", "TRTIME", "FLUX", "ERROR"})

    def samples(self, file: OpenFile, flux_column: str) -> Samples:
        """Flux without the motion, from PDCSAP or from SAP; of a program's file ``"sap"`` is its input."""
        table = _table(file, flux_column)
        file.check(table.header.get("EXTNAME", 1))
        flux = table.column("FLUX", "f8")
        if table.header.get("EXTNAME") == "K2SC" and flux_column == "pdcsap":
            motion = table.column("TRPOSI", "f8")
            flux = flux - motion + np.nanmedian(motion)
        return Samples(
            time=times(table),
            cadence=table.column("CADENCE", "i8"),
            flux=flux,
            flux_err=table.column("ERROR", "f8"),
            quality=table.column("QUALITY", "i8"),
            cadence_days=KEPLER_CADENCE_DAYS,
        )


def _table(file: OpenFile, flux_column: str) -> Table:
    """The table of one kind of flux; a program's own file has one for all.

    Raises
    ------
    DamagedFile
        If a file of the release lacks it: the other kind is never taken in its place.
    """
    name = flux_column.removesuffix("sap").upper() or "SAP"
    table, first = file.table(name), file.first_table()
    if table is None and first.header.get("EXTNAME") in ("PDC", "SAP"):
        raise DamagedFile(file.path, f"its table {name} is missing", AGAIN)
    return table or first
