"""Tables of stars that commands write: of files or of a survey, here, under `torchrun`, or on Dask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from desa.cli.output import STDOUT

if TYPE_CHECKING:
    import pyarrow as pa

    from desa.inference.stream import Recipe
    from desa.inference.table_parts import Written


def made_rows(
    recipe: Recipe,
    inputs: list[Path],
    output: Path | None,
    *,
    match_arcsec: float,
    every_spectrum: bool,
    scheduler: str | None,
    json: bool,
) -> tuple[pa.Table | None, Written]:
    """Make the rows of the stars of some files or of one survey.

    Returns
    -------
    tuple
        The table where it goes to the screen or to standard output, None where it is only in the file; and
        what it holds. Only the first of `torchrun`'s processes comes back.
    """
    from dataclasses import replace

    from desa.cluster import cluster_executor
    from desa.inference.stream import FILES, rows_of, write_rows
    from desa.inference.table_parts import write_joined
    from desa.progress import progress_bar
    from desa.survey.from_files import LeftOut, is_survey
    from desa.survey.parts import StarPart, file_parts, survey_parts
    from desa.survey.selection import STARS_AT_ONCE
    from desa.survey.store import Survey
    from desa.training.distributed import current

    left_out: LeftOut = []
    size = max(recipe.batch_size, STARS_AT_ONCE)
    parts: list[StarPart]
    if len(inputs) == 1 and is_survey(inputs[0]):
        survey = Survey.open(inputs[0])
        recipe = replace(recipe, data=f"{survey.kind} survey {survey.identity}")
        parts = [*survey_parts(survey, recipe.network(), every_spectrum=every_spectrum, size=size)]
    else:
        recipe = replace(recipe, data=FILES)
        found = file_parts(
            inputs, match_arcsec=match_arcsec, every_spectrum=every_spectrum, left_out=left_out, size=size
        )
        parts = [*found]
    world = current()
    with cluster_executor(scheduler) as executor, progress_bar(recipe.makes) as progress:
        file = None if output == STDOUT else output
        if file is not None and not json:
            written = write_rows(
                recipe, parts, file, left_out=left_out, executor=executor, world=world, progress=progress
            )
            if not world.main:
                raise typer.Exit
            return None, written
        if not world.main:
            raise typer.Exit
        table, written = rows_of(recipe, parts, left_out=left_out, progress=progress)
        if file is not None:
            write_joined([table], table.schema, file)
    return table, written
