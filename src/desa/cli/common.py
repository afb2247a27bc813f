"""What the commands share: the application, options that several take, tables and lists on screen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console

START, STARS, DATA, MODELS = "Begin here", "Your stars", "Files, surveys, labels", "Models and experiments"
"""Groups of commands in `desa --help`."""


ORDER = (
    *("demo", "predict", "embed", "search", "anomalies", "explore"),
    *("inspect", "ingest", "info", "fetch", "catalogs", "simulate"),
    *("pretrain", "align", "calibrate", "finetune", "convert", "benchmark"),
)
"""Commands in `desa --help`, group by group."""


class Grouped(typer.core.TyperGroup):
    """Commands in the order of `ORDER`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, as `desa --help` shows them."""
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    cls=Grouped,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="A multimodal foundation model of stars: Kepler light curves and LAMOST spectra in one embedding.",
)

Preset = Annotated[str, typer.Option(help="mini (minutes on 2 cores), small, or published (the paper's).")]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings, in place of --preset.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes that work side by side.")]
Seed = Annotated[int | None, typer.Option(help="Seed, in place of the settings' own.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps, in place of the settings' own.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Survey = Annotated[Path, typer.Argument(help="Survey folder made by `desa ingest` or `desa simulate`.")]
Surveys = Annotated[
    list[str],
    typer.Argument(
        help="Survey folders. Of several, `FOLDER=WEIGHT` says what share of each batch one gives; else 1.",
        metavar="SURVEY[=WEIGHT]...",
    ),
]
Model = Annotated[
    str, typer.Option(help="Model folder, or user/name on the Hub; left out: the model that desa brings.")
]
EverySpectrum = Annotated[
    bool,
    typer.Option("--every-spectrum", help="A row for each spectrum of a star, in place of its best one."),
]
ResampleSpectra = Annotated[
    bool,
    typer.Option("--resample-spectra", help="Take spectra of instruments that the model was not trained on."),
]
Resume = Annotated[bool, typer.Option(help="Go on from the last checkpoint in the output folder, if any.")]


def output_option(help: str) -> Any:
    """``-o``, ``--output``: what can't be written is told before the work."""

    def check(path: Path | None) -> Path | None:
        from desa.files import check_output

        return path if path is None else check_output(path)

    return typer.Option("-o", "--output", help=help, callback=check)


def screen() -> Console:
    """Where results go."""
    return Console()


def chosen_settings(preset: str, config: Path | None, seed: int | None, **changes: Any) -> Any:
    """The settings of a preset or a file, with the command line's changes."""
    from desa.config import read_settings, settings, with_changes

    chosen = read_settings(config) if config else settings(preset)
    if seed is not None:
        changes["seed"] = seed
    return with_changes(chosen, changes)


def list_left_out(rows: list[tuple[str, str]]) -> None:
    """List files that could not be used, on standard error."""
    console = Console(stderr=True)
    if rows:
        console.print(f"{len(rows)} left out:", style="yellow")
    for path, reason in rows:
        console.print(f"  {path}: {reason}", markup=False, highlight=False, soft_wrap=True)
