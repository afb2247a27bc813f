"""Tables of the report: rows are models, columns scores; chance and the paper in rows of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from desa.benchmark.paper import PAPER
from desa.benchmark.registry import SPECS, ModelSpec
from desa.benchmark.results import Mean, Results
from desa.report.page import Table


@dataclass(frozen=True)
class Column:
    """One score: its heading, label, metric, part, and a factor for display."""

    heading: str
    label: str
    metric: str
    part: str = ""
    digits: int = 3


def cell(mean: Mean | None, digits: int) -> str:
    """Value with standard error, or a dash."""
    if mean is None or not math.isfinite(mean.value):
        return "–"
    error = f" ± {mean.error:.{digits}f}" if math.isfinite(mean.error) else ""
    return f"{mean.value:.{digits}f}{error}"


def score_table(
    results: Results,
    task: str,
    columns: Sequence[Column],
    models: Sequence[ModelSpec],
    caption: str,
    *,
    with_prior: bool = True,
    folded: str = "",
) -> Table | None:
    """Models against scores, with a row for chance; None where no model has any of the scores.

    A score that no model has gets no column.

    Parameters
    ----------
    results
        All results.
    task
        Name.
    columns
        What to show.
    models
        Rows, in order; those without any of the scores are left out.
    caption
        Under the table.
    with_prior
        Say each model's prior in a column.
    folded
        Title under which the table is shown only when asked for.
    """
    columns = [
        c for c in columns if any((task, c.label, c.part, c.metric, m.name) in results.means for m in models)
    ]
    rows, strong = list[list[str]](), set[int]()
    chance: list[str] = ["–"] * len(columns)
    for spec in models:
        found = [results.means.get((task, c.label, c.part, c.metric, spec.name)) for c in columns]
        if not any(found):
            continue
        if spec.name == "desa":
            strong.add(len(rows))
        prior = next(mean.prior for mean in found if mean is not None)
        cells = [cell(mean, column.digits) for mean, column in zip(found, columns, strict=True)]
        rows.append([spec.title, *([prior] if with_prior else []), *cells])
        for place, (mean, column) in enumerate(zip(found, columns, strict=True)):
            if mean is not None and math.isfinite(mean.chance):
                chance[place] = f"{mean.chance:.{column.digits}f}"
    if not rows:
        return None
    rows.append(["chance", *(["–"] if with_prior else []), *chance])
    headings = ["model", *(["prior"] if with_prior else []), *(column.heading for column in columns)]
    return Table(headings, rows, caption, frozenset(strong), folded)


def paper_table(results: Results, task: str) -> Table | None:
    """The paper's values beside ours, each with what differs; None where the paper has none."""
    rows = []
    for published in PAPER:
        if published.task != task:
            continue
        mean = results.means.get((task, published.label, published.part, published.metric, published.model))
        if mean is None:
            continue
        title = SPECS[published.model].title if published.model in SPECS else "encoder"
        unit = f" {published.unit}" if published.unit else ""
        rows.append(
            [
                f"{title}: {published.label} {published.metric}",
                f"{published.value:g}{unit} ({published.where})",
                f"{cell(mean, 3)}{unit}",
                published.differs,
            ]
        )
    if not rows:
        return None
    data = results.table.column("data")[0].as_py() if results.table.num_rows else "no data"
    caption = (
        f"The paper's values (real stars) beside ours ({data}); not the same data, so not a contest: the "
        "last column says what differs."
    )
    return Table(["score", "paper", f"here, {data}", "what differs"], rows, caption)


def test_table(results: Results, task: str, caption: str, *, ablations: bool = False) -> Table | None:
    """DESA minus each other model, with the p of the paired bootstrap; None where nothing was tested."""
    tests = [
        test
        for test in results.tests
        if test["task"] == task and (SPECS[test["model"]].group == "ablation") == ablations
    ]
    labels = list(dict.fromkeys(test["label"] for test in tests))
    models = list(dict.fromkeys(test["model"] for test in tests))
    if not tests:
        return None
    found = {(test["model"], test["label"]): test for test in tests}
    rows = []
    for model in models:
        cells = []
        for label in labels:
            test = found.get((model, label))
            if test is None:
                cells.append("–")
                continue
            mark = " *" if test["p"] < 0.05 else ""
            cells.append(f"{test['value']:+.3f} ± {test['error']:.3f}{mark}")
        rows.append([SPECS[model].title, *cells])
    return Table(["DESA minus", *labels], rows, caption)
