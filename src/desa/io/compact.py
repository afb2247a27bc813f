"""Tables of light curves, one or many stars in a Parquet file, as people publish them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.errors import DamagedFile, FileRefused
from desa.io.cadences import BKJD_ZERO, Samples, cadences_from_time, on_grid
from desa.io.quality import bitmask
from desa.io.registry import Choices, Front, Glance, Reader, reader
from desa.io.stitching import stitch
from desa.io.tables import StoredTable, open_table
from desa.types import KEPLER_CADENCE_DAYS, LightCurve

Array = NDArray[np.float64]

BTJD_ZERO, REDUCED_JD_ZERO = 2457000.0, 2400000.0
TESS_HALF_HOUR_DAYS = 30.0 / 1440.0
COUNTS, NORMALISED, RELATIVE, MAGNITUDES, SHIFTED = (
    "counts",
    "normalised",
    "relative",
    "magnitudes",
    "shifted",
)
SHIFTED_SPREAD = 1e-3
"""Robust standard deviation (half of the middle 68 %) given to a light curve of unknown amplitude."""

MAX_REPEATED = 0.01
"""Times of which more repeat than this share are too coarse to number the samples by."""


@dataclass(frozen=True)
class Layout:
    """Which columns a table has, and what they hold.

    Parameters
    ----------
    name
        What it is called in ``meta["layout"]``.
    time, zero
        Column of times, and the Julian day they count from.
    flux
        Column of the corrected flux.
    unit
        ``"counts"``: electrons a second; ``"normalised"``: over their median; ``"relative"``: that less 1;
        ``"magnitudes"``: about an unknown mean; ``"shifted"``: electrons a second, each quarter less its
        median, so that shape and times are known and the amplitude is not.
    star
        Column of the KIC number; None: one star, whom the file's name may name.
    raw, error, quality, cadence
        Columns of the flux as measured, its error, the flags and the mission's cadence number.
    part
        Column by which parts are told that have a flux level of their own.
    more
        Further columns.
    mission
        ``"Kepler"`` or ``"TESS"``.
    """

    name: str
    time: str
    flux: str
    zero: float = BKJD_ZERO
    unit: str = COUNTS
    star: str | None = "KIC"
    raw: str | None = None
    error: str | None = None
    quality: str | None = None
    cadence: str | None = None
    part: str | None = None
    more: tuple[str, ...] = ()
    mission: str = "Kepler"

    @property
    def columns(self) -> frozenset[str]:
        """All of them; a table has these and no others."""
        named = (self.time, self.flux, self.star, self.raw, self.error, self.quality, self.cadence, self.part)
        return frozenset(name for name in (*named, *self.more) if name)


LAYOUTS = (
    Layout(
        "pipeline table",
        *("TIME", "PDCSAP_FLUX"),
        raw="SAP_FLUX",
        error="PDCSAP_FLUX_ERR",
        quality="SAP_QUALITY",
        cadence="CADENCENO",
    ),
    Layout(
        "TESS full-frame images",
        *("TIME_BTJD", "CORR_FLUX"),
        zero=BTJD_ZERO,
        raw="RAW_FLUX",
        error="FLUX_ERR",
        quality="QUALITY",
        more=("TIC", "PCA_FLUX"),
        mission="TESS",
    ),
    Layout("flux table", "TIME_BKJD", "FLUX", unit=NORMALISED),
    Layout("flux table", "TIME_BKJD", "FLUX", unit=NORMALISED, star=None, error="FLUX_ERR"),
    Layout("flux table", "TIME", "FLUX", part="LABEL"),
    Layout("flux table", "TIME_BKJD_2DEC", "FLUX", part="QUARTER_LABEL"),
    Layout("flux table", "TIME_D", "CORRECTED_FLUX", zero=REDUCED_JD_ZERO, unit=RELATIVE),
    Layout("magnitudes", "TIME_BJD_2400000", "DELTA_MAG", zero=REDUCED_JD_ZERO, unit=MAGNITUDES, star=None),
    Layout("magnitudes", "T", "Y", zero=REDUCED_JD_ZERO, unit=MAGNITUDES, star=None),
    Layout("magnitudes", "TIME_BKJD", "MAG", unit=MAGNITUDES, star=None, error="MAG_ERR"),
    Layout("shifted flux", "TIME_BKJD", "FLUX_SHIFTED", unit=SHIFTED, star=None, part="QUARTER_INDEX"),
)
"""Every table that is read; a new one is one more entry."""

_OF_COLUMNS: Mapping[frozenset[str], Layout] = {layout.columns: layout for layout in LAYOUTS}


@reader
class LightCurveTable(Reader[StoredTable]):
    """Parquet tables in one of `LAYOUTS`.

    Magnitudes, which are about an unknown mean, become a relative flux about 1, and ``meta`` says so. Nothing
    more than the star's number is known of the stars in such a table: positions come by a table of labels.
    """

    kind = "lightcurve"
    one = "a table of light curves"
    product = "Parquet tables of light curves"
    in_tables = True

    def claims(self, file: Front) -> bool:
        """Whether the columns are those of a layout, and no others."""
        return file.columns in _OF_COLUMNS

    def members(self, file: Front) -> Sequence[str]:
        """``"KIC 757450"``, ...; one empty name for a table of one star."""
        star = _OF_COLUMNS[file.columns].star
        return open_table(file.path).names(star, "KIC ") if star else ("",)

    def glance(self, file: Front, member: str) -> Glance:
        """The star's name is all there is."""
        return Glance(self.kind, member or _name_in(file.path))

    def read(self, file: StoredTable, member: str, choices: Choices) -> LightCurve:
        """A star's parts, each divided by its median, on one grid."""
        layout = _OF_COLUMNS[file.columns]
        path = f"{file.path}::{member}" if member else str(file.path)
        curves: list[LightCurve] = []
        refused: list[FileRefused] = []
        for part in _parts(file, layout, _rows(file, layout, member)):
            try:
                curves.append(_curve(path, layout, _samples(path, file, layout, part, choices), choices))
            except FileRefused as error:
                refused.append(error)
        if not curves:
            raise refused[0]
        try:
            curve = stitch(curves)
        except ValueError as error:
            raise DamagedFile(path, str(error)) from None
        left_out = {"parts_left_out": [error.reason for error in refused]} if refused else {}
        return replace(
            curve,
            star_id=member or _name_in(file.path),
            sources=(path,),
            meta={**curve.meta, **left_out},
        )


def _name_in(path: str | Path) -> str:
    """The star that a file's name names, empty without."""
    found = re.search(r"(kic|epic|tic)[ _-]*0*(\d+)", Path(path).stem, re.IGNORECASE)
    return f"{found[1].upper()} {found[2]}" if found else ""


def _rows(file: StoredTable, layout: Layout, member: str) -> NDArray[np.int64]:
    """Rows of a star that have a time, in its order."""
    if layout.star:
        rows = file.rows_of(layout.star)[int(member.removeprefix("KIC "))]
    else:
        rows = np.arange(len(file.column(layout.time)))
    rows = np.compress(np.isfinite(file.column(layout.time)[rows]), rows)
    if not len(rows):
        raise DamagedFile(file.path, f"no sample{' of ' + member if member else ''} has a time")
    return rows


def _parts(file: StoredTable, layout: Layout, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each part that has a level of its own; copies of a part under another label are left out."""
    if layout.part is None:
        return [rows]
    labels = file.column(layout.part)[rows]
    time, flux = file.column(layout.time), file.column(layout.flux)
    found: dict[Any, NDArray[np.int64]] = {}
    for label in dict.fromkeys(labels.tolist()):
        part = rows[labels == label]
        found.setdefault((time[part].tobytes(), flux[part].tobytes()), part)
    return list(found.values())


def _samples(
    path: str, file: StoredTable, layout: Layout, rows: NDArray[np.int64], choices: Choices
) -> Samples:
    """Samples of a part, in the order of time."""
    time = file.column(layout.time)[rows].astype(np.float64) + (layout.zero - BKJD_ZERO)
    order = np.argsort(time, kind="stable")
    rows, time = rows[order], time[order]
    if np.mean(np.diff(time) == 0) > MAX_REPEATED:
        raise DamagedFile(path, "times are too coarse: many samples have the same")
    days = KEPLER_CADENCE_DAYS if layout.mission == "Kepler" else TESS_HALF_HOUR_DAYS
    cadence = cadences_from_time(time, days)
    if layout.cadence:
        cadence = file.column(layout.cadence)[rows].astype(np.int64)
    kept = np.flatnonzero(np.diff(cadence, prepend=cadence[:1] - 1) > 0)
    rows, time, cadence = rows[kept], time[kept], cadence[kept]

    def column(name: str | None, missing: float) -> Array:
        blank = np.full(len(rows), missing)
        return file.column(name)[rows].astype(np.float64) if name else blank

    raw = layout.raw is not None and choices.flux_column == "sap"
    values = column(layout.raw if raw else layout.flux, np.nan)
    if layout.unit == SHIFTED:
        # By one number for the whole star, so that quarters keep their sizes beside each other.
        values = values / _spread(path, file.column(layout.flux))
    flux, error = _as_flux(values, column(None if raw else layout.error, np.nan), layout)
    return Samples(
        time=time,
        cadence=cadence,
        flux=flux,
        flux_err=error,
        quality=column(layout.quality, 0).astype(np.int64),
        cadence_days=days,
        family=layout.mission,
    )


def _spread(path: str, values: Array) -> float:
    """Robust standard deviation of a star's differences of flux."""
    known = values[np.isfinite(values)].astype(np.float64)
    sigma = 0.5 * float(np.diff(np.percentile(known, (16, 84)))[0]) if len(known) else 0.0
    if not sigma > 0:
        raise DamagedFile(path, "its differences of flux are all the same")
    return sigma


def _as_flux(values: Array, error: Array, layout: Layout) -> tuple[Array, Array]:
    """Flux and its error, of whatever the table holds."""
    if layout.unit == RELATIVE:
        return 1.0 + values, error
    if layout.unit == SHIFTED:
        return 1.0 + SHIFTED_SPREAD * (values - np.nanmedian(values)), error
    if layout.unit == MAGNITUDES:
        flux = np.power(10.0, -0.4 * (values - np.nanmedian(values)))
        return flux, 0.4 * np.log(10.0) * flux * error
    return values, error


def _curve(path: str, layout: Layout, samples: Samples, choices: Choices) -> LightCurve:
    grid = on_grid(path, samples, bitmask(choices.quality, samples.family))
    meta: dict[str, Any] = {"layout": layout.name}
    if layout.unit == COUNTS:
        meta["median_flux"] = grid.median_flux
    if layout.unit == MAGNITUDES:
        meta["converted"] = "from magnitudes about an unknown mean"
    if layout.unit == SHIFTED:
        meta["converted"] = "from differences of flux; the amplitude is unknown, and set to 0.1 %"
    return LightCurve(
        flux=grid.flux,
        flux_err=grid.flux_err,
        first_cadence=grid.first_cadence,
        start_bkjd=grid.start_bkjd,
        cadence_days=grid.cadence_days,
        mission=layout.mission,
        meta=meta,
    )
