"""Commands that make mock surveys: simulate, demo."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import DATA, START, Processes, Scheduler, app, output_option, screen
from desa.cli.output import check_folder


class Layout(Enum):
    """What `desa simulate` writes."""

    store = "store"
    fits = "fits"


@app.command(rich_help_panel=DATA)
def simulate(
    output: Annotated[Path, output_option("Folder to make.")],
    stars: Annotated[int, typer.Option(min=1, help="Number of stars.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed; each star has its own from it.")] = 0,
    format: Annotated[
        Layout, typer.Option(help="store (a survey) or fits (the archives' files).")
    ] = Layout.store,
    quarters: Annotated[int, typer.Option(min=1, max=18, help="Quarters of light curve.")] = 18,
    short: Annotated[
        float, typer.Option(min=0, max=1, help="Share of light curves that are pieces of 25 to 92 days.")
    ] = 0.0,
    processes: Processes = 2,
    scheduler: Scheduler = None,
    continua: Annotated[
        Path | None,
        typer.Option(help="Real survey: spectra alone, model lines on its continua and with its noise."),
    ] = None,
    check: Annotated[
        Path | None, typer.Option(help="Folder of real data: write a page of mock against real instead.")
    ] = None,
    residuals: Annotated[
        Path | None, typer.Option(help="With --check: a correction that half of the real spectra made.")
    ] = None,
) -> None:
    """Make a mock Kepler + LAMOST survey. The same seed gives the same stars; more stars only add.

    Example: `desa simulate --stars 1000 --seed 1 -o mock`

    Example: `desa simulate --continua real --stars 20000 -o mock-lines`
    """
    check_folder(output)
    from desa.cluster import cluster_executor
    from desa.progress import progress_bar
    from desa.simulate.real_continua import simulate_on_continua
    from desa.simulate.survey import simulate_survey

    if check is not None:
        from desa.simulate.check.page import check_survey

        with progress_bar("checking") as progress:
            check_survey(check, output, residuals=residuals, progress=progress)
        screen().print(f"mock against real in {output / 'report.html'}", markup=False)
        return
    if continua is not None:
        with progress_bar("simulating") as progress:
            simulate_on_continua(continua, stars, seed, output, progress=progress)
        screen().print(f"{stars} mock spectra on the continua of {continua} in {output}", markup=False)
        return
    with cluster_executor(scheduler) as executor, progress_bar("simulating") as progress:
        simulate_survey(
            stars,
            seed,
            output,
            format=format.value,
            quarters=range(quarters),
            short=short,
            processes=processes,
            progress=progress,
            executor=executor,
        )
    screen().print(f"{stars} mock stars in {output}", markup=False)


@app.command(rich_help_panel=START)
def demo(
    output: Annotated[Path, output_option("Folder to make.")] = Path("demo"),
    stars: Annotated[int, typer.Option(min=200, help="Mock stars.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers.")] = 0,
    processes: Processes = 2,
) -> None:
    """Run the whole story on a mock survey: simulate, ingest, pre-train, align, embed, evaluate, report.

    Example: `desa demo -o demo`
    """
    check_folder(output)
    from desa.demo import run_demo

    run_demo(output, stars=stars, seed=seed, processes=processes, console=screen())
