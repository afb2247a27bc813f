"""What the readers of light-curve files share: the star's name, times, the way from samples to a grid."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desa.io.cadences import BKJD_ZERO, Samples, on_grid
from desa.io.fits import OpenFile, Table, integer, number, text
from desa.io.quality import bitmask
from desa.io.registry import Choices, Front, Glance, Reader
from desa.types import LightCurve


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
