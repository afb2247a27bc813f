"""The command that runs the paper's experiments: benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import (
    MODELS,
    Config,
    Preset,
    Processes,
    Seed,
    Survey,
    app,
    chosen_settings,
    screen,
)


@app.command(rich_help_panel=MODELS)
def benchmark(
    survey: Survey,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything it makes.")],
    preset: Preset = "mini",
    config: Config = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every model.")] = 3,
    only: Annotated[
        str, typer.Option(help="Tasks and models, by commas; 'ablations' for all of those.")
    ] = "",
    seed: Seed = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Alignment steps, in place of the preset's.")
    ] = None,
    processes: Processes = 2,
    real: Annotated[
        bool,
        typer.Option(
            "--real",
            help="SURVEY is a folder of real files (kepler/ and lamost/): what few real labels say of the "
            "encoders of --model. Never mixed with a survey's results.",
        ),
    ] = False,
    model: Annotated[
        str,
        typer.Option(help="With --real: model folder, or user/name on the Hub; trained on mock stars."),
    ] = "",
) -> None:
    """Run the paper's experiments on a survey: every model, every task, every seed; tables and a page.

    Interrupted, the same command goes on. Results: report.html, its tables as report.md, results.parquet,
    results.csv, results.json.

    With --real: few labels of spectra, kinds and numbers of light curves, each beside hand-made features and
    untrained encoders; report.html, report.md, results.csv, results.json. Of the other options it takes
    --seed alone.

    Example: `desa benchmark survey --preset mini --seeds 3 -o results --only probe,desa,concatenation`

    Exit code 1 if any cell gave no score.
    """
    if real:
        if only or steps or config:
            raise typer.BadParameter("--real goes with --model, --seed and --output only")
        if not model:
            raise typer.BadParameter("--real needs --model: one that has learned from a mock survey alone")
        from desa.benchmark.tasks.few_real_labels import run as run_real

        run_real(survey, model, output, seed=seed or 0, console=screen())
        screen().print(f"report: {output / 'report.html'}", markup=False, highlight=False)
        return
    if model:
        raise typer.BadParameter("--model goes with --real: a benchmark trains its own models")
    from desa.benchmark.collect import collect
    from desa.benchmark.design import make_design
    from desa.benchmark.page import write_benchmark
    from desa.benchmark.runner import run
    from desa.progress import progress_bar
    from desa.survey.store import Survey as Store

    chosen = chosen_settings(preset, config, seed)
    store = Store.open(survey)
    design = make_design(chosen.preset, seeds, [name for name in only.split(",") if name], steps)
    with progress_bar("benchmark") as progress:
        place = run(store, chosen, design, output, processes=processes, progress=progress, say=screen().print)
    results = collect(place, design)
    page = write_benchmark(place, design, results)
    screen().print(f"{results.table.num_rows} scores; report: {page}", markup=False, highlight=False)
    for line in results.left_out:
        screen().print(line, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if results.left_out else 0)
