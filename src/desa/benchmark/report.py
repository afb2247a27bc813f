"""The benchmark's page: what was done, every table and figure, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from desa.benchmark.collect import searched
from desa.benchmark.findings import findings, wins
from desa.benchmark.jobs import Place
from desa.benchmark.paper import PAPER_KWH
from desa.benchmark.plan import Plan
from desa.benchmark.registry import SPECS, ModelSpec
from desa.benchmark.results import Results
from desa.benchmark.sections import SECTIONS
from desa.benchmark.tables import Column, score_table, test_table
from desa.benchmark.tasks.registry import PROBE_LABELS
from desa.report.markdown import write_with_text
from desa.report.page import Page, Part, Table

FIRST = (
    "before_alignment",
    "desa",
    "concatenation",
    "only_spectrum",
    "only_lightcurve",
    "desa_labels",
    "desa_published",
    "moco",
    "moco_clean",
    "simsiam",
    "vicreg",
    "clip",
    "components",
    "untrained",
    "canonical",
    "catalogue",
    "truth",
)
"""Rows of the tables, in this order: the question is the first three."""


def rows_of(plan: Plan) -> list[ModelSpec]:
    """Models and controls of a plan in the order of the tables."""
    return [SPECS[name] for name in FIRST if name in plan.models]


def report(place: Place, plan: Plan, results: Results) -> Path:
    """Write ``report.html``, and its tables as ``report.md``, into the benchmark's folder.

    Returns
    -------
    pathlib.Path
        Of the page.
    """
    inputs, path = place.inputs(), place.folder / "report.html"
    counts = {name: int((inputs.split == name).sum()) for name in ("train", "valid", "calibration", "test")}
    lead = (
        f"Two encoders were pre-trained on a survey of {inputs.survey.n_stars} stars ({inputs.data}), one on "
        f"spectra, one on light curves, and frozen. On the {len(inputs.stars)} stars that have both "
        f"({counts['train']} to train, {counts['valid']} to choose, {counts['calibration']} to calibrate, "
        f"{counts['test']} to test; split by star) every model below joined the two, each with "
        f"{plan.budget.steps} steps, the same search over learning rate and temperature, and {plan.seeds} "
        "seeds; then every task was done on every model's embedding. The encoders were trained once: seeds "
        "vary the alignment, the heads and the draws. ± is the standard error, over test stars and over "
        "seeds in quadrature."
    )
    won = wins(results)
    parts = [
        _first(results, plan, inputs.data),
        Part("What came out", findings(results, plan), [won] if won else []),
    ]
    for section in SECTIONS:
        if section.task in plan.tasks:
            parts.append(section.part(place, plan, results, rows_of(plan)))
    parts += [
        part
        for part in (_ablations(results, plan, inputs.data), _trained(results, plan), _spent(results))
        if part
    ]
    if results.left_out:
        parts.append(Part("Left out", " · ".join(results.left_out)))
    links = [(name, name) for name in ("results.csv", "results.parquet", "results.json", "benchmark.json")]
    parts.append(Part("Raw tables and settings", "All numbers of this page and the settings.", links=links))
    data = f"{inputs.data}; prior none unless a row says otherwise"
    write_with_text(path, Page("The paper's experiments", lead, data, parts, results.facts["provenance"]))
    return path


def _columns(labels: Sequence[str], metric: str) -> list[Column]:
    return [Column(label, label, metric) for label in labels]


def _first(results: Results, plan: Plan, data: str) -> Part:
    """The first table: the probe before and after alignment, against concatenation."""
    text = (
        "A ridge regression reads each label off the fixed embedding. An alignment that adds something must "
        "lose nothing against both encoders' features side by side, and gain where both modalities are "
        "needed. "
        "The encoders saw Teff, log g, [Fe/H] and Prot of training stars; BP-RP, M_G and age never."
    )
    caption = f"R2 of linear probes on test stars, {data}. Chance is 0 (the training stars' mean)."
    tested = (
        "Difference in R2, DESA minus the model, with its standard error by a paired bootstrap: test "
        f"stars (the same for both) and seeds are drawn anew 1000 times. * p < 0.05, not corrected for "
        f"the number of comparisons (p itself is in results.json). {data.capitalize()}."
    )
    tables = [
        score_table(results, "probe", _columns(PROBE_LABELS, "r2"), rows_of(plan), caption),
        test_table(results, "probe", tested),
    ]
    return Part("Does alignment add anything?", text, [table for table in tables if table])


def _ablations(results: Results, plan: Plan, data: str) -> Part | None:
    chosen = [SPECS[name] for name in ("desa", "concatenation") if name in plan.models]
    chosen += [SPECS[name] for name in plan.ablations]
    table = score_table(
        results,
        "probe",
        _columns(PROBE_LABELS, "r2"),
        chosen,
        f"R2 of linear probes on test stars, {data}. Each row changes one thing of DESA.",
    )
    if table is None or not plan.ablations:
        return None
    count = len(plan.seeds_of(SPECS[plan.ablations[0]]))
    text = (
        "Learning rate and temperature are those of DESA's search; the ablations have the first "
        f"{count} of the {plan.seeds} seeds. A prior of labels answers the questions that it holds: its row "
        "shows the leak, not a better model; of the photometric prior's labels no probe is shown."
    )
    return Part("Ablations (Fig. 4)", text, [table])


def _trained(results: Results, plan: Plan) -> Part:
    """What the search chose, and what became of each run."""
    rows = []
    for name, facts in results.training.items():
        if not SPECS[name].trained:
            continue
        heat = facts["temperature"]
        rows.append(
            [
                SPECS[name].title,
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
    return Part("Training", "The same number of steps and of trials for every model.", tables)


def _spent(results: Results) -> Part:
    rows = [
        [name, f"{own['seconds'] / 60:.1f}", f"{1000 * own['kwh']:.1f}"]
        for name, own in results.spent.items()
    ]
    seconds = sum(own["seconds"] for own in results.spent.values())
    kwh = sum(own["kwh"] for own in results.spent.values())
    rows.append(["all", f"{seconds / 60:.1f}", f"{1000 * kwh:.1f}"])
    meters = sorted({str(own["meter"]) for own in results.spent.values()})
    caption = (
        f"{'; '.join(meters)}. The paper's training took {PAPER_KWH:g} kWh on GPUs, for 6.5 million spectra "
        "and a model a thousand times as large. Where no power meter can be read, codecarbon estimates "
        "from the load."
    )
    table = Table(["stage", "minutes", "Wh"], rows, caption, frozenset({len(rows) - 1}))
    return Part("Energy and time", "", [table])


def best_trials(place: Place) -> dict[str, float]:
    """Best validation score of each model's search."""
    return {name: max(trial["score"] for trial in found) for name, found in searched(place).items()}
