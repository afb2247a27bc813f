"""Answers about one table: JSON for what is small, float32 for columns and curves."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
from fastapi import HTTPException, Path, Query, Response
from numpy.typing import NDArray

from desa.explore.columns import Column
from desa.explore.export import Format, file_name, selection_bytes
from desa.explore.find import find_rows
from desa.explore.lines import LINES
from desa.explore.maps import Map
from desa.explore.neighbours import Neighbours
from desa.explore.star import (
    autocorrelation,
    describe,
    flux_ppt,
    lightcurve_of,
    spectrum_flux,
    spectrum_of,
)
from desa.explore.table import ExploreTable

BINARY = "application/octet-stream"

Row = Annotated[int, Path(ge=0, lt=2**40)]


class Api:
    """Answers about one table.

    Parameters
    ----------
    table
        The table.
    places
        Its map.
    """

    def __init__(self, table: ExploreTable, places: Map) -> None:
        self.table, self.map = table, places
        table.add(Column("map_x", _axis(places, 1), "", "map"), places.x)
        table.add(Column("map_y", _axis(places, 2), "", "map"), places.y)
        self.neighbours_of = Neighbours(table, places.about["vector"])

    def about(self) -> dict[str, Any]:
        """What the page says of data, model and map, and the columns there are."""
        table, survey = self.table, self.table.survey
        return {
            "version": version("desa"),
            "file": table.path.name,
            "rows": len(table),
            "kind": table.kind,
            "model": table.facts.get("model", ""),
            "trained_on": table.facts.get("trained_on", ""),
            "made_of": table.facts.get("data", ""),
            "warning": table.warning,
            "predictions": table.predictions_said,
            "map": self.map.about,
            "survey": None if survey is None else {"stars": survey.n_stars, "identity": survey.identity},
            "columns": [column.described() for column in table.columns.values()],
            "lines": LINES,
        }

    def _check(self, row: int) -> int:
        if row >= len(self.table):
            raise HTTPException(404, "no such row")
        return row

    def column(self, key: Annotated[str, Path(max_length=100)]) -> Response:
        """A column as little-endian float32."""
        if key not in self.table.columns:
            raise HTTPException(404, "no such column")
        return floats(self.table.values(key))

    def names(self, rows: Annotated[str, Query(max_length=2000, pattern=r"^\d+(,\d+)*$")]) -> list[Any]:
        """Names of some rows."""
        wanted = [int(row) for row in rows.split(",")]
        if max(wanted) >= len(self.table):
            raise HTTPException(404, "no such row")
        return [self._named(row) for row in wanted]

    def _named(self, row: int) -> dict[str, Any]:
        return {
            "row": row,
            "star_id": self.table.star_id[row].as_py(),
            "obsid": self.table.obsid[row].as_py(),
        }

    def search(self, q: Annotated[str, Query(max_length=64)]) -> list[dict[str, Any]]:
        """Rows whose star or obsid is, or holds, the text."""
        return [self._named(row) for row in find_rows(self.table, q)]

    def star(self, row: Row) -> dict[str, Any]:
        """What is known of a row."""
        return describe(self.table, self._check(row))

    def lightcurve(self, row: Row) -> Response:
        """Flux in ppt, NaN in gaps."""
        found = lightcurve_of(self.table, self._check(row))
        return floats(None if found is None else flux_ppt(found))

    def acf(self, row: Row) -> Response:
        """Autocorrelation by lag in cadences."""
        found = lightcurve_of(self.table, self._check(row))
        return floats(None if found is None else autocorrelation(found))

    def spectrum(self, row: Row) -> Response:
        """Flux over its median, NaN where bad."""
        found = spectrum_of(self.table, self._check(row))
        return floats(None if found is None else spectrum_flux(found))

    def neighbours(self, row: Row, k: Annotated[int, Query(ge=1, le=48)] = 8) -> dict[str, Any]:
        """The nearest rows in the embedding."""
        name, rows, distances = self.neighbours_of.nearest(self._check(row), k)
        pairs = zip(rows.tolist(), distances.tolist(), strict=True)
        return {
            "vector": name,
            "neighbours": [self._shown(other) | {"distance": apart} for other, apart in pairs],
        }

    def _shown(self, row: int) -> dict[str, Any]:
        found = describe(self.table, row)
        return {key: found[key] for key in ("row", "star_id", "obsid", "lightcurve", "spectrum")}

    def export(self, body: bytes, format: Format, columns: str) -> Response:
        """A selection as a file; the body is row numbers, little-endian uint32."""
        if not body or len(body) % 4:
            raise HTTPException(422, "rows are little-endian uint32")
        rows = np.unique(np.frombuffer(body, "<u4").astype(np.int64))
        keys = [key for key in columns.split(",") if key]
        if rows[-1] >= len(self.table) or any(key not in self.table.columns for key in keys):
            raise HTTPException(404, "no such row or column")
        content = selection_bytes(self.table, rows, list(dict.fromkeys(keys)), format)
        name = file_name(self.table, len(rows), format)
        return Response(
            content,
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )


def _axis(places: Map, number: int) -> str:
    return f"{'PC' if places.about['method'] == 'pca' else 'UMAP'} {number}"


def floats(values: NDArray[np.float32] | None) -> Response:
    """Numbers as little-endian float32; not found where there are none."""
    if values is None:
        raise HTTPException(404, "the survey has none of this star")
    return Response(np.ascontiguousarray(values, "<f4").tobytes(), media_type=BINARY)
