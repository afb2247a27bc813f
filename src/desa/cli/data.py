"""Commands on files and surveys: inspect, ingest, info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from desa.cli.common import DATA, Processes, Scheduler, Survey, app, list_left_out, output_option, screen
from desa.cli.output import check_folder

JsonObject = Annotated[bool, typer.Option("--json", help="One JSON object, on standard output.")]


@app.command(rich_help_panel=DATA)
def inspect(
    files: Annotated[
        list[Path], typer.Argument(help="Light-curve or spectrum files of any layout, or folders of such.")
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say what files are: star, quarters or release, good and total samples, S/N, z.

    Example: `desa inspect kplr*_llc.fits spec-*.fits.gz`

    Exit code 1 if any file can't be used.
    """
    import json as encoder

    from desa.io.inspect import format_line, inspect_files
    from desa.survey.scan import list_files

    inside = (
        [path / state.name for state in list_files(path)] if path.is_dir() else [path] for path in files
    )
    refused = False
    for row in inspect_files(file for listed in inside for file in listed):
        refused |= row.get("status") != "ok"
        typer.echo(encoder.dumps(row) if json else format_line(row))
    raise typer.Exit(1 if refused else 0)


@app.command(rich_help_panel=DATA)
def ingest(
    output: Annotated[Path, output_option("Survey folder to make.")],
    lightcurves: Annotated[Path | None, typer.Option(help="Folder of light-curve files.")] = None,
    spectra: Annotated[Path | None, typer.Option(help="Folder of spectrum files.")] = None,
    labels: Annotated[
        list[Path] | None, typer.Option(help="Table of labels; may be given many times, public ones too.")
    ] = None,
    match_arcsec: Annotated[float, typer.Option(min=0, help="Radius for pairing by position.")] = 3.0,
    flux_column: Annotated[str, typer.Option(help="pdcsap or sap.")] = "pdcsap",
    quality: Annotated[
        str, typer.Option(help="Quality bits to leave out: default, hard, none or a number.")
    ] = "default",
    kind: Annotated[
        str | None, typer.Option(help="real, mock or unknown; else what the files' headers say.")
    ] = None,
    processes: Processes = 2,
    scheduler: Scheduler = None,
    json: JsonObject = False,
) -> None:
    """Turn archive files into a survey: read, check, pair by star, store. Interrupted, it goes on.

    Example: `desa ingest --lightcurves kepler/ --spectra lamost/ --labels labels.csv -o survey`
    """
    check_folder(output)
    import json as encoder

    from desa.cluster import cluster_executor
    from desa.progress import progress_bar
    from desa.survey.ingest import ingest as run
    from desa.survey.ingest_report import report_rows

    with cluster_executor(scheduler) as executor, progress_bar("reading") as progress:
        report = run(
            lightcurves,
            spectra,
            labels,
            output,
            processes=processes,
            match_arcsec=match_arcsec,
            flux_column=flux_column,
            quality=quality,
            kind=kind,
            progress=progress,
            executor=executor,
        )
    if json:
        typer.echo(encoder.dumps(report))
        raise typer.Exit(1 if report["left_out"] else 0)
    table = Table("what", "number", title=str(output))
    for name, value in report_rows(report):
        table.add_row(name, value)
    screen().print(table)
    list_left_out([(item["path"], item["reason"]) for item in report["left_out"]], output / "files")
    raise typer.Exit(1 if report["left_out"] else 0)


@app.command(rich_help_panel=DATA)
def info(
    survey: Survey,
    check: Annotated[
        bool, typer.Option("--check", help="Read every file and compare it with its checksum.")
    ] = False,
    json: JsonObject = False,
) -> None:
    """Say what a survey holds: kind, stars, splits, labels, size, identity.

    Example: `desa info survey`

    Exit code 1 if --check finds a damaged file.
    """
    import json as encoder

    from desa.survey.info import damaged_files, survey_info, survey_lines

    damaged = damaged_files(survey) if check else []
    if json:
        typer.echo(encoder.dumps(survey_info(survey) | ({"damaged": damaged} if check else {})))
    else:
        for line in survey_lines(survey):
            typer.echo(line)
        for name in damaged:
            typer.echo(f"damaged       {name}: not what was written; make the survey again")
        if check and not damaged:
            typer.echo("checked       every file is what was written")
    raise typer.Exit(1 if damaged else 0)
