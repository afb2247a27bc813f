"""Commands on tables of embeddings: search, anomalies."""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import STARS, app, screen
from desa.cli.output import STDOUT, Json, Output, check_table, on_stdout, speaker
from desa.errors import SettingsError
from desa.models.places import check_model
from desa.words import counted


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
    output: Output = None,
    json: Json = False,
) -> None:
    """Find stars that are like a star.

    Example: `desa search emb.parquet --like "KIC 8462852" --survey survey --where "teff > 5000"`

    The index of a large table is made once and kept beside it.
    """
    check_table(output, json)
    check_model(model)
    import desa
    from desa.cli.screen import neighbours_table, print_table
    from desa.inference.table_files import write_table
    from desa.search.like import search_like
    from desa.survey.store import Survey

    console = speaker(output, json)
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
    on_stdout(found, output, json)
    if output is None and not json:
        print_table(neighbours_table(found, where), console)
    elif output is not None and output != STDOUT:
        write_table(found, output)
        words = f"{counted(len(found), 'neighbour')} in {output}"
        console.print(words, markup=False, highlight=False, soft_wrap=True)


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
    output: Output = None,
    json: Json = False,
) -> None:
    """Rank stars by how odd they are, and say why.

    Looked at: distance from all others (joint, spectrum, light curve), light curves and spectra that don't go
    together, spectra that ordinary ones do not make up, lines that have no place. With --reference, p-values
    and a false-discovery rate. Without, 200 stars and more are compared with each other, fewer with the mock
    stars that come with the model.

    Example: `desa anomalies emb.parquet --reference training.parquet -o odd.ecsv`
    """
    check_table(output, json)
    check_model(model)
    import desa
    from desa.cli.screen import anomalies_summary, anomalies_table, print_table
    from desa.inference.table_files import write_table
    from desa.progress import progress_bar
    from desa.survey.store import Survey

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
    on_stdout(found, output, json)
    if output != STDOUT and not json:
        print_table(anomalies_table(found, most), screen())
    file = None if output == STDOUT else output
    if file is not None:
        write_table(found, file)
    for line in anomalies_summary(found, file):
        speaker(output, json).print(line, markup=False, highlight=False, soft_wrap=True)
