"""What the readers of light-curve files share: the star's name, times, the way from samples to a grid."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desa.errors import DamagedFile
from desa.io.cadences import BKJD_ZERO, KEPLER_CADENCE_ZERO_BKJD, Samples, on_grid
from desa.io.fits import OpenFile, Table, integer, number, text
from desa.io.quality import bitmask
from desa.io.registry import Choices, Front, Glance, Reader
from desa.types import KEPLER_CADENCE_DAYS, LightCurve

ZERO_POINTS = {"Kepler": BKJD_ZERO, "TESS": 2457000.0}
"""Barycentric Julian date that a telescope's times count from."""

DAYS_OFF = 1.0
"""Days by which times and what is said of them may differ; light travel time takes 0.004."""


def star_and_mission(header: Any) -> tuple[str, str]:
    """Name of the star and the mission, by a file's primary header; empty where it says none."""
    tic, object_name = text(header, "TICID"), text(header, "OBJECT")
    if text(header, "TELESCOP") == "TESS":
        return (f"TIC {tic}" if tic else object_name), "TESS"
    kepler = integer(header, "KEPLERID")
    if kepler < 0:
        return object_name, text(header, "MISSION") or text(header, "TELESCOP")
    k2 = kepler >= 60_000_000
    return (f"EPIC {kepler}" if k2 else f"KIC {kepler}"), ("K2" if k2 else "Kepler")


def times(table: Table, name: str = "TIME") -> NDArray[np.float64]:
    """Times in BKJD by the table's own zero point (TESS counts from 2457000)."""
    zero = number(table.header, "BJDREFI") + number(table.header, "BJDREFF")
    time = table.column(name, "f8")
    return time + (zero - BKJD_ZERO) if np.isfinite(zero) else time


def check_times(file: OpenFile, samples: Samples) -> None:
    """Refuse times that the file's own header or cadence numbers contradict.

    Raises
    ------
    DamagedFile
        If the zero point is not the telescope's, the samples lie outside the observation that the header
        tells, or Kepler's long cadences were not taken at those times.
    """
    table, telescope = file.table(), text(file.header, "TELESCOP")
    header = {} if table is None else table.header
    zero, own = number(header, "BJDREFI") + number(header, "BJDREFF"), ZERO_POINTS.get(telescope, math.nan)
    if abs(zero - own) > 0.5:
        raise DamagedFile(file.path, f"its times count from {zero:.0f}, {telescope}'s from {own:.0f}")
    rows = np.isfinite(samples.time) & (samples.cadence >= 0)
    if not rows.any():
        return
    middle, cadence = float(np.median(samples.time[rows])), float(np.median(samples.cadence[rows]))
    start, stop = (number(header, name) + (own - BKJD_ZERO) for name in ("TSTART", "TSTOP"))
    if middle < start - DAYS_OFF or middle > stop + DAYS_OFF:
        raise DamagedFile(file.path, f"its times lie about BKJD {middle:.1f}, its header says otherwise")
    expected = KEPLER_CADENCE_ZERO_BKJD + cadence * KEPLER_CADENCE_DAYS
    long_cadence = samples.cadence_days == KEPLER_CADENCE_DAYS
    if telescope == "Kepler" and long_cadence and abs(middle - expected) > DAYS_OFF:
        raise DamagedFile(
            file.path, f"its times lie about BKJD {middle:.1f}, its cadence numbers about {expected:.1f}"
        )


class LightCurveFile(Reader[OpenFile]):
    """A product whose files hold one light curve each, with the star in the primary header."""

    kind = "lightcurve"
    one = "a Kepler, K2 or TESS light curve"
    layout: ClassVar[str]
    """Its name in ``meta["layout"]``."""
    needed: ClassVar[frozenset[str]]
    """Columns by which it is known."""

    def claims(self, file: Front) -> bool:
        """Whether the file has the product's columns."""
        return self.needed <= file.columns

    def glance(self, file: Front, member: str) -> Glance:
        """What the primary header says."""
        header = file.header
        place = number(header, "RA_OBJ"), number(header, "DEC_OBJ")
        return Glance(self.kind, star_and_mission(header)[0], "", *place, header.get("MOCK") is True)

    @abstractmethod
    def samples(self, file: OpenFile, flux_column: str) -> Samples:
        """The file's samples; ``flux_column`` is ``"pdcsap"`` or ``"sap"``."""

    def read(self, file: OpenFile, member: str, choices: Choices) -> LightCurve:
        """Relative flux on the cadence grid, from the first to the last good sample."""
        file.check(0)
        samples = self.samples(file, choices.flux_column)
        check_times(file, samples)
        grid = on_grid(file.path, samples, bitmask(choices.quality, samples.family))
        header = file.header
        star, mission = star_and_mission(header)
        tess = mission == "TESS"
        part = {"TESS": "SECTOR", "K2": "CAMPAIGN"}.get(mission, "QUARTER")
        return LightCurve(
            flux=grid.flux,
            flux_err=grid.flux_err,
            first_cadence=grid.first_cadence,
            start_bkjd=grid.start_bkjd,
            cadence_days=grid.cadence_days,
            star_id=star,
            mission=mission,
            quarters=(integer(header, part),) if part in header else (),
            ra=number(header, "RA_OBJ"),
            dec=number(header, "DEC_OBJ"),
            magnitude=number(header, "TESSMAG" if tess else "KEPMAG"),
            sources=(str(file.path),),
            meta={
                "layout": self.layout,
                "median_flux": grid.median_flux,
                "teff": number(header, "TEFF"),
                "log_g": number(header, "LOGG"),
                "fe_h": number(header, "MH" if tess else "FEH"),
            },
        )
