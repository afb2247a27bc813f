"""The command for ages by gyrochronology."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import STARS, app
from desa.cli.output import STDOUT, Json, check_inputs, check_table, on_stdout, speaker
from desa.words import counted


@app.command(rich_help_panel=STARS)
def ages(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="Made by `desa predict`; or any with prot, prot_err [d], teff, teff_err [K].",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Table: .ecsv, .fits, .vot, .parquet or .csv; - for CSV on screen."
        ),
    ] = STDOUT,
    json: Json = False,
) -> None:
    """Tell ages by gyrochronology, calibrated on open clusters, from rotation periods and temperatures.

    Each star gets the median of its age's posterior and 68 % and 90 % intervals, and a flag with the reason
    where the clusters say nothing: giants, stars hotter than 6200 K or cooler than 3800 K, or older than
    4 Gyr. Needs `pip install 'desa[ages]'`.

    Example: `desa ages predictions.ecsv -o with_ages.ecsv`
    """
    wanted = None if json and output == STDOUT else output
    check_table(wanted, json)
    check_inputs([table])
    import numpy as np

    from desa.ages.gyrochronology import Gyrochronology
    from desa.ages.table import NAME, with_ages
    from desa.catalogs.labels import read_columns
    from desa.inference.table_files import write_table
    from desa.progress import progress_bar

    columns = read_columns(table)
    with progress_bar("reading the clusters' periods") as progress:
        model = Gyrochronology.of_clusters(progress)
    with progress_bar("ages") as progress:
        found = with_ages(columns, model, progress)
    if output != STDOUT:
        write_table(found, output)
    on_stdout(found, wanted, json)
    told = np.isfinite(np.asarray(found[NAME]))
    flagged = int((np.asarray(found[f"{NAME}_flag"])[told] != 0).sum())
    place = "" if output == STDOUT else f" in {output}"
    counts = f"{counted(int(told.sum()), 'age')} of {counted(len(found), 'star')}"
    speaker(output, json).print(
        f"{counts}, {flagged} of them flagged{place}",
        markup=False,
        highlight=False,
    )
