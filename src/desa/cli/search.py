"""Commands on tables of embeddings: search, anomalies."""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import STARS, app, output_option, screen


class IndexKind(Enum):
    """How neighbours are found."""

    auto = "auto"
    exact = "exact"
    ivf = "ivf"
    hnsw = "hnsw"


Table = Annotated[Path, typer.Argument(metavar="EMB", help="Table made by `desa embed`.")]


@app.command(rich_help_panel=STARS)
def search(
    embedding: Table,
    like: Annotated[
        str, typer.Option(help="KIC, Gaia number, star_id or obsid of a row; or a file of another star.")
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours.")] = 20,
    where: Annotated[
        str | None, typer.Option(help="Condition that all of them fulfil: comparisons, and, or, not, in.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="joint, z_spectrum, features_lightcurve, ...; match_lightcurve:match_spectrum finds spectra "
            "by a light curve. Left out: joint, or what the star has."
        ),
    ] = None,
    survey: Annotated[
        Path | None, typer.Option(help="Survey folder, for columns: labels, snr_g, ...")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Table of labels with KIC, Gaia number, star_id or obsid.")
    ] = None,
    model: Annotated[str, typer.Option(help="What embeds the file of --like: the model that made EMB.")] = "",
    index: Annotated[
        IndexKind, typer.Option(help="auto: exact up to 100000 vectors, else ivf (needs faiss).")
    ] = IndexKind.auto,
    output: Annotated[
        Path | None,
        output_option("Table: .ecsv, .fits, .vot, .parquet or .csv; left out: screen."),
    ] = None,
) -> None:
    """Find stars that are like a star.

    Example: `desa search emb.parquet --like "KIC 8462852" --survey survey --where "teff > 5000"`

    The index of a large table is made once and kept beside it.
    """
    import desa
    from desa.cli.screen import neighbours_table, print_table
    from desa.inference.prediction_table import table_format, write_table
    from desa.search.like import search_like
    from desa.survey.store import Survey

    if output is not None:
        table_format(output)
    console = screen()
    found = search_like(
        embedding,
        like,
        k=k,
        where=where,
        by=by,
        kind=index.value,
        survey=None if survey is None else Survey.open(survey),
        labels=labels,
        model=desa.load(model) if Path(like).exists() else None,
        say=lambda words: console.print(words, markup=False, highlight=False, soft_wrap=True),
    )
    if output is None:
        print_table(neighbours_table(found, where), console)
    else:
        write_table(found, output)
        console.print(f"{len(found)} neighbours in {output}", markup=False, highlight=False, soft_wrap=True)


@app.command(rich_help_panel=STARS)
def anomalies(
    embedding: Table,
    reference: Annotated[
        Path | None,
        typer.Option(help="Table of ordinary stars by the same model, as its training survey's."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="The model that made EMB; with --survey, spectra are looked at too.")
    ] = "",
    survey: Annotated[Path | None, typer.Option(help="Survey folder of EMB.")] = None,
    reference_survey: Annotated[Path | None, typer.Option(help="Survey folder of --reference.")] = None,
    most: Annotated[int, typer.Option("-n", min=1, help="Stars shown on screen.")] = 20,
    output: Annotated[
        Path | None,
        output_option("Table of all: .ecsv, .fits, .vot, .parquet or .csv."),
    ] = None,
) -> None:
    """Rank stars by how odd they are, and say why.

    Looked at: distance from all others (joint, spectrum, light curve), light curves and spectra that don't go
    together, spectra that ordinary ones do not make up, lines that have no place. With --reference, p-values
    and a false-discovery rate.

    Example: `desa anomalies emb.parquet --reference training.parquet -o odd.ecsv`
    """
    import desa
    from desa.cli.screen import anomalies_summary, anomalies_table, print_table
    from desa.errors import SettingsError
    from desa.inference.prediction_table import table_format, write_table
    from desa.progress import progress_bar
    from desa.survey.store import Survey

    if output is not None:
        table_format(output)
    if reference is not None and (survey is None) != (reference_survey is None):
        raise SettingsError("with --reference, give both of --survey and --reference-survey, or none")
    with nullcontext() if survey is None else progress_bar("reading spectra") as progress:
        found = desa.find_anomalies(
            embedding,
            reference=reference,
            model=None if survey is None else desa.load(model),
            survey=None if survey is None else Survey.open(survey),
            reference_survey=None if reference_survey is None else Survey.open(reference_survey),
            progress=progress,
        )
    print_table(anomalies_table(found, most), screen())
    if output is not None:
        write_table(found, output)
    for line in anomalies_summary(found, output):
        screen().print(line, markup=False, highlight=False, soft_wrap=True)
