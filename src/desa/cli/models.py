"""Commands that make and use models: embed, convert."""

from __future__ import annotations

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
    app,
    list_left_out,
    output_option,
    screen,
)
from desa.cli.output import STDOUT, Json, check_folder, check_inputs, check_table, on_stdout, speaker
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
        Path,
        output_option(
            "Table: .parquet (which search, anomalies and explore read), .ecsv, .fits, .vot or .csv; "
            "- for CSV on standard output."
        ),
    ],
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
    json: Json = False,
) -> None:
    """Embed files (quarters of a star are stitched, light curves and spectra paired) or a survey.

    Example: `desa embed kplr*_llc.fits spec-*.fits -o emb.parquet`

    Exit code 1 if any file was left out.
    """
    if batch_size != "auto" and not (batch_size.isdecimal() and int(batch_size)):
        raise SettingsError(f"--batch-size must be a number of at least 1, or auto, not {batch_size}")
    check_table(output, json)
    check_model(model)
    check_inputs(inputs)
    from desa.devices import choose_device

    where = choose_device(device)
    import desa
    from desa.inference.batch_size import automatic_batch_size
    from desa.inference.embed import as_astropy, embed_files, embed_survey, write_embedding
    from desa.progress import progress_bar
    from desa.survey.from_files import is_survey
    from desa.survey.store import Survey as Store

    loaded = desa.load(model).to(where).fast(dtype, compile)
    loaded.resample_spectra, loaded.exact = resample_spectra, exact
    size = automatic_batch_size(loaded) if batch_size == "auto" else int(batch_size)
    left_out: list[tuple[str, str]] = []
    with progress_bar("embedding") as progress:
        if len(inputs) == 1 and is_survey(inputs[0]):
            table = embed_survey(
                loaded,
                Store.open(inputs[0]),
                batch_size=size,
                every_spectrum=every_spectrum,
                progress=progress,
            )
        else:
            table, left_out = embed_files(
                loaded,
                inputs,
                match_arcsec=match_arcsec,
                batch_size=size,
                every_spectrum=every_spectrum,
                progress=progress,
            )
    if output != STDOUT:
        write_embedding(table, output)
    if json or output == STDOUT:
        on_stdout(as_astropy(table), output, json)
    counts = {
        str(item["values"]): item["counts"] for item in table.column("modality").value_counts().to_pylist()
    }
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    facts = table.schema.metadata
    limit = f"; {facts[b'desa.limit'].decode()} took longest" if b"desa.limit" in facts else ""
    place = "" if output == STDOUT else f" in {output}"
    speaker(output, json).print(
        f"{counted(table.num_rows, 'embedding')} ({said}){place}{limit}", markup=False, highlight=False
    )
    list_left_out(left_out, None if output == STDOUT else output)
    raise typer.Exit(1 if left_out else 0)


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
