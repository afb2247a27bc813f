"""Answers about one star: what is known of it, its light curve in several shapes, spectrum, neighbours."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Path, Query, Response

from desa.explore.export import ecsv_bytes, ecsv_head, lightcurve_columns, spectrum_columns
from desa.explore.neighbours import Neighbours
from desa.explore.responses import Pieces, floats
from desa.explore.star import data_of, describe, lightcurve_of, spectrum_flux, spectrum_of
from desa.explore.table import ExploreTable
from desa.explore.timeseries import Detrend, autocorrelation, detrended, periodogram
from desa.types import LightCurve

Row = Annotated[int, Path(ge=0, lt=2**40)]
KEPT = 8
"""Detrended light curves and periodograms that are kept: the page asks for several things of one star."""


class Trend:
    """How a light curve is detrended before it is used, as the address says."""

    def __init__(
        self, detrend: Detrend = "none", window: Annotated[float, Query(ge=0.1, le=400)] = 10.0
    ) -> None:
        self.how, self.window = detrend, window if detrend == "median" else 0.0


Trended = Annotated[Trend, Depends(Trend)]


class StarApi:
    """Answers about one star of a table.

    Parameters
    ----------
    table
        The table.
    vector
        The kind of vector by which neighbours are found, unless another is asked for.
    """

    def __init__(self, table: ExploreTable, vector: str) -> None:
        self.table = table
        self.near = Neighbours(table, vector)
        self._flux = lru_cache(maxsize=KEPT)(self._detrended)
        self._power = lru_cache(maxsize=KEPT)(self._periodogram)

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        app.get("/api/star/{row}")(self.star)
        app.get("/api/star/{row}/lightcurve")(self.lightcurve)
        app.get("/api/star/{row}/acf")(self.acf)
        app.get("/api/star/{row}/periodogram")(self.periodogram)
        app.get("/api/star/{row}/spectrum")(self.spectrum)
        app.get("/api/star/{row}/neighbours")(self.neighbours)
        app.get("/api/star/{row}/download/{kind}")(self.download)

    def _check(self, row: int) -> int:
        if row >= len(self.table):
            raise HTTPException(404, "no such row")
        return row

    def _curve(self, row: int) -> LightCurve:
        found = lightcurve_of(self.table, self._check(row))
        if found is None:
            raise HTTPException(404, "the survey has none of this star")
        return found

    def _detrended(self, row: int, how: Detrend, window: float) -> np.ndarray[Any, np.dtype[np.float32]]:
        return detrended(self._curve(row), how, window)

    def _periodogram(self, row: int, how: Detrend, window: float) -> np.ndarray[Any, np.dtype[np.float32]]:
        return periodogram(self._flux(row, how, window), self._curve(row))

    def star(self, row: Row) -> dict[str, Any]:
        """What is known of a row."""
        return describe(self.table, self._check(row))

    def lightcurve(self, row: Row, trend: Trended) -> Response:
        """Flux in ppt, NaN in gaps."""
        return floats(self._flux(row, trend.how, trend.window))

    def acf(self, row: Row, trend: Trended) -> Response:
        """Autocorrelation by lag in cadences."""
        flux = self._flux(row, trend.how, trend.window)
        return floats(autocorrelation(flux, self._curve(row).cadence_days))

    def periodogram(self, row: Row, trend: Trended) -> Response:
        """Lomb-Scargle power on the frequencies that `star` says."""
        return floats(self._power(row, trend.how, trend.window))

    def spectrum(self, row: Row) -> Response:
        """Flux over its median, NaN where bad."""
        found = spectrum_of(self.table, self._check(row))
        return floats(None if found is None else spectrum_flux(found))

    def neighbours(
        self,
        row: Row,
        k: Annotated[int, Query(ge=1, le=48)] = 8,
        vector: Annotated[str, Query(max_length=40)] = "",
    ) -> dict[str, Any]:
        """The nearest rows in the embedding."""
        if vector and vector not in self.table.vector_names:
            raise HTTPException(404, "no such vectors")
        name, rows, distances = self.near.nearest(self._check(row), k, vector)
        pairs = zip(rows.tolist(), distances.tolist(), strict=True)
        return {
            "vector": name,
            "neighbours": [data_of(self.table, other) | {"distance": apart} for other, apart in pairs],
        }

    def download(self, row: Row, kind: Literal["lightcurve", "spectrum"]) -> Response:
        """A star's light curve or spectrum as an ECSV file, as it is in the survey."""
        if kind == "lightcurve":
            columns, about = lightcurve_columns(self._curve(row))
        else:
            spectrum = spectrum_of(self.table, self._check(row))
            if spectrum is None:
                raise HTTPException(404, "the survey has none of this star")
            columns, about = spectrum_columns(spectrum)
        head = ecsv_head(columns, about | {"data": self.table.kind})
        name = re.sub(r"[^A-Za-z0-9+-]+", "_", self.table.star_id[row].as_py()).strip("_") or f"row_{row}"
        return Pieces(ecsv_bytes(columns, head), "text/plain; charset=utf-8", f"{name}_{kind}.ecsv")
