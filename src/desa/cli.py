"""The `desa` command: arguments in, tables out; the work is done elsewhere."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from desa.errors import DesaError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="A multimodal foundation model of stars: Kepler light curves and LAMOST spectra in one embedding.",
)
pretrain = typer.Typer(no_args_is_help=True, help="Pre-train an encoder on a survey.")
app.add_typer(pretrain, name="pretrain")

Preset = Annotated[str, typer.Option(help="mini (minutes on 2 cores), small, or published (the paper's).")]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings, in place of --preset.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes that work side by side.")]
Seed = Annotated[int | None, typer.Option(help="Seed, in place of the settings' own.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps, in place of the settings' own.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Survey = Annotated[Path, typer.Argument(help="Survey folder made by `desa ingest` or `desa simulate`.")]
Resume = Annotated[bool, typer.Option(help="Go on from the last checkpoint in the output folder, if any.")]


class Layout(Enum):
    """What `desa simulate` writes."""

    store = "store"
    fits = "fits"


def _screen() -> Console:
    return Console()


def _settings(preset: str, config: Path | None, seed: int | None, **changes: Any) -> Any:
    from desa.config import read_settings, settings, with_changes

    chosen = read_settings(config) if config else settings(preset)
    if seed is not None:
        changes["seed"] = seed
    return with_changes(chosen, changes)


def _left_out(rows: list[tuple[str, str]]) -> None:
    """List files that could not be used, on standard error."""
    console = Console(stderr=True)
    if rows:
        console.print(f"{len(rows)} left out:", style="yellow")
    for path, reason in rows:
        console.print(f"  {path}: {reason}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def inspect(
    files: Annotated[
        list[Path], typer.Argument(help="Light-curve or spectrum files, of any supported layout.")
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say what files are: star, quarters or release, good and total samples, S/N, z.

    Example: `desa inspect kplr*_llc.fits spec-*.fits.gz`

    Exit code 1 if any file can't be used.
    """
    import json as encoder

    from desa.archive.inspect import format_line, inspect_files

    refused = False
    for row in inspect_files(files):
        refused |= row.get("status") != "ok"
        typer.echo(encoder.dumps(row) if json else format_line(row))
    raise typer.Exit(1 if refused else 0)


@app.command()
def ingest(
    output: Annotated[Path, typer.Option("-o", "--output", help="Survey folder to make.")],
    lightcurves: Annotated[Path | None, typer.Option(help="Folder of light-curve files.")] = None,
    spectra: Annotated[Path | None, typer.Option(help="Folder of spectrum files.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Table of labels: CSV, ECSV, FITS or Parquet.")] = None,
    match_arcsec: Annotated[float, typer.Option(min=0, help="Radius for pairing by position.")] = 3.0,
    flux_column: Annotated[str, typer.Option(help="pdcsap or sap.")] = "pdcsap",
    quality: Annotated[
        str, typer.Option(help="Quality bits to leave out: default, hard, none or a number.")
    ] = "default",
    kind: Annotated[str, typer.Option(help="What the data are: real or mock.")] = "real",
    processes: Processes = 2,
) -> None:
    """Turn archive files into a survey: read, check, pair by star, store. Interrupted, it goes on.

    Example: `desa ingest --lightcurves kepler/ --spectra lamost/ --labels labels.csv -o survey`
    """
    from desa.progress import progress_bar
    from desa.survey.ingest import ingest as run
    from desa.survey.outcome import report_rows

    with progress_bar("reading") as progress:
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
        )
    table = Table("what", "number", title=str(output))
    for name, value in report_rows(report):
        table.add_row(name, value)
    _screen().print(table)
    _left_out([(item["path"], item["reason"]) for item in report["left_out"]])
    raise typer.Exit(1 if report["left_out"] else 0)


@app.command()
def info(survey: Survey) -> None:
    """Say what a survey holds: kind, stars, splits, labels, size, identity.

    Example: `desa info survey`
    """
    from desa.survey.info import survey_lines

    for line in survey_lines(survey):
        typer.echo(line)


@app.command()
def simulate(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
    stars: Annotated[int, typer.Option(min=1, help="Number of stars.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed; each star has its own from it.")] = 0,
    format: Annotated[
        Layout, typer.Option(help="store (a survey) or fits (the archives' files).")
    ] = Layout.store,
    quarters: Annotated[int, typer.Option(min=1, max=18, help="Quarters of light curve.")] = 18,
    processes: Processes = 2,
) -> None:
    """Make a mock Kepler + LAMOST survey. The same seed gives the same stars; more stars only add.

    Example: `desa simulate --stars 1000 --seed 1 -o mock`
    """
    from desa.progress import progress_bar
    from desa.simulate.survey import simulate_survey

    with progress_bar("simulating") as progress:
        simulate_survey(
            stars,
            seed,
            output,
            format=format.value,
            quarters=range(quarters),
            processes=processes,
            progress=progress,
        )
    _screen().print(f"{stars} mock stars in {output}", markup=False)


@pretrain.command("spectrum")
def pretrain_spectrum(
    survey: Survey,
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder.")],
    preset: Preset = "mini",
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    device: Device = "auto",
    resume: Resume = True,
) -> None:
    """Pre-train the spectrum encoder: masked filling and stellar parameters.

    Example: `desa pretrain spectrum survey --preset mini -o runs/spectrum`
    """
    from desa.training.run import pretrain_spectrum as run

    changes = {"train_spectrum": {"steps": steps}} if steps else {}
    run(
        survey,
        _settings(preset, config, seed, **changes),
        output,
        device=device,
        resume=resume,
        progress=True,
    )


@pretrain.command("lightcurve")
def pretrain_lightcurve(
    survey: Survey,
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder.")],
    preset: Preset = "mini",
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    device: Device = "auto",
    resume: Resume = True,
) -> None:
    """Pre-train the light-curve encoder: two crops of a star agree, and the rotation period.

    Example: `desa pretrain lightcurve survey --preset mini -o runs/lightcurve`
    """
    from desa.training.run import pretrain_lightcurve as run

    changes = {"train_lightcurve": {"steps": steps}} if steps else {}
    run(
        survey,
        _settings(preset, config, seed, **changes),
        output,
        device=device,
        resume=resume,
        progress=True,
    )


@app.command()
def align(
    survey: Survey,
    spectrum: Annotated[Path, typer.Option(help="Model folder of the spectrum encoder.")],
    lightcurve: Annotated[Path, typer.Option(help="Model folder of the light-curve encoder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder.")],
    preset: Preset = "mini",
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    device: Device = "auto",
    resume: Resume = True,
) -> None:
    """Align the two encoders with the DualFormer, on stars that have both modalities.

    Example: `desa align survey --spectrum runs/s/model --lightcurve runs/l/model -o runs/joint`
    """
    from desa.training.run import align as run

    changes = {"train_align": {"steps": steps}} if steps else {}
    chosen = _settings(preset, config, seed, **changes)
    run(survey, spectrum, lightcurve, chosen, output, device=device, resume=resume, progress=True)


@app.command()
def embed(
    inputs: Annotated[
        list[Path], typer.Argument(help="Light-curve and spectrum files, or one survey folder.")
    ],
    model: Annotated[str, typer.Option(help="Model folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")],
    match_arcsec: Annotated[float, typer.Option(min=0, help="Radius for pairs by position.")] = 3.0,
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Stars at once.")] = 32,
) -> None:
    """Embed files (quarters of a star are stitched, light curves and spectra paired) or a survey.

    Example: `desa embed kplr*_llc.fits spec-*.fits --model runs/joint/model -o emb.parquet`

    Exit code 1 if any file was left out.
    """
    import desa
    from desa.embedding import embed_files, embed_survey, write_embedding
    from desa.progress import progress_bar
    from desa.survey.store import Survey as Store
    from desa.training.distributed import choose_device

    loaded = desa.load(model).to(choose_device(device))
    left_out: list[tuple[str, str]] = []
    with progress_bar("embedding") as progress:
        if len(inputs) == 1 and inputs[0].is_dir():
            table = embed_survey(loaded, Store.open(inputs[0]), batch_size=batch_size, progress=progress)
        else:
            table, left_out = embed_files(loaded, inputs, match_arcsec=match_arcsec, progress=progress)
    write_embedding(table, output)
    counts = {
        str(item["values"]): item["counts"] for item in table.column("modality").value_counts().to_pylist()
    }
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    _screen().print(f"{table.num_rows} embeddings ({said}) in {output}", markup=False, highlight=False)
    _left_out(left_out)
    raise typer.Exit(1 if left_out else 0)


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A published checkpoint: .pth or .safetensors.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to make.")],
    config: Annotated[
        Path | None, typer.Option(help="The published YAML; left out: the published sizes.")
    ] = None,
) -> None:
    """Turn a published DESA checkpoint into a model folder. Files are read without running code in them.

    Example: `desa convert desa_full.pth -o models/published`
    """
    from desa.models.published import convert as run

    model = run(checkpoint, config, output)
    _screen().print(f"{model.metadata['kind']} in {output}", markup=False, highlight=False)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")] = Path("demo"),
    stars: Annotated[int, typer.Option(min=200, help="Mock stars.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers.")] = 0,
    processes: Processes = 2,
) -> None:
    """Run the whole story on a mock survey: simulate, ingest, pre-train, align, embed, evaluate, report.

    Example: `desa demo -o demo`
    """
    from desa.demo import run_demo

    run_demo(output, stars=stars, seed=seed, processes=processes, console=_screen())


def main() -> None:
    """Entry point: errors that are the input's fault become one sentence and exit code 2."""
    try:
        app()
    except DesaError as error:
        Console(stderr=True).print(
            f"desa: {error}", markup=False, highlight=False, style="red", soft_wrap=True
        )
        sys.exit(2)
