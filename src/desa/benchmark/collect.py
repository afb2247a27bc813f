"""Cells to one tidy table (Parquet, CSV, JSON), and paired tests of one candidate against the others."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from desa.benchmark.jobs import Place, jobs_of
from desa.benchmark.plan import Plan
from desa.benchmark.registry import SPECS
from desa.benchmark.results import Results, means_of
from desa.benchmark.runner import FACTS, read_spent
from desa.benchmark.tasks.registry import TASKS
from desa.benchmark.training import FACTS as TRAINING
from desa.evaluation.paired import METRICS, compared, paired_bootstrap
from desa.files import written_whole

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


def collect(place: Place, plan: Plan) -> Results:
    """Read all cells of a plan; write ``results.parquet``, ``results.csv`` and ``results.json``."""
    rows, left_out = list[dict[str, Any]](), list[str]()
    for job in jobs_of(plan, place)[-1]:
        cell = json.loads(job.target(place).read_text(encoding="utf-8"))
        if cell["left_out"]:
            left_out.append(f"{cell['task']}, {cell['model']}, seed {cell['seed']}: {cell['left_out']}")
        common = {name: cell[name] for name in ("model", "group", "seed", "prior", "data")}
        rows += [{**common, **score} for score in cell["scores"]]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    facts = json.loads((place.folder / FACTS).read_text(encoding="utf-8"))
    results = Results(
        table,
        means_of(rows),
        paired_tests(place, plan),
        left_out,
        facts,
        read_spent(place.folder / "spent.json"),
        _training(place, plan),
    )
    _write(place, results)
    return results


def predictions(place: Place, task: str, model: str, seed: int) -> dict[str, NDArray[Any]]:
    """Arrays of a cell; empty where there are none."""
    path = place.cell_file(task, model, seed).with_suffix(".npz")
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def paired_tests(place: Place, plan: Plan) -> list[dict[str, Any]]:
    """DESA against every other model, for every task whose cells keep predictions."""
    found = []
    if "desa" not in plan.models:
        return []
    for task in plan.tasks:
        if not TASKS[task].tested:
            continue
        for name in (*plan.models, *plan.ablations):
            if name != "desa" and TASKS[task].wants(SPECS[name]):
                found += _tests_of(place, plan, task, name)
    return found


def _tests_of(place: Place, plan: Plan, task: str, model: str) -> list[dict[str, Any]]:
    found = []
    arrays = {
        name: [predictions(place, task, name, seed) for seed in plan.seeds_of(SPECS[name])]
        for name in ("desa", model)
    }
    for label, metric in TASKS[task].tested.items():
        own, other = (
            [pair for each in arrays[name] if (pair := compared(each, label, metric)) is not None]
            for name in ("desa", model)
        )
        if not own or not other:
            continue
        truth = own[0][0]
        if any(not np.array_equal(each, truth, equal_nan=True) for each, _ in (*own, *other)):
            continue
        first, second = ([predicted for _, predicted in group] for group in (own, other))
        difference = paired_bootstrap(truth, first, second, METRICS[metric])
        found.append({"task": task, "label": label, "metric": metric, "model": model, **asdict(difference)})
    return found


def _training(place: Place, plan: Plan) -> dict[str, dict[str, Any]]:
    found = {}
    for spec in plan.specs():
        files = [place.model_folder(spec.name, seed) / TRAINING for seed in plan.seeds_of(spec)]
        facts = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        found[spec.name] = {
            **facts[0],
            "seconds": float(np.mean([each["seconds"] for each in facts])),
            "collapsed": float(np.mean([each["collapsed"] for each in facts])),
        }
    return found


def _write(place: Place, results: Results) -> None:
    with written_whole(place.folder / "results.parquet") as scratch:
        facts = {f"desa.{name}": str(value) for name, value in results.facts["provenance"].items()}
        pq.write_table(results.table.replace_schema_metadata(facts), scratch)
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
        facts = json.loads(path.read_text(encoding="utf-8"))
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
