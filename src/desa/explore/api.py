"""Answers about a whole table: JSON for what is small, float32 for columns."""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, HTTPException, Path, Query, Response

from desa.errors import SettingsError
from desa.explore.columns import Column
from desa.explore.export import Format, file_name, selection_bytes
from desa.explore.find import Finder
from desa.explore.lines import LINES
from desa.explore.maps import Map, map_of
from desa.explore.responses import Pieces, floats
from desa.explore.sky import separations
from desa.explore.table import ExploreTable

Modality = Literal["", "joint", "spectrum", "lightcurve"]


class Api:
    """Answers about a table.

    Parameters
    ----------
    table
        The table.
    places
        Its map.
    """

    def __init__(self, table: ExploreTable, places: Map) -> None:
        self.table, self.map = table, places
        self.find = Finder(table)
        self._making = threading.Lock()
        self._maps = {(places.about["vector"], ""): self._add_map(places, "map_x", "map_y")}

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        app.get("/api/about")(self.about)
        app.get("/api/column/{key}")(self.column)
        app.get("/api/map/{vector}")(self.another_map)
        app.get("/api/names")(self.names)
        app.get("/api/search")(self.search)
        app.get("/api/row")(self.row)

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
            "map": self._maps[self.map.about["vector"], ""],
            "vectors": table.vector_names,
            "modalities": table.modalities,
            "survey": None if survey is None else {"stars": survey.n_stars, "identity": survey.identity},
            "columns": [column.described() for column in table.columns.values()],
            "lines": LINES,
        }

    def _add_map(self, places: Map, x: str, y: str) -> dict[str, Any]:
        name = "PC" if places.about["method"] == "pca" else "UMAP"
        columns = [Column(x, f"{name} 1", "", "map"), Column(y, f"{name} 2", "", "map")]
        for column, values in zip(columns, (places.x, places.y), strict=True):
            self.table.add(column, values)
        return places.about | {"columns": [column.described() for column in columns]}

    def another_map(
        self, vector: Annotated[str, Path(max_length=40)], modality: Modality = ""
    ) -> dict[str, Any]:
        """The map of other vectors, or of the stars of one modality; made when it is first asked for."""
        if vector not in self.table.vector_names:
            raise HTTPException(404, "no such vectors")
        with self._making:
            if (vector, modality) not in self._maps:
                try:
                    made = map_of(self.table, vector, self.map.about["asked"], modality)
                except SettingsError as error:
                    raise HTTPException(404, str(error).partition(": ")[2]) from None
                of = f"{vector}_{modality}" if modality else vector
                self._maps[vector, modality] = self._add_map(made, f"map_x_{of}", f"map_y_{of}")
            return self._maps[vector, modality]

    def column(self, key: Annotated[str, Path(max_length=100)]) -> Response:
        """A column as little-endian float32; of ``star_id``, each row's place in the order of names."""
        if key == "star_id":
            return floats(self.find.order_of_names())
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

    def search(self, q: Annotated[str, Query(max_length=64)]) -> dict[str, Any]:
        """Rows whose star or obsid is, or holds, the text; or the nearest to a place, with arcseconds."""
        rows, place = self.find.rows(q)
        found = [self._named(row) for row in rows]
        if place is None:
            return {"place": None, "rows": found}
        apart = separations(self.table, place)
        return {
            "place": {"ra": place.ra, "dec": place.dec},
            "rows": [item | {"arcsec": round(3600 * float(apart[item["row"]]), 2)} for item in found],
        }

    def row(
        self, star: Annotated[str, Query(max_length=200)], obsid: Annotated[str, Query(max_length=100)] = ""
    ) -> dict[str, Any]:
        """The row of a star's name, that of a spectrum of it if there are several."""
        found = self.find.row_named(star, obsid)
        if found is None:
            raise HTTPException(404, "no such star in this table")
        return self._named(found)

    def export(self, body: bytes, format: Format, columns: str) -> Response:
        """A selection as a file; the body is row numbers, little-endian uint32."""
        if not body or len(body) % 4:
            raise HTTPException(422, "rows are little-endian uint32")
        rows = np.unique(np.frombuffer(body, "<u4").astype(np.int64))
        keys = [key for key in columns.split(",") if key]
        if rows[-1] >= len(self.table) or any(key not in self.table.columns for key in keys):
            raise HTTPException(404, "no such row or column")
        content = selection_bytes(self.table, rows, list(dict.fromkeys(keys)), format)
        return Pieces(content, "text/csv; charset=utf-8", file_name(self.table, len(rows), format))
