"""KEPSEISMIC light curves (Garcia et al. 2011): a whole mission, gaps filled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.errors import DamagedFile
from desa.io.cadences import BKJD_ZERO, Samples, cadences_from_time
from desa.io.fits import AGAIN, OpenFile
from desa.io.lightcurves import LightCurveFile
from desa.io.registry import Choices, Front, reader
from desa.types import LightCurve

FILLED_IN = 1
OBSERVED_FLAG, FILLED_FLAG = 1, 2


@reader
class Kepseismic(LightCurveFile):
    """An (N, 2) image of days and ppm about 0 on an even grid.

    The second part says which samples were observed (1) and which filled in (2); these last are gaps.
    Times are BJD - 2400000; a few files count from their own first sample, and their BKJD is not known.
    """

    product = "KEPSEISMIC files"
    layout = "KEPSEISMIC"

    def claims(self, file: Front) -> bool:
        """Whether the primary part is an image of two columns."""
        header = file.header
        return not file.columns and bool(header.get("NAXIS") == 2 and header.get("NAXIS1") == 2)

    def samples(self, file: OpenFile, flux_column: str) -> Samples:
        """The image's; there is one kind of flux."""
        image = file.image().astype(np.float64)
        time = image[:, 0]
        days = float(np.median(np.diff(time)))
        if np.nanmedian(time) > 50_000:
            time = time + (2_400_000.0 - BKJD_ZERO)
        filled = _flags(file, len(time)) == FILLED_FLAG
        return Samples(
            time=time,
            cadence=cadences_from_time(time, days) if time[0] > 1 else np.rint(time / days).astype(np.int64),
            flux=1.0 + 1e-6 * image[:, 1],
            flux_err=np.full(len(time), np.nan),
            quality=np.where(filled, FILLED_IN, 0).astype(np.int64),
            cadence_days=days,
            family="KEPSEISMIC",
        )

    def read(self, file: OpenFile, member: str, choices: Choices) -> LightCurve:
        """As of any file; the header's quarter is only the last of many."""
        curve = super().read(file, member, choices)
        unknown = float(file.image()[0, 0]) < 1
        start = float("nan") if unknown else curve.start_bkjd
        return replace(curve, mission="KEPSEISMIC", quarters=(), start_bkjd=start)


def _flags(file: OpenFile, count: int) -> NDArray[Any]:
    """(count,) what the second part says of each sample.

    Raises
    ------
    DamagedFile
        If the file was cut after its first part: what was filled in would look like data.
    """
    flags = file.hdus[1].data if len(file.hdus) > 1 else None
    if flags is not None:
        file.check(1)
    if flags is None or np.shape(flags) != (count,) or not np.isin(flags, (OBSERVED_FLAG, FILLED_FLAG)).all():
        raise DamagedFile(file.path, "the part that says which samples were filled in is missing", AGAIN)
    return np.asarray(flags)
