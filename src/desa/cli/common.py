"""What the commands share: the application, options that several take, tables and lists on screen."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console

from desa.cli.faults import Stopped
from desa.files import written_whole
from desa.words import counted

START, STARS, DATA, MODELS = "Begin here", "Your stars", "Files, surveys, labels", "Models and experiments"
"""Groups of commands in `desa --help`."""


ORDER = (
    *("demo", "predict", "ages", "embed", "search", "anomalies", "explore"),
    *("inspect", "ingest", "info", "fetch", "catalogs", "simulate"),
    *("pretrain", "align", "joint", "phases", "calibrate", "finetune", "convert", "benchmark"),
)
"""Commands in `desa --help`, group by group."""


class Grouped(typer.core.TyperGroup):
    """Commands in the order of `ORDER`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, as `desa --help` shows them."""
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; Ctrl-C leaves it as an error like any other."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped from None


app = typer.Typer(
    cls=Grouped,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="A multimodal foundation model of stars: Kepler light curves and LAMOST spectra in one embedding.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"desa {version('desa')}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and leave.")
    ] = False,
) -> None:
    """A multimodal foundation model of stars: Kepler light curves and LAMOST spectra in one embedding."""


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
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="The same bits for any batch size and number of threads: stars one by one, on the CPU.",
    ),
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler whose workers do it, tcp://host:8786.")
]
Resume = Annotated[bool, typer.Option(help="Go on from the last checkpoint in the output folder, if any.")]


def output_option(help: str) -> Any:
    """``-o``, ``--output``: what can't be written is told before the work."""

    def check(path: Path | None) -> Path | None:
        from desa.files import check_output

        return path if path is None or str(path) == "-" else check_output(path)  # -: standard output

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


MOST_LISTED = 20
"""Files left out that are listed one by one."""

EXAMPLES = 3


def list_left_out(rows: Sequence[tuple[str, str]], beside: Path | None = None) -> None:
    """List files that could not be used, on standard error; many are counted by reason.

    Parameters
    ----------
    rows
        (path, reason) of each.
    beside
        A result: the list of many goes into a file beside it, ``RESULT.left_out.csv``.
    """
    if not rows:
        return
    console = Console(stderr=True)
    console.print(f"{len(rows)} left out:", style="yellow")
    for line in left_out_lines(rows):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if len(rows) > MOST_LISTED and beside is not None:
        path = beside.with_name(f"{beside.name}.left_out.csv")
        with written_whole(path) as scratch, scratch.open("w", newline="") as stream:
            csv.writer(stream).writerows([("path", "reason"), *rows])
        console.print(f"all of them in {path}", markup=False, highlight=False, soft_wrap=True)


def left_out_lines(rows: Sequence[tuple[str, str]]) -> list[str]:
    """A line a file; of many a line a reason, with examples. Reasons that differ in numbers are one."""
    if len(rows) <= MOST_LISTED:
        return [f"{path}: {reason}" for path, reason in rows]
    kinds: dict[str, list[tuple[str, str]]] = {}
    for path, reason in rows:
        kinds.setdefault(re.sub(r"[0-9.]+", "#", reason), []).append((path, reason))
    lines = []
    for found in sorted(kinds.values(), key=len, reverse=True):
        rest = f" and {len(found) - EXAMPLES} more" if len(found) > EXAMPLES else ""
        names = ", ".join(path for path, _ in found[:EXAMPLES])
        lines.append(f"{counted(len(found), 'file')}: {found[0][1]} ({names}{rest})")
    return lines
