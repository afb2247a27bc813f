"""Commands that compare models: benchmark, phases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desa.cli.common import (
    MODELS,
    Config,
    Model,
    Preset,
    Processes,
    Seed,
    app,
    chosen_settings,
    output_option,
    screen,
)
from desa.cli.output import check_folder


@app.command(rich_help_panel=MODELS)
def benchmark(
    output: Annotated[Path, output_option("Folder for everything it makes.")],
    survey: Annotated[Path | None, typer.Argument(help="Survey folder.", show_default=False)] = None,
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
    model: Annotated[
        str,
        typer.Option(
            help="Model folder, or user/name on the Hub, whose encoders are used, not trained anew. On "
            "a survey of real stars: the real track, for a model that has learned from mock stars alone."
        ),
    ] = "",
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of others' cached features, in place of a survey: the diagnostic on them."),
    ] = None,
) -> None:
    """Run the paper's experiments on a survey: every model, every task, every seed; tables and a page.

    Interrupted, the same command goes on. Results: report.html, its tables as report.md, results.parquet,
    results.csv, results.json.

    With --model, a survey of real stars is asked what the model's encoders know of them: the tasks that it
    has data and labels for, each beside hand-made features and untrained encoders.

    Example: `desa benchmark survey --preset mini --seeds 3 -o results --only probe,desa,concatenation`

    Exit code 1 if any cell gave no score.
    """
    if (survey is None) == (features is None):
        raise typer.BadParameter("give a survey, or --features with a folder of cached features")
    check_folder(output)
    if features is not None:
        from desa.benchmark.features import phases as run_phases
        from desa.benchmark.features import read_features

        run_phases(read_features(features), output)
        _show(output)
        return
    assert survey is not None
    from desa.benchmark.collect import collect
    from desa.benchmark.design import make_design
    from desa.benchmark.page import write_benchmark
    from desa.benchmark.real_stars import check_unseen
    from desa.benchmark.runner import MADE_FROM, run
    from desa.folders import claimed
    from desa.models.hub import model_folder
    from desa.models.network import Network
    from desa.progress import progress_bar
    from desa.survey.store import Survey as Store

    chosen, store = chosen_settings(preset, config, seed), Store.open(survey)
    folder = model_folder(model) if model else None
    if folder is not None and store.kind == "real":
        check_unseen(Network.load(folder), model)
    design = make_design(
        chosen.preset,
        seeds,
        [name for name in only.split(",") if name],
        steps,
        lambda track: track.suits(store, given=folder is not None),
    )
    ours = claimed(output, "benchmark", ours=lambda path: (path / MADE_FROM).is_file())
    with ours, progress_bar("benchmark") as progress:
        place = run(
            store,
            chosen,
            design,
            output,
            model=folder,
            processes=processes,
            progress=progress,
            say=screen().print,
        )
    results = collect(place, design)
    page = write_benchmark(place, design, results)
    screen().print(f"{results.table.num_rows} scores; report: {page}", markup=False, highlight=False)
    for line in results.left_out:
        screen().print(line, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if results.left_out else 0)


LABELS = "teff,log_g,fe_h,log_prot,age,bp_rp,m_g"


@app.command(rich_help_panel=MODELS)
def phases(
    survey: Annotated[Path, typer.Argument(help="Survey folder.")],
    output: Annotated[Path, output_option("Folder for phases.md and phases.json.")],
    model: Model = "",
    labels: Annotated[str, typer.Option(help="Labels, by commas.")] = LABELS,
) -> None:
    """Tell for which labels aligning both modalities, or predicting one from the other, can pay.

    Canonical correlations and reduced-rank regression on the encoders' features, beside each modality alone
    and both side by side, after arXiv 2606.11190. For features from elsewhere: `desa benchmark --features`.

    Example: `desa phases survey --model runs/joint/model -o phases`
    """
    check_folder(output)
    import desa
    from desa.benchmark.features import features_of
    from desa.benchmark.features import phases as run
    from desa.survey.store import Survey as Store

    names = tuple(name for name in labels.split(",") if name)
    run(features_of(desa.load(model), Store.open(survey), names), output)
    _show(output)


def _show(output: Path) -> None:
    """The table on the screen."""
    text = (output / "phases.md").read_text(encoding="utf-8")
    screen().print(text, markup=False, highlight=False, soft_wrap=True)
