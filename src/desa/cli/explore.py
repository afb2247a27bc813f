"""The command that shows a table of embeddings as a web page: explore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import STARS, app, screen


@app.command(rich_help_panel=STARS)
def explore(
    embedding: Annotated[Path, typer.Argument(help="Table made by `desa embed`.")],
    survey: Annotated[
        Path | None, typer.Option(help="Survey folder: light curves, spectra, labels. Without: only the map.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Table made by `desa predict` for the same stars.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: a free one.")] = 8642,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    vector: Annotated[
        str | None, typer.Option(help="Vectors that are mapped: joint, z_spectrum, ... Left out: the first.")
    ] = None,
    map: Annotated[
        str, typer.Option(help="pca, umap, or auto: umap where installed and the table is not large.")
    ] = "auto",
) -> None:
    """Look at embeddings in a web page on this machine: map, CMD, light curves, spectra, neighbours.

    Example: `desa explore emb.parquet --survey survey`

    The page sends nothing anywhere. The map is kept beside the table. Stop with Ctrl-C.
    """
    from desa.explore.serve import serve

    console = screen()
    serve(
        embedding,
        survey,
        predictions,
        port=port,
        browser=browser,
        vector=vector,
        method=map,
        say=lambda words: console.print(words, markup=False, highlight=False, soft_wrap=True),
    )
