"""The web application: routes that take row numbers and column names, never paths."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from desa.explore.api import Api
from desa.explore.export import Format
from desa.explore.guard import Guard
from desa.explore.maps import Map
from desa.explore.star_api import StarApi
from desa.explore.table import ExploreTable

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

LEAST_BODY = 65_536


def static_files() -> dict[str, tuple[bytes, str]]:
    """The page's own files by their address; nothing else is ever served from the disk."""
    found = {}
    for item in (files("desa.explore") / "static").iterdir():
        kind = KINDS.get("." + item.name.rpartition(".")[2])
        if item.is_file() and kind:
            found[item.name] = (item.read_bytes(), kind)
    return found


def create_app(table: ExploreTable, places: Map, port: int) -> FastAPI:
    """The application for a table.

    Parameters
    ----------
    table
        The table; the map's coordinates are added to its columns.
    places
        Its map.
    port
        Where the page is served; requests that name another are refused.
    """
    app = FastAPI(title="desa explore", docs_url=None, redoc_url=None, openapi_url=None)
    api, stars, static = Api(table, places), StarApi(table, places.about["vector"]), static_files()
    app.state.stars = stars

    async def file(name: str) -> Response:
        if name not in static:
            raise HTTPException(404, "no such page")
        content, kind = static[name]
        return Response(content, media_type=kind)

    async def home() -> Response:
        return await file("index.html")

    async def export(
        request: Request,
        format: Format = "csv",
        columns: Annotated[str, Query(max_length=6000)] = "",
    ) -> Response:
        return await run_in_threadpool(api.export, await request.body(), format, columns)

    app.get("/")(home)
    app.get("/static/{name}")(file)
    api.add_to(app)
    stars.add_to(app)
    app.post("/api/export")(export)
    app.add_middleware(Guard, port=port, most_body=max(LEAST_BODY, 4 * len(table)))
    return app
