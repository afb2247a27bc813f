"""Tables of the page: rows are candidates, columns scores; chance and the paper in rows of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from desa.benchmark.base import CANDIDATES, BenchmarkTask, Candidate, Column
from desa.benchmark.results import Mean, Results
from desa.report.page import Table


def cell(mean: Mean | None, digits: int) -> str:
    """Value with standard error, or a dash."""
    if mean is None or not math.isfinite(mean.value):
        return "–"
    error = f" ± {mean.error:.{digits}f}" if math.isfinite(mean.error) else ""
    return f"{mean.value:.{digits}f}{error}"


def score_table(
    results: Results,
    task: BenchmarkTask,
    columns: Sequence[Column],
    candidates: Sequence[Candidate],
    caption: str,
    *,
    folded: str = "",
) -> Table | None:
    """Candidates against scores, with a row for chance; None where none of them has any of the scores.

    A score that no candidate has gets no column.

    Parameters
    ----------
    results
        All results.
    task
        Whose scores.
    columns
        What to show.
    candidates
        Rows, in order; those without any of the scores are left out.
    caption
        Under the table.
    folded
        Title under which the table is shown only when asked for.
    """
    found = {
        candidate: [
            results.means.get((task.name, c.label, c.part, c.metric, candidate.name)) for c in columns
        ]
        for candidate in candidates
    }
    found = {candidate: means for candidate, means in found.items() if any(means)}
    shown = [place for place in range(len(columns)) if any(means[place] for means in found.values())]
    chance, rows = ["–"] * len(columns), []
    for candidate, means in found.items():
        prior = next(mean.prior for mean in means if mean is not None)
        rows.append([candidate.title, prior, *(cell(means[k], columns[k].digits) for k in shown)])
        for k, mean in enumerate(means):
            if mean is not None and math.isfinite(mean.chance):
                chance[k] = f"{mean.chance:.{columns[k].digits}f}"
    if not rows:
        return None
    rows.append(["chance", "–", *(chance[k] for k in shown)])
    strong = frozenset(place for place, c in enumerate(found) if c.name == task.track.subject)
    return Table(["model", "prior", *(columns[k].heading for k in shown)], rows, caption, strong, folded)


def paper_table(results: Results, task: BenchmarkTask, data: str) -> Table | None:
    """The paper's values beside ours, each with what differs; None where the paper has none."""
    rows = []
    for published in task.paper:
        key = (task.name, published.label, published.part, published.metric, published.model)
        if (mean := results.means.get(key)) is None:
            continue
        unit = f" {published.unit}" if published.unit else ""
        rows.append(
            [
                f"{CANDIDATES[published.model].title}: {published.label} {published.metric}",
                f"{published.value:g}{unit} ({published.where})",
                f"{cell(mean, 3)}{unit}",
                published.differs,
            ]
        )
    if not rows:
        return None
    caption = (
        f"The paper's values (real stars) beside ours ({data}); not the same data, so not a contest: the "
        "last column says what differs."
    )
    return Table(["score", "paper", f"here, {data}", "what differs"], rows, caption)


def test_table(results: Results, task: BenchmarkTask, caption: str) -> Table | None:
    """The track's subject minus each other candidate, with the paired bootstrap's p; not of ablations.

    None where nothing was tested.
    """
    tests = [test for test in results.tests_of(task.name) if CANDIDATES[test["model"]].group != "ablation"]
    if not tests:
        return None
    labels = list(dict.fromkeys(test["label"] for test in tests))
    found = {(test["model"], test["label"]): test for test in tests}
    rows = []
    for model in dict.fromkeys(test["model"] for test in tests):
        cells = []
        for label in labels:
            test = found.get((model, label))
            mark = " *" if test and test["p"] < 0.05 else ""
            cells.append(f"{test['value']:+.3f} ± {test['error']:.3f}{mark}" if test else "–")
        rows.append([CANDIDATES[model].title, *cells])
    return Table([f"{CANDIDATES[task.track.subject].title} minus", *labels], rows, caption)


def wins(results: Results, tasks: Sequence[BenchmarkTask]) -> Table | None:
    """For each tested score, whom the track's subject beats and whom not; not of references or ablations."""
    rows = []
    for task in tasks:
        for label, metric in task.tested.items():
            tests = [
                test
                for test in results.tests_of(task.name)
                if test["label"] == label and CANDIDATES[test["model"]].group not in ("ablation", "reference")
            ]
            if not tests:
                continue
            told = [test for test in tests if test["p"] < 0.05 and test["value"] != 0]
            beaten = [CANDIDATES[test["model"]].title for test in told if test["value"] > 0]
            lost = [CANDIDATES[test["model"]].title for test in told if test["value"] < 0]
            names = [", ".join(found) or "none" for found in (beaten, lost)]
            score, how = f"{task.name.replace('_', ' ')}: {label}", metric.replace("_", " ")
            rows.append([score, how, *names, f"{len(tests) - len(told)} of {len(tests)}"])
    if not rows:
        return None
    subject = CANDIDATES[tasks[0].track.subject].title
    caption = (
        f"{subject} against models and controls, by the paired bootstrap over test stars and seeds, p < 0.05 "
        f"each. Not corrected for their number: among {len(rows)} rows of models some will differ by chance."
    )
    return Table(["score", "metric", f"{subject} beats", "loses to", "not told from"], rows, caption)
