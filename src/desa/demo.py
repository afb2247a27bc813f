"""The whole story on a mock survey: simulate, ingest, pre-train, align, embed, evaluate, report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table as ScreenTable
from sklearn.manifold import TSNE

from desa.benchmark.candidates.components import input_components
from desa.benchmark.candidates.untrained import untrained
from desa.config import Settings, settings
from desa.evaluation.probe import LABELS, ProbeTable, probe_table
from desa.files import written_whole
from desa.folders import claimed
from desa.inference.embed import embed_files, embed_survey, write_embedding
from desa.inference.encode import lightcurve_features, spectrum_features
from desa.models.network import Network
from desa.progress import progress_bar
from desa.provenance import provenance
from desa.report.figures import embedding_map, predicted_against_true, training_curves
from desa.report.page import Figure, Page, Part, Table, write_page
from desa.simulate.survey import simulate_survey
from desa.survey.ingest import ingest
from desa.survey.selection import Pairs, best_pairs
from desa.survey.store import Survey
from desa.training.pairs import standardisation
from desa.training.stages import align, joined_model, pretrain_lightcurve, pretrain_spectrum
from desa.training.tracking import read_metrics

QUARTERS = range(4, 8)
"""Quarters of light curve in the demo's mock survey: enough for its crops of 180 d, quick to make."""

FITS_STARS = 12
SCREEN_WIDTH = 125
"""Columns that the table needs without wrapping its cells."""

JOINT, CONCATENATED = "joint embedding", "both encoders side by side"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class DemoResult:
    """What the demo found: the probe table, seconds by stage, and where the report is."""

    table: ProbeTable
    seconds: dict[str, float]
    report: Path


class _Stages:
    """Runs stages one after the other, timed and announced."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """Run one stage and return its result."""
        start = time.perf_counter()
        result = work()
        self.seconds[name] = time.perf_counter() - start
        self.console.print(f"{name}: {self.seconds[name]:.0f} s", highlight=False)
        return result


def run_demo(
    out: str | Path,
    *,
    stars: int = 2000,
    seed: int = 0,
    processes: int = 2,
    chosen: Settings | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Run the demo into a folder.

    Parameters
    ----------
    out
        Folder for the survey, the runs, the embedding and ``report.html``.
    stars
        Mock stars.
    seed
        The same seed gives the same numbers on the same machine.
    processes
        Processes that simulate and ingest side by side.
    chosen
        Settings in place of the ``mini`` preset.
    console
        For the table and the stages; None keeps quiet.

    Returns
    -------
    DemoResult
        The numbers that the report shows.
    """
    with claimed(out, "demo", ours=lambda path: (path / "survey").is_dir()) as folder:
        return _run(folder, stars, seed, processes, chosen, console)


def _run(
    out: Path, stars: int, seed: int, processes: int, chosen: Settings | None, console: Console | None
) -> DemoResult:
    screen = console or Console(quiet=True)
    setting = (chosen or settings("mini")).model_copy(update={"seed": seed})
    stages = _Stages(screen)
    bar = console is not None

    survey = Survey.open(stages("simulate", lambda: _simulate(out, stars, seed, processes, bar)))
    files = stages("write and ingest FITS files", lambda: _through_fits(out, seed, processes))
    spectrum = stages(
        "pre-train spectrum encoder",
        lambda: pretrain_spectrum(survey, setting, out / "spectrum", progress=bar),
    )
    lightcurve = stages(
        "pre-train light-curve encoder",
        lambda: pretrain_lightcurve(survey, setting, out / "lightcurve", progress=bar),
    )
    folders = (out / "spectrum" / "model", out / "lightcurve" / "model")
    model = stages("align", lambda: align(survey, *folders, setting, out / "joint", progress=bar))
    embedded = stages("embed", lambda: _embed(model, survey, out, files))
    before = joined_model(spectrum, lightcurve, setting)
    sets, pairs = stages("controls", lambda: feature_sets(model, before, survey, seed))
    labels = {name: _label(survey, name)[pairs.star] for name in LABELS}
    table = stages("probe", lambda: probe_table(sets, labels, survey.split[pairs.star], seed=seed))

    facts = provenance(data=f"mock survey of {stars} stars", survey=survey.identity, seed=seed)
    _write_numbers(out, table, facts)
    report = out / "report.html"
    stages("report", lambda: _report(report, table, sets[JOINT], labels, out, embedded, facts))
    screen.print(_screen_table(table), width=max(screen.width, SCREEN_WIDTH), soft_wrap=True)
    screen.print(f"report: {report}", highlight=False)
    return DemoResult(table, stages.seconds, report)


def _simulate(out: Path, stars: int, seed: int, processes: int, bar: bool) -> Path:
    target = out / "survey"
    with _bar("simulating", bar) as progress:
        simulate_survey(
            stars, seed, target, format="store", quarters=QUARTERS, processes=processes, progress=progress
        )
    return target


def _bar(text: str, shown: bool) -> AbstractContextManager[Any]:
    return progress_bar(text, None if shown else Console(quiet=True))


def _through_fits(out: Path, seed: int, processes: int) -> list[Path]:
    """Write the first stars as the archives' files and ingest those; returns the files."""
    folder = out / "files"
    simulate_survey(FITS_STARS, seed, folder, format="fits", quarters=QUARTERS, processes=processes)
    ingest(
        folder / "lightcurves", folder / "spectra", None, out / "survey_from_files", processes=1, kind="mock"
    )
    return sorted(path for path in folder.rglob("*.fits*"))


def _embed(model: Network, survey: Survey, out: Path, files: list[Path]) -> dict[str, int]:
    """Embed the survey and the FITS files; write both tables."""
    table = embed_survey(model, survey)
    write_embedding(table, out / "embedding.parquet")
    of_files, left_out = embed_files(model, files)
    write_embedding(of_files, out / "embedding_of_files.parquet")
    return {
        "stars": table.num_rows,
        "files": len(files),
        "from_files": of_files.num_rows,
        "left_out": len(left_out),
    }


def _label(survey: Survey, name: str) -> NDArray[np.float64]:
    if name != "log_prot":
        return survey.labels(name)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log10(survey.labels("prot")))


def feature_sets(
    model: Network, before: Network, survey: Survey, seed: int
) -> tuple[dict[str, Array], Pairs]:
    """The joint embedding and its controls, for every star with both modalities.

    Parameters
    ----------
    model
        The aligned model.
    before
        The same encoders with a DualFormer that has not been trained.
    survey
        The survey.
    seed
        Of the untrained encoders.

    Returns
    -------
    tuple
        name -> (N, D), and the pairs whose rows they are.
    """
    pairs = best_pairs(survey)
    train = survey.split[pairs.star] == "train"
    spectra, curves = spectrum_features(model, survey), lightcurve_features(model, survey)
    if before.settings.dualformer.standardise:
        before.require("dualformer").set_standardisation(
            *standardisation(pairs.where(train), spectra, curves)
        )
    spectrum, lightcurve = spectra[pairs.spectrum], curves[pairs.lightcurve]
    fresh = untrained(model, seed + 1)
    raw = (
        spectrum_features(fresh, survey)[pairs.spectrum],
        lightcurve_features(fresh, survey)[pairs.lightcurve],
    )
    return {
        "principal components of the inputs": input_components(model, survey, pairs, train),
        "untrained encoders side by side": np.concatenate(raw, axis=1),
        "spectrum encoder": spectrum,
        "light-curve encoder": lightcurve,
        CONCATENATED: np.concatenate([spectrum, lightcurve], axis=1),
        "joint embedding before alignment": _joint(before, spectrum, lightcurve),
        JOINT: _joint(model, spectrum, lightcurve),
    }, pairs


@torch.inference_mode()
def _joint(
    model: Network, spectrum: NDArray[np.float32], lightcurve: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Joint embedding (N, d) of encoder features, without prior."""
    rows = [
        model.align(
            torch.from_numpy(spectrum[start : start + 256]), torch.from_numpy(lightcurve[start : start + 256])
        )[1]
        for start in range(0, len(spectrum), 256)
    ]
    return torch.cat(rows).cpu().numpy()


def _write_numbers(out: Path, table: ProbeTable, facts: dict[str, str]) -> None:
    with written_whole(out / "results.json") as scratch:
        scratch.write_text(json.dumps({"provenance": facts, "probes": table.numbers()}, indent=2) + "\n")


def _columns(table: ProbeTable) -> list[str]:
    return ["features", *(f"R2 {label}" for label in table.labels)]


def _screen_table(table: ProbeTable) -> ScreenTable:
    screen = ScreenTable(
        *_columns(table), title="Linear probe on test stars of the mock survey (chance: R2 = 0)"
    )
    for row in table.rows():
        screen.add_row(*row, style="bold" if row[0] == JOINT else None)
    return screen


def _curves(out: Path) -> bytes:
    histories = {}
    for stage in ("spectrum", "lightcurve", "joint"):
        rows = []
        for record in read_metrics(out / stage / "metrics.jsonl"):
            name = "loss" if record["phase"] == "train" else "validation_loss"
            if "loss" in record:
                rows.append({"step": record["step"], name: record["loss"]})
        histories[stage] = rows
    return training_curves(histories)


def _report(
    path: Path,
    table: ProbeTable,
    joint: Array,
    labels: dict[str, NDArray[np.float64]],
    out: Path,
    embedded: dict[str, int],
    facts: dict[str, str],
) -> None:
    probes = table.scores[JOINT]
    counts = next(iter(probes.values()))
    coordinates = TSNE(2, init="pca", random_state=0, perplexity=min(30, len(joint) // 4)).fit_transform(
        joint
    )
    predicted = {
        name: (probe.truth, probe.predicted, f"R2 {probe.r2:.3f} ± {probe.r2_error:.3f}")
        for name, probe in probes.items()
    }
    rows = table.rows()
    caption = (
        "R2 of a ridge regression on fixed features, fitted on stars of the train and valid splits and "
        "scored on test stars (split by star), ± its standard error by bootstrap over test stars, one "
        "seed. Chance is 0. "
        f"{counts.n_train} stars to fit on and {counts.n_test} to test on where the label is complete. "
        "The encoders saw Teff, log g, [Fe/H] and Prot of training stars (hybrid loss), BP-RP and M_G never."
    )
    strong = frozenset(index for index, row in enumerate(rows) if row[0] == JOINT)
    files = (
        f"{embedded['files']} FITS files of {FITS_STARS} of the stars, written in the archives' layouts, "
        f"went through ingest and through `desa embed`: {embedded['from_files']} embeddings, "
        f"{embedded['left_out']} files left out."
    )
    page = Page(
        "A foundation model of stars, in miniature",
        "A mock Kepler + LAMOST survey was simulated, both encoders were pre-trained on it, aligned by the "
        "DualFormer, and the embedding was asked what it knows. The stars are simulated: the numbers "
        "say that the software works and learns, not how well it does on the sky.",
        facts["data"],
        [
            Part("What the embedding knows", files, [Table(_columns(table), rows, caption, strong)]),
            Part(
                "Predicted against true",
                "The same ridge regressions on the joint embedding, star by star, on test stars. True means "
                "the mock catalogue's label, which carries a realistic error.",
                [
                    Figure(
                        predicted_against_true(predicted),
                        "Test stars of the mock survey.",
                        "scatter along the diagonal",
                    )
                ],
            ),
            Part(
                "Map of the embedding",
                "Two coordinates by t-SNE of the joint embedding; no label was used to make them.",
                [
                    Figure(
                        embedding_map(coordinates, labels),
                        "All stars with both modalities, coloured by label; "
                        "grey where the label is missing. Mock survey.",
                        "map coloured by six labels",
                    )
                ],
            ),
            Part(
                "Training",
                "Loss against step of the three stages.",
                [
                    Figure(
                        _curves(out),
                        "Mock survey. Validation on stars of the valid split.",
                        "losses that fall",
                    )
                ],
            ),
        ],
        facts,
    )
    write_page(path, page)
