"""The benchmark's page: what was done, a section a task with its tables and figures, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from desa.benchmark.base import Arrays, BenchmarkTask, Candidate
from desa.benchmark.collect import arrays_of
from desa.benchmark.design import Design
from desa.benchmark.results import Results
from desa.benchmark.tables import paper_table, score_table, test_table, wins
from desa.benchmark.training import Trained
from desa.benchmark.work import Place
from desa.report.markdown import write_with_text
from desa.report.page import Page, Part, Table

PAPER_KWH = 334.0
"""Energy of all the paper's training, 204 kWh of it pre-training."""


def write_benchmark(place: Place, design: Design, results: Results) -> Path:
    """Write ``report.html``, and its tables as ``report.md``, into the benchmark's folder.

    Returns
    -------
    pathlib.Path
        Of the page.
    """
    path, data = place.folder / "report.html", place.inputs(design.tracks[0]).data
    arrays = {
        task: {c: found for c in design.wanted(task) if (found := arrays_of(place, task, c, 0))}
        for task in design.tasks
    }
    parts = body(design, results, data, arrays)
    links = [(name, name) for name in ("results.csv", "results.parquet", "results.json", "benchmark.json")]
    parts.append(Part("Raw tables and settings", "All numbers of this page and the settings.", links=links))
    said = f"{data}; prior none unless a row says otherwise"
    page = Page("The paper's experiments", lead(place, design), said, parts, results.facts["provenance"])
    write_with_text(path, page)
    return path


def lead(place: Place, design: Design) -> str:
    """What was done, on how many stars."""
    survey = place.inputs(design.tracks[0]).survey
    text = (
        f"Two encoders were pre-trained on a survey of {survey.n_stars} stars, one on spectra, one on light "
        "curves, and frozen. "
        if place.model is None
        else f"The encoders are those of {place.model}, frozen. "
    )
    for track in design.tracks:
        inputs = place.inputs(track)
        train, valid, calibration, test = (
            int((inputs.split == name).sum()) for name in ("train", "valid", "calibration", "test")
        )
        text += (
            f"{track.name[0].upper()}{track.name[1:]}: {len(inputs.stars)} ({inputs.data}; {train} to train, "
            f"{valid} to choose, {calibration} to calibrate, {test} to test; split by star). "
        )
    return text + (
        f"Every candidate that is trained had {design.budget.steps} steps, the same search over learning "
        f"rate and temperature, and {design.seeds} seeds; then every task was done on every candidate's "
        "embedding. The encoders were trained once: seeds vary the alignment, the heads and the draws. ± is "
        "the standard error, over test stars and over seeds in quadrature."
    )


def body(
    design: Design, results: Results, data: str, arrays: Mapping[BenchmarkTask, Mapping[Candidate, Arrays]]
) -> list[Part]:
    """The parts of the page: a section a task, what came out, ablations, training and what was spent.

    Parameters
    ----------
    design, results
        What was done, and its scores.
    data
        What the data are.
    arrays
        Of seed 0, by task and candidate.
    """
    data = data[0].upper() + data[1:]
    parts = [section(task, design, results, data, arrays.get(task, {})) for task in design.tasks]
    parts.insert(1, came_out(design, results))
    parts += [
        Part(*task.ablations, [table])
        for task in design.tasks
        if task.ablations and (table := _ablations(task, design, results, data))
    ]
    parts += [_candidates(design), _training(design, results), _spent(results)]
    if results.left_out:
        parts.append(Part("Left out", " · ".join(results.left_out)))
    return parts


def section(
    task: BenchmarkTask, design: Design, results: Results, data: str, arrays: Mapping[Candidate, Arrays]
) -> Part:
    """A task's part of the page."""
    rows = [candidate for candidate in design.wanted(task) if candidate.group != "ablation"]
    tables = [
        score_table(results, task, columns, rows, f"{caption} {data}.")
        for caption, columns in ((task.caption, task.columns), *task.tables)
    ]
    if not task.ablations:
        tables.append(_ablations(task, design, results, data))
    metrics = ", ".join(sorted({test["metric"] for test in results.tests_of(task.name)}))
    tested = (
        f"Difference ({metrics}; more is better), with its standard error by a paired bootstrap: test stars "
        "(the same for both) and seeds are drawn anew 1000 times. * p < 0.05, not corrected for the number "
        f"of comparisons (p itself is in results.json). {data}."
    )
    tables += [test_table(results, task, tested), paper_table(results, task, data)]
    return Part(task.title, task.text, [*filter(None, tables), *task.figures(arrays, data)])


def _ablations(task: BenchmarkTask, design: Design, results: Results, data: str) -> Table | None:
    """Ablations of a task below what they are compared with; None where there are none."""
    rows = [candidate for candidate in design.wanted(task) if candidate.group == "ablation"]
    if not rows:
        return None
    bases = [c for c in design.wanted(task) if c in {r.base for r in rows if isinstance(r, Trained)}]
    caption = (
        f"{task.caption} {data}. Each row changes one thing; learning rate and temperature are those of the "
        f"search of what it changes, seeds the first {len(design.seeds_of(rows[0]))} of {design.seeds}."
    )
    folded = "" if task.ablations else "Ablations"
    return score_table(results, task, task.columns, [*bases, *rows], caption, folded=folded)


def came_out(design: Design, results: Results) -> Part:
    """What the numbers say, in sentences and a table that are made from them."""
    said = [task.finding(results) for task in design.tasks]
    titles = {candidate.name: candidate.title for candidate in design.candidates}
    fallen = [titles[name] for name, facts in results.training.items() if facts["collapsed"]]
    said.append(
        f"Collapsed: {', '.join(fallen)}." if fallen else "No run collapsed (effective rank below 2)."
    )
    tables = [
        wins(results, [task for task in design.tasks if task.track == track]) for track in design.tracks
    ]
    return Part("What came out", " ".join(filter(None, said)), [*filter(None, tables)])


def _candidates(design: Design) -> Part:
    """What each row is."""
    rows = [[candidate.title, candidate.text or "–"] for candidate in design.candidates]
    text = f"The {len(rows)} that were compared."
    return Part("Candidates", text, [Table(["model", "what it is"], rows, "", folded="What each row is")])


def _training(design: Design, results: Results) -> Part:
    """What the search chose, and what became of each run."""
    rows = []
    for candidate in (c for c in design.candidates if c.trained and c.name in results.training):
        facts = results.training[candidate.name]
        heat = facts["temperature"]
        rows.append(
            [
                candidate.title,
                f"{facts['learning_rate']:.2g}",
                "–" if heat is None else f"{heat:g}",
                f"{facts['parameters']:,}",
                f"{facts['best_step']} of {facts['steps']}",
                f"{facts['rank_spectrum']:.1f}, {facts['rank_lightcurve']:.1f}",
                "yes" if facts["collapsed"] else "no",
                f"{facts['seconds']:.0f}",
            ]
        )
    caption = (
        "Chosen on the valid split by the mean R2 of linear probes (Teff, log g, [Fe/H], log Prot, BP-RP, "
        "M_G). Effective rank of what heads read, spectrum and light curve; below 2 a run has collapsed. "
        "Seconds of training of one seed."
    )
    headings = ["model", "rate", "temperature", "parameters", "best step", "rank", "collapsed", "seconds"]
    tables = [Table(headings, rows, caption)] if rows else []
    return Part("Training", "The same number of steps and of trials for every candidate.", tables)


def _spent(results: Results) -> Part:
    spent = results.spent
    total = {what: sum(own[what] for own in spent.values()) for what in ("seconds", "kwh")}
    rows = [
        [name, f"{own['seconds'] / 60:.1f}", f"{1000 * own['kwh']:.1f}"]
        for name, own in {**spent, "all": total}.items()
    ]
    caption = (
        f"{'; '.join(sorted({str(own['meter']) for own in spent.values()}))}. The paper's training took "
        f"{PAPER_KWH:g} kWh on GPUs, for 6.5 million spectra and a model a thousand times as large. Where no "
        "power meter can be read, codecarbon estimates from the load."
    )
    table = Table(["stage", "minutes", "Wh"], rows, caption, frozenset({len(rows) - 1}))
    return Part("Energy and time", "", [table])
