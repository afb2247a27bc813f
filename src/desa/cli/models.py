"""Commands that make and use models: embed, convert."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import (
    MODELS,
    STARS,
    Device,
    EverySpectrum,
    Exact,
    Model,
    ResampleSpectra,
    Scheduler,
    app,
    list_left_out,
    output_option,
    screen,
)
from desa.cli.output import STDOUT, Json, check_folder, check_inputs, check_table, on_stdout, speaker
from desa.cli.rows import made_rows
from desa.errors import SettingsError
from desa.models.places import check_model, claimed_for_model
from desa.words import counted


@app.command(rich_help_panel=STARS)
def embed(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Light-curve and spectrum files, folders of such, or one survey folder."),
    ],
    output: Annotated[
        Path | None,
        output_option(
            "Table: .parquet (which search, anomalies and explore read), .ecsv, .fits, .vot or .csv; "
            "- for CSV on standard output. Left out: --json must be given."
        ),
    ] = None,
    model: Model = "",
    match_arcsec: Annotated[float, typer.Option(min=0, help="Radius for pairs by position.")] = 3.0,
    every_spectrum: EverySpectrum = False,
    resample_spectra: ResampleSpectra = False,
    exact: Exact = False,
    device: Device = "auto",
    batch_size: Annotated[str, typer.Option(help="Stars at once: a number, or auto.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, or bfloat16: quicker where there is such arithmetic.")
    ] = "float32",
    compile: Annotated[
        bool, typer.Option(help="Compile the model first: a minute that pays on a GPU.")
    ] = False,
    scheduler: Scheduler = None,
    json: Json = False,
) -> None:
    """Embed files (quarters of a star are stitched, light curves and spectra paired) or a survey.

    A run that was killed goes on with what it had finished, when the same command is given again. Under
    `torchrun` each process embeds its share of the stars.

    Example: `desa embed kplr*_llc.fits spec-*.fits -o emb.parquet`

    Exit code 1 if any file was left out.
    """
    if batch_size != "auto" and not (batch_size.isdecimal() and int(batch_size)):
        raise SettingsError(f"--batch-size must be a number of at least 1, or auto, not {batch_size}")
    if output is None and not json:
        raise SettingsError("where is the table to go? Give -o FILE, -o - or --json")
    check_table(output, json)
    check_model(model)
    check_inputs(inputs)
    from desa.devices import choose_device

    where = choose_device(device)
    from desa.inference.stream import Recipe
    from desa.inference.table_parts import as_table
    from desa.training.distributed import agreed, join

    join(where)
    recipe = Recipe("embeddings", model, "", device, dtype, compile, resample_spectra, exact)
    if batch_size == "auto":
        from desa.inference.batch_size import automatic_batch_size

        size = agreed(automatic_batch_size(recipe.network()))
    else:
        size = int(batch_size)
    table, written = made_rows(
        replace(recipe, batch_size=size),
        inputs,
        output,
        match_arcsec=match_arcsec,
        every_spectrum=every_spectrum,
        scheduler=scheduler,
        json=json,
    )
    if table is not None:
        on_stdout(as_table(table), output, json)
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(written.modalities.items()))
    limit = f"; {written.limit} took longest" if written.limit else ""
    file = None if output == STDOUT else output
    place = f" in {file}" if file else ""
    speaker(output, json).print(
        f"{counted(sum(written.modalities.values()), 'embedding')} ({said}){place}{limit}",
        markup=False,
        highlight=False,
    )
    list_left_out(written.left_out, file)
    raise typer.Exit(1 if written.left_out else 0)


@app.command(rich_help_panel=MODELS)
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A published checkpoint: .pth or .safetensors.")],
    output: Annotated[Path, output_option("Model folder to make.")],
    config: Annotated[
        Path | None, typer.Option(help="The published YAML; left out: the published sizes.")
    ] = None,
) -> None:
    """Turn a published DESA checkpoint into a model folder. Files are read without running code in them.

    Example: `desa convert desa_full.pth -o models/published`
    """
    check_folder(output)
    from desa.models.published import convert as run

    with claimed_for_model(output):
        model = run(checkpoint, config, output)
    screen().print(f"{model.metadata['kind']} in {output}", markup=False, highlight=False)
