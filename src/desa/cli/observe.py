"""Commands for observers: predict, finetune."""

from __future__ import annotations

from enum import Enum
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
    Survey,
    app,
    list_left_out,
    output_option,
    screen,
)
from desa.cli.output import STDOUT, Json, Output, check_folder, check_inputs, check_table, on_stdout, speaker
from desa.cli.rows import made_rows
from desa.models.places import check_model, claimed_for_model


class FineTuningTask(Enum):
    """What `desa finetune` trains."""

    regression = "regression"
    classification = "classification"


@app.command(rich_help_panel=STARS)
def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Light-curve and spectrum files, folders of such, or one survey folder."),
    ],
    model: Model = "",
    output: Output = None,
    json: Json = False,
    match_arcsec: Annotated[float, typer.Option(min=0, help="Radius for pairs by position.")] = 3.0,
    every_spectrum: EverySpectrum = False,
    resample_spectra: ResampleSpectra = False,
    exact: Exact = False,
    min_snr: Annotated[float, typer.Option(min=0, help="Spectra of lower S/N in g are flagged.")] = 10.0,
    device: Device = "auto",
    scheduler: Scheduler = None,
) -> None:
    """Predict stellar parameters with calibrated 68 % and 90 % intervals, and say when not to trust them.

    Quarters of a star are stitched, light curves and spectra paired. What a model predicts: Teff, log g and
    [Fe/H] from a spectrum, the rotation period from a light curve, and what `desa finetune` added.

    Any number of stars fits into memory, where the output is Parquet. A run that was killed goes on with what
    it had finished, when the same command is given again. Under `torchrun` each process predicts its share.

    Example: `desa predict kplr*_llc.fits spec-*.fits.gz -o stars.ecsv`

    Exit code 1 if any file was left out.
    """
    check_table(output, json)
    check_model(model)
    check_inputs(inputs)
    from desa.devices import choose_device

    where = choose_device(device)
    from desa.cli.screen import predictions_table, print_table
    from desa.inference.prediction_table import summary_lines
    from desa.inference.stream import Recipe
    from desa.inference.table_parts import as_table
    from desa.training.distributed import join

    join(where)
    recipe = Recipe(
        "predictions", model, "", device, resample_spectra=resample_spectra, exact=exact, min_snr=min_snr
    )
    rows, written = made_rows(
        recipe,
        inputs,
        output,
        match_arcsec=match_arcsec,
        every_spectrum=every_spectrum,
        scheduler=scheduler,
        json=json,
    )
    file = None if output == STDOUT else output
    if rows is not None:
        table = as_table(rows)
        if output is None and not json:
            print_table(predictions_table(table), screen())
        on_stdout(table, output, json)
    for line in summary_lines(as_table(written.told), file):
        speaker(output, json).print(line, markup=False, highlight=False, soft_wrap=True)
    list_left_out(written.left_out, file)
    raise typer.Exit(1 if written.left_out else 0)


@app.command(rich_help_panel=MODELS)
def finetune(
    survey: Survey,
    task: Annotated[FineTuningTask, typer.Option(help="Numbers, or names of classes.")],
    label: Annotated[str, typer.Option(help="Column of the survey's star table, or of --labels.")],
    output: Annotated[Path, output_option("Model folder to make (or the model's own).")],
    labels: Annotated[
        Path | None,
        typer.Option(help="Table with the label and KIC, Gaia number, star_id, obsid, file or ra and dec."),
    ] = None,
    model: Model = "",
    name: Annotated[str, typer.Option(help="What predictions call the label; left out: as the column.")] = "",
    unfrozen: Annotated[bool, typer.Option(help="Train a copy of the DualFormer too.")] = False,
    log: Annotated[bool, typer.Option(help="Predict the logarithm: for labels that span decades.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same head.")] = 0,
    device: Device = "auto",
) -> None:
    """Teach a model a label of your own, from as few as some 20 stars; `desa predict` then gives it too.

    The encoders stay as they are. Numbers come with conformal 68 % and 90 % intervals, classes with
    calibrated probabilities. Scores are on stars that the head has not seen: test stars, or where those are
    fewer than 20 in cross-validation over all labelled stars.

    Example: `desa finetune survey --task regression --label age --log -o models/with_age`
    """
    check_folder(output)
    check_model(model)
    from desa.devices import choose_device

    where = choose_device(device)
    import desa
    from desa.cli.screen import print_table, score_table
    from desa.finetune.survey import finetune_survey, save_with_heads
    from desa.progress import progress_bar
    from desa.survey.store import Survey as Store

    loaded = desa.load(model).to(where)
    with claimed_for_model(output), progress_bar("embedding labelled stars") as progress:
        found = finetune_survey(
            loaded,
            Store.open(survey),
            label,
            task.value,
            table=labels,
            name=name,
            unfrozen=unfrozen,
            logarithm=log,
            seed=seed,
            progress=progress,
            work=output / "work",
        )
        save_with_heads(loaded, found.heads, output)
    print_table(score_table(found), screen())
    if not any(head.facts["scores"] for head in found.heads):
        screen().print("too few labelled stars for a score: label more stars")
    screen().print(f"{found.heads[0].label} in {output}: give it to `desa predict --model`", markup=False)
    for variant, reason in found.left_out:
        screen().print(f"no head for {variant}: {reason}", markup=False, highlight=False)
