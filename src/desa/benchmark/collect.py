"""Cells to one tidy table (Parquet, CSV, JSON), and paired tests of one candidate against the others."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from desa.benchmark.base import FACTS, Arrays, BenchmarkTask, Candidate
from desa.benchmark.design import Design
from desa.benchmark.documents import CellScores, FitFacts, MadeFrom, TrialFacts, read_own
from desa.benchmark.results import Results, means_of
from desa.benchmark.runner import MADE_FROM, read_spent
from desa.benchmark.work import Place, cells_of
from desa.evaluation.paired import METRICS, compared, paired_bootstrap
from desa.files import written_whole
from desa.parquet import write_parquet

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("task", "label", "part", "metric", "model", "group")),
        ("seed", pa.int32()),
        *((name, pa.float64()) for name in ("value", "error", "chance")),
        ("n", pa.int32()),
        ("prior", pa.string()),
        ("data", pa.string()),
    ]
)
"""One score of one seed a row; ``error`` is over test stars."""


def collect(place: Place, design: Design) -> Results:
    """Read all cells of a design; write ``results.parquet``, ``results.csv`` and ``results.json``."""
    rows, left_out = list[dict[str, Any]](), list[str]()
    for piece in cells_of(design):
        cell = read_own(piece.target(place), CellScores)
        if cell["left_out"]:
            left_out.append(f"{cell['task']}, {cell['model']}, seed {cell['seed']}: {cell['left_out']}")
        common = {name: cell[name] for name in ("model", "group", "seed", "prior", "data")}
        rows += [{**common, **score} for score in cell["scores"]]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    facts = read_own(place.folder / MADE_FROM, MadeFrom)
    results = Results(
        table,
        means_of(rows),
        paired_tests(place, design),
        left_out,
        facts,
        read_spent(place.folder / "spent.json"),
        _training(place, design),
    )
    _write(place, results)
    return results


def arrays_of(place: Place, task: BenchmarkTask, candidate: Candidate, seed: int) -> Arrays:
    """Arrays of a cell; empty where there are none."""
    path = place.cell_file(task.name, candidate.name, seed).with_suffix(".npz")
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def paired_tests(place: Place, design: Design) -> list[dict[str, Any]]:
    """A track's subject against every other candidate, for every task whose cells keep predictions."""
    found = []
    for task in design.tasks:
        wanted = design.wanted(task)
        subject = next((c for c in wanted if c.name == task.track.subject), None)
        if subject is not None:
            for candidate in wanted if task.tested else ():
                if candidate is not subject:
                    found += _tests_of(place, design, task, (subject, candidate))
    return found


def _tests_of(
    place: Place, design: Design, task: BenchmarkTask, pair: tuple[Candidate, Candidate]
) -> list[dict[str, Any]]:
    found = []
    arrays = [[arrays_of(place, task, c, seed) for seed in design.seeds_of(c)] for c in pair]
    for label, metric in task.tested.items():
        own, other = (
            [both for each in seeds if (both := compared(each, label, metric)) is not None]
            for seeds in arrays
        )
        if not own or not other:
            continue
        truth = own[0][0]
        if any(not np.array_equal(each, truth, equal_nan=True) for each, _ in (*own, *other)):
            continue
        first, second = ([predicted for _, predicted in group] for group in (own, other))
        difference = paired_bootstrap(truth, first, second, METRICS[metric])
        named = {"task": task.name, "label": label, "metric": metric, "model": pair[1].name}
        found.append({**named, **asdict(difference)})
    return found


def _training(place: Place, design: Design) -> dict[str, dict[str, Any]]:
    found = {}
    for candidate in design.candidates:
        seeds = design.seeds_of(candidate)
        files = [place.model_folder(candidate.name, seed) / FACTS for seed in seeds]
        facts = [read_own(file, FitFacts) for file in files]
        found[candidate.name] = {
            **facts[0],
            "seconds": float(np.mean([each["seconds"] for each in facts])),
            "collapsed": float(np.mean([each["collapsed"] for each in facts])),
        }
    return found


def _write(place: Place, results: Results) -> None:
    with written_whole(place.folder / "results.parquet") as scratch:
        facts = {f"desa.{name}": str(value) for name, value in results.facts["provenance"].items()}
        write_parquet(results.table.replace_schema_metadata(facts), scratch)
    with (
        written_whole(place.folder / "results.csv") as scratch,
        scratch.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, SCHEMA.names)
        writer.writeheader()
        writer.writerows(results.table.to_pylist())
    content = {
        **results.facts,
        "spent": results.spent,
        "training": results.training,
        "search": searched(place),
        "means": [
            {**dict(zip(("task", "label", "part", "metric", "model"), key, strict=True)), **asdict(mean)}
            for key, mean in results.means.items()
        ],
        "paired_tests": results.tests,
        "left_out": results.left_out,
    }
    with written_whole(place.folder / "results.json") as scratch:
        scratch.write_text(json.dumps(_plain(content), indent=1) + "\n", encoding="utf-8")


def searched(place: Place) -> dict[str, list[dict[str, Any]]]:
    """Every trial of the search: learning rate, temperature, score."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((place.folder / "search").glob("*/*.json")):
        facts = read_own(path, TrialFacts)
        kept = {name: facts[name] for name in ("learning_rate", "temperature", "score", "collapsed")}
        found.setdefault(path.parent.name, []).append(kept)
    return found


def _plain(value: Any) -> Any:
    """JSON has no NaN: null in its place."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
