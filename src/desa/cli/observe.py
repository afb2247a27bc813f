"""Commands for observers: predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import Device, app, list_left_out, screen


@app.command()
def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Light-curve and spectrum files, folders of such, or one survey folder."),
    ],
    model: Annotated[
        str, typer.Option(help="Model folder, or user/name on the Hub; left out: the model that desa brings.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Table: .ecsv, .fits, .vot, .parquet or .csv; left out: screen."),
    ] = None,
    match_arcsec: Annotated[float, typer.Option(min=0, help="Radius for pairs by position.")] = 3.0,
    min_snr: Annotated[float, typer.Option(min=0, help="Spectra of lower S/N in g are flagged.")] = 10.0,
    device: Device = "auto",
) -> None:
    """Predict stellar parameters with calibrated 68 % and 90 % intervals, and say when not to trust them.

    Quarters of a star are stitched, light curves and spectra paired. What a model predicts: Teff, log g and
    [Fe/H] from a spectrum, the rotation period from a light curve, and what `desa finetune` added.

    Example: `desa predict kplr*_llc.fits spec-*.fits.gz -o stars.ecsv`

    Exit code 1 if any file was left out.
    """
    import desa
    from desa.grouping import LeftOut, is_survey
    from desa.predict.output import summary_lines, table_format, write_table
    from desa.predict.quality import Limits
    from desa.predict.screen import print_table, screen_table
    from desa.predict.stars import predict_files, predict_survey
    from desa.progress import progress_bar
    from desa.survey.store import Survey as Store
    from desa.training.distributed import choose_device

    if output is not None:
        table_format(output)
    loaded = desa.load(model).to(choose_device(device))
    limits = Limits(snr_g=min_snr)
    left_out: LeftOut = []
    with progress_bar("predicting") as progress:
        if len(inputs) == 1 and is_survey(inputs[0]):
            table = predict_survey(loaded, Store.open(inputs[0]), limits=limits, progress=progress)
        else:
            table, left_out = predict_files(
                loaded, inputs, match_arcsec=match_arcsec, limits=limits, progress=progress
            )
    if output is None:
        print_table(screen_table(table), screen())
    else:
        write_table(table, output)
    for line in summary_lines(table, output):
        screen().print(line, markup=False, highlight=False, soft_wrap=True)
    list_left_out(left_out)
    raise typer.Exit(1 if left_out else 0)
