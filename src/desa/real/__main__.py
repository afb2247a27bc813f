"""``python -m desa.real DATA -o OUT``, and with a word before DATA: evaluate, sim-to-real."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from desa.errors import DesaError


def _run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m desa.real", description="Experiments on real Kepler and LAMOST files."
    )
    parser.add_argument("data", type=Path, help="folder with kepler/ and lamost/")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("real"), help="folder for models and tables"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--members", type=int, default=1, help="models per fold that are averaged")
    parser.add_argument("--processes", type=int, default=2, help="models trained side by side")
    parser.add_argument(
        "--lightcurve-model",
        type=Path,
        help="model with a light-curve encoder (`desa pretrain lightcurve` or `desa demo` makes one)",
    )
    parser.add_argument(
        "--spectrum-model",
        type=Path,
        help="model with a spectrum encoder, mapped beside the experiment's own",
    )
    parser.add_argument("--maps-only", action="store_true", help="use the models that OUT holds already")
    return parser


def _evaluate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m desa.real evaluate", description="Measure a saved model on labelled spectra."
    )
    parser.add_argument("model", type=Path, help="the experiment's OUT/model")
    parser.add_argument(
        "data", type=Path, help="folder with dr10_compact.npz and dr10_labels.csv, or above it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _sim_to_real_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m desa.real sim-to-real", description="What mock pre-training is worth with few real labels."
    )
    parser.add_argument("data", type=Path, help="folder with lamost/")
    parser.add_argument("model", type=Path, help="pre-trained on mock spectra: OUT/pretrained/model of a run")
    parser.add_argument("-o", "--output", type=Path, default=Path("sim-to-real"))
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _sim_to_real(arguments: list[str], console: Console) -> None:
    from desa.benchmark.tasks.sim_to_real import sim_to_real
    from desa.real.evaluate import score_table

    given = _sim_to_real_parser().parse_args(arguments)
    found = sim_to_real(given.data, given.model, given.output, seed=given.seed, say=console.print)
    console.print(score_table("Mean absolute error on real spectra of test stars", found))


def _evaluate(arguments: list[str], console: Console) -> None:
    from desa.real.evaluate import coverage_table, evaluate, score_table
    from desa.real.scores import Coverage, Score

    given = _evaluate_parser().parse_args(arguments)
    found = evaluate(given.model, given.data)
    if given.json:
        console.print_json(json.dumps(found))
        return
    scores = [Score(**row) for row in found["scores"]]
    console.print(score_table(f"Mean absolute error, {found['spectra']} spectra", {"encoder": scores}))
    if found["coverage"]:
        console.print(coverage_table("Calibrated intervals", [Coverage(**row) for row in found["coverage"]]))


def _run(arguments: list[str], console: Console) -> None:
    from desa.benchmark.tasks import landmarks
    from desa.real import spectra

    given = _run_parser().parse_args(arguments)
    if not given.maps_only:
        spectra.run(
            given.data,
            given.output,
            seed=given.seed,
            members=given.members,
            processes=given.processes,
            console=console,
        )
    models = {"pre-trained on mock spectra": given.output / "pretrained" / "model"}
    if given.spectrum_model:
        models["given encoder"] = given.spectrum_model
    if not given.lightcurve_model:
        console.print("no --lightcurve-model given: the light curves are left out")
    landmarks.run(
        given.data,
        given.output,
        spectrum_models=models,
        lightcurve_model=given.lightcurve_model,
        seed=given.seed,
        console=console,
    )


def main(arguments: list[str]) -> int:
    """Exit code 1, and one sentence, where the input is at fault."""
    console = Console()
    words = {"evaluate": _evaluate, "sim-to-real": _sim_to_real}
    try:
        if arguments and arguments[0] in words:
            words[arguments[0]](arguments[1:], console)
        else:
            _run(arguments, console)
    except DesaError as error:
        Console(stderr=True).print(str(error), style="red", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
