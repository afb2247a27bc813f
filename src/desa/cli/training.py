"""Commands that train: pretrain spectrum, pretrain lightcurve, pretrain periods, align, joint, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from desa.cli.common import (
    MODELS,
    Config,
    Device,
    Model,
    Preset,
    Resume,
    Seed,
    Steps,
    Survey,
    Surveys,
    app,
    chosen_settings,
    output_option,
    screen,
)
from desa.cli.output import check_folder

if TYPE_CHECKING:
    from desa.models.network import Network
    from desa.models.spectrum_check import SpectrumCheck

Start = Annotated[
    Path | None,
    typer.Option(help="Model folder whose encoder (and head, if for the same labels) to begin with."),
]

RunFolder = Annotated[Path, output_option("Run folder.")]
SpectrumModel = Annotated[Path, typer.Option(help="Model folder of the spectrum encoder.")]
LightCurveModel = Annotated[Path, typer.Option(help="Model folder of the light-curve encoder.")]

pretrain = typer.Typer(no_args_is_help=True, help="Pre-train an encoder on a survey.")
app.add_typer(pretrain, name="pretrain", rich_help_panel=MODELS)


@pretrain.command("spectrum")
def pretrain_spectrum(
    surveys: Surveys,
    output: RunFolder,
    preset: Preset = "mini",
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    start: Start = None,
    fold: Annotated[
        str | None,
        typer.Option(help="Train on all real stars ('all'), or on all but a fold ('2/3'): no split is kept."),
    ] = None,
    device: Device = "auto",
    resume: Resume = True,
) -> None:
    """Pre-train the spectrum encoder: masked filling and stellar parameters.

    With `supervised: 1` in the settings' objective it is fitted to labels alone, with `supervised: 0` it
    learns without any.

    Example: `desa pretrain spectrum survey --preset mini -o runs/spectrum`

    Example: `desa pretrain spectrum mock=0.5 real=0.5 --start runs/mock/model -o runs/both`
    """
    check_folder(output)
    from desa.training.stages import pretrain_spectrum as run

    changes = {"train_spectrum": {"steps": steps}} if steps else {}
    model = run(
        surveys,
        chosen_settings(preset, config, seed, **changes),
        output,
        start=start,
        fold=fold,
        device=device,
        resume=resume,
        progress=True,
    )
    _say(model, output)


@pretrain.command("lightcurve")
def pretrain_lightcurve(
    surveys: Surveys,
    output: RunFolder,
    preset: Preset = "mini",
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    start: Start = None,
    device: Device = "auto",
    resume: Resume = True,
) -> None:
    """Pre-train the light-curve encoder: two crops of a star agree, and the rotation period.

    Example: `desa pretrain lightcurve survey --preset mini -o runs/lightcurve`
    """
    check_folder(output)
    from desa.training.stages import pretrain_lightcurve as run

    changes = {"train_lightcurve": {"steps": steps}} if steps else {}
    model = run(
        surveys,
        chosen_settings(preset, config, seed, **changes),
        output,
        start=start,
        device=device,
        resume=resume,
        progress=True,
    )
    _say(model, output)


@pretrain.command("periods")
def pretrain_periods(
    surveys: Annotated[list[Path], typer.Argument(help="Survey folders; their stars' `prot` is learned.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder that gets the finder.")],
    quiet: Annotated[
        list[Path] | None,
        typer.Option(help="Table of stars without seen rotation, by KIC number; may be given many times."),
    ] = None,
    injections: Annotated[
        int, typer.Option(min=0, help="Simulated signals put into each real survey's quiet stars.")
    ] = 3000,
    seed: Seed = None,
    steps: Steps = None,
) -> None:
    """Train a finder of rotation periods: it chooses among the peaks of ACF and periodogram.

    Writes periods.safetensors, which `desa predict` takes periods from where a model's folder has it, and
    periods.md: what it is worth in cross-validation on real stars, beside ACF and Lomb-Scargle.

    Example: `desa pretrain periods survey --quiet santos2021_no_rotation.parquet -o runs/joint/model`
    """
    from desa.progress import progress_bar
    from desa.survey.store import Survey as Store
    from desa.training.period_stage import train_finder
    from desa.training.periods import STEPS

    stores = [Store.open(path) for path in surveys]
    with progress_bar("light curves") as progress:
        train_finder(
            stores,
            quiet or [],
            output,
            injections=injections,
            seed=seed or 0,
            steps=steps or STEPS,
            progress=progress,
        )
    screen().print((output / "periods.md").read_text(), markup=False, highlight=False, soft_wrap=True)


@app.command(rich_help_panel=MODELS)
def align(
    surveys: Surveys,
    spectrum: SpectrumModel,
    lightcurve: LightCurveModel,
    output: RunFolder,
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
    check_folder(output)
    from desa.training.stages import align as run

    changes = {"train_align": {"steps": steps}} if steps else {}
    chosen = chosen_settings(preset, config, seed, **changes)
    model = run(surveys, spectrum, lightcurve, chosen, output, device=device, resume=resume, progress=True)
    _say(model, output)


@app.command(rich_help_panel=MODELS)
def joint(
    surveys: Surveys,
    spectrum: SpectrumModel,
    lightcurve: LightCurveModel,
    output: RunFolder,
    preset: Preset = "mini",
    config: Config = None,
    seed: Seed = None,
    steps: Steps = None,
    device: Device = "auto",
    resume: Resume = True,
) -> None:
    """Train the joint model on both encoders' token sequences, on stars that have both modalities.

    Its embedding is the encoders' features side by side and what a transformer over their tokens adds. The
    objectives are weighed in the settings' section `joining`.

    Example: `desa joint survey --spectrum runs/s/model --lightcurve runs/l/model -o runs/joint`
    """
    check_folder(output)
    from desa.training.joint_stage import train_joint

    changes = {"train_joint": {"steps": steps}} if steps else {}
    chosen = chosen_settings(preset, config, seed, **changes)
    model = train_joint(
        surveys, spectrum, lightcurve, chosen, output, device=device, resume=resume, progress=True
    )
    _say(model, output)


def _say(model: Network, output: Path) -> None:
    """Where the model is and how well it did, by the one process that speaks."""
    from desa.training.distributed import current

    if not current().main:
        return
    facts = model.metadata
    scores = ", ".join(f"{name} {value:.4g}" for name, value in facts["validation"].items())
    screen().print(
        f"model: {output / 'model'} (step {facts['best_step']} of {facts['steps']}; on {facts['data']}, "
        f"validation stars: {scores or 'none'})",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@app.command(rich_help_panel=MODELS)
def calibrate(
    survey: Survey,
    output: Annotated[Path, output_option("Model folder to make (or the model's own).")],
    model: Model = "",
    half: Annotated[bool, typer.Option(help="Store large weights in half precision: half the size.")] = False,
    twin: Annotated[
        list[Path] | None,
        typer.Option(help="Model of one fold (`pretrain spectrum --fold 1/3`); give those of all folds."),
    ] = None,
    hottest: Annotated[
        float | None,
        typer.Option(
            min=3000, max=100_000, help="K; where the labels end: hotter stars are told and flagged."
        ),
    ] = None,
    keep_heads: Annotated[
        bool, typer.Option(help="Leave the intervals as they are (with `--hottest`).")
    ] = False,
    device: Device = "auto",
) -> None:
    """Calibrate the intervals that a model predicts on the labelled stars of a survey.

    All stars count, but of a survey that the model was trained on only the calibration split. With `--twin`
    the spectrum head of a model trained on all stars (`--fold all`) is calibrated on all of them, each
    predicted by the twin that has not seen it; intervals then hold by S/N, Teff, log g and [Fe/H].

    With `--hottest` the model also gets a check of its own for spectra: `desa predict` then flags, and
    gives no interval for, stars hotter than that and spectra unlike all of the survey's.

    Example: `desa calibrate real --model runs/joint/model -o models/mine`

    Example: `desa calibrate real --model all/model --twin 1/model --twin 2/model -o models/mine`
    """
    import desa
    from desa.devices import choose_device
    from desa.errors import SettingsError
    from desa.models.places import claimed_for_model
    from desa.survey.store import Survey as Store
    from desa.training.calibration import recalibrate
    from desa.training.cross_calibration import cross_calibrate
    from desa.training.spectrum_check import make_check

    if keep_heads and (twin or hottest is None):
        raise SettingsError("--keep-heads is for --hottest without --twin: else nothing is calibrated")
    loaded = desa.load(model).to(choose_device(device))
    with claimed_for_model(output):
        if hottest is not None:
            loaded.spectrum_check = make_check(loaded, Store.open(survey), hottest)
            screen().print(_check_line(loaded.spectrum_check), markup=False, highlight=False, soft_wrap=True)
        counts = dict[str, int]()
        if twin:
            twins = [desa.load(str(path)) for path in twin]
            counts = {"spectrum": cross_calibrate(loaded, twins, Store.open(survey))}
        elif not keep_heads:
            counts = recalibrate(loaded, Store.open(survey))
        for part, count in counts.items():
            screen().print(f"{part} head calibrated on {count} of {survey}", markup=False, highlight=False)
        loaded.save(output, half=half)


def _check_line(check: SpectrumCheck) -> str:
    """What a check of spectra was made from, in words."""
    return (
        f"spectra: checked by {check.facts['spectra']} of {check.facts['data']}; hotter than the model's "
        f"stars is what has more than {check.threshold:.0f} K by its pixels"
    )
