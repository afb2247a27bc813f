"""Sections of the report, a task each: its tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from desa.benchmark import drawing
from desa.benchmark.jobs import Place
from desa.benchmark.plan import Plan
from desa.benchmark.registry import SPECS, ModelSpec
from desa.benchmark.results import Results
from desa.benchmark.tables import Column, paper_table, score_table, test_table
from desa.benchmark.tasks.registry import TASKS
from desa.report.page import Figure, Part, Table

Draw = Callable[[Place, Plan, Results, str], list[Figure]]
TESTED = (
    "DESA minus the model ({metric}; more is better), by the paired bootstrap of the first table. {data}."
)


def _none(place: Place, plan: Plan, results: Results, task: str) -> list[Figure]:
    return []


@dataclass(frozen=True)
class Section:
    """What the page says of a task.

    Parameters
    ----------
    task
        Name.
    title, text, caption
        Heading, what was done, what the table holds.
    columns
        Of the table.
    draw
        Its figures.
    tables
        Further tables: caption and columns.
    """

    task: str
    title: str
    text: str
    caption: str
    columns: Sequence[Column]
    draw: Draw = _none
    tables: Sequence[tuple[str, Sequence[Column]]] = field(default_factory=tuple)

    def part(self, place: Place, plan: Plan, results: Results, models: Sequence[ModelSpec]) -> Part:
        """The section's part of the page."""
        data = place.inputs().data
        said = data[0].upper() + data[1:]
        found: list[Table | None] = [
            score_table(results, self.task, columns, models, f"{caption} {said}.")
            for caption, columns in ((self.caption, self.columns), *self.tables)
        ]
        ablations = [SPECS[name] for name in plan.ablations if TASKS[self.task].wants(SPECS[name])]
        if ablations:
            rows = [spec for spec in models if spec.name == "desa"] + ablations
            caption = f"{self.caption} {said}. Each row changes one thing of DESA."
            found.append(score_table(results, self.task, self.columns, rows, caption, folded="Ablations"))
        metrics = {test["metric"] for test in results.tests if test["task"] == self.task}
        found.append(
            test_table(results, self.task, TESTED.format(metric=", ".join(sorted(metrics)), data=said))
        )
        found.append(paper_table(results, self.task))
        items: list[Table | Figure] = [table for table in found if table]
        items += self.draw(place, plan, results, self.task)
        return Part(self.title, self.text, items)


def _regression(label: str, title: str, part: str = "") -> list[Column]:
    return [Column(f"{title} MAE", label, "mae", part), Column(f"{title} RMSE", label, "rmse", part)]


SNR_PARTS = ("S/N < 20", "S/N 20-40", "S/N 40-80", "S/N > 160")
TEFF_PARTS = ("Teff < 4500", "Teff 4500-5250", "Teff 5250-6000", "Teff 6000-7000")
BINARY = (
    Column("accuracy", "binary", "accuracy"),
    Column("F1", "binary", "f1"),
    Column("AUC", "binary", "auc"),
    Column("average precision", "binary", "average_precision"),
)
KINDS = tuple(
    Column(kind, "binary", "auc", kind) for kind in ("photometric", "sb1", "sb2", "eclipsing", "ellipsoidal")
)
AGE = (
    *_regression("age", "age [Gyr]"),
    Column("R2", "age", "r2"),
    Column("coverage of 68 %", "age", "coverage_68"),
    Column("coverage of 90 %", "age", "coverage_90"),
)
AGE_TEFF = tuple(
    Column(f"MAE, {part}", "age", "mae", part)
    for part in ("< 4500 K", "4500-5500 K", "5500-6500 K", "> 6500 K")
)
HEAD_TEXT = {
    "": "A head reads what each half of the model gives: of a linear map and a perceptron with one hidden "
    "layer the one that does better on the valid split; the model is frozen.",
    "_transformer": "The paper's head, small: a transformer with the embedding's numbers as tokens; "
    "the model is frozen.",
    "_unfrozen": "A perceptron as head, and the model trained along with it for 4 epochs.",
}


def _head_sections() -> list[Section]:
    found = []
    for suffix, text in HEAD_TEXT.items():
        title = {"": "", "_transformer": ", transformer head", "_unfrozen": ", model trained along"}[suffix]
        found.append(
            Section(
                f"binaries{suffix}",
                f"Binaries{title} (Fig. 2)",
                "Stars with a companion that shows in light curve or spectrum against single stars; wide "
                f"companions take no part. {text}",
                "Chance: the commoner class for accuracy.",
                BINARY,
                drawing.roc_curves if not suffix else _none,
                (("AUC of each kind of companion against single stars.", KINDS),) if not suffix else (),
            )
        )
    for suffix, text in HEAD_TEXT.items():
        title = {"": "", "_transformer": ", transformer head", "_unfrozen": ", model trained along"}[suffix]
        found.append(
            Section(
                f"ages{suffix}",
                f"Ages{title} (Table 3)",
                "Ages of a catalogue: gyrochronology where a rotation period is known, asteroseismology of "
                f"giants, with their errors; so both modalities are needed. {text} Intervals are conformal, "
                "calibrated on stars of their own.",
                "Gyr; chance: the training stars' median. Coverage should be the nominal share.",
                AGE,
                drawing.age_scatter if not suffix else _none,
                (("MAE in Gyr by effective temperature.", AGE_TEFF),) if not suffix else (),
            )
        )
    return found


SECTIONS: tuple[Section, ...] = (
    *_head_sections(),
    Section(
        "age_limits",
        "What there is to be had of ages",
        "Boosted trees in place of the head, the same for all rows: on embeddings, on the catalogue's Teff, "
        "log g, [Fe/H] and Prot in place of any data, and on a mock survey's true parameters. The labels' "
        "own errors are in every row.",
        "Gyr; chance: the training stars' median.",
        AGE[:3],
    ),
    Section(
        "cmd_classes",
        "Zero-shot classes of the colour-magnitude diagram (Fig. 6)",
        "Clusters found without labels, as many as there are classes, matched to classes one to one by the "
        "Hungarian method on stars that are not for testing, scored on test stars. Chance: permuted classes.",
        "Gaussian mixture on UMAP coordinates, as in the paper.",
        [
            Column(metric.replace("_", " "), "umap+gmm", metric)
            for metric in ("accuracy", "balanced_accuracy", "ari", "nmi", "purity")
        ],
        drawing.umap_panels,
        (
            (
                "Other clusterings: balanced accuracy; ARI.",
                [
                    Column(f"{method} {metric[:8]}", method, metric)
                    for method in ("umap+kmeans", "gmm", "kmeans")
                    for metric in ("balanced_accuracy", "ari")
                ],
            ),
        ),
    ),
    Section(
        "few_shot",
        "Few-shot regression (Table 2, Fig. 7)",
        "Ridge regression on 20 % of the test stars, scored on the other test stars; means of 20 draws.",
        "R2 with 20 % of the test stars' labels.",
        [Column(f"{name} R2", name, "r2", "20 %") for name in ("bp_rp", "m_g", "teff", "log_l")],
        drawing.recovered_diagrams,
        (
            (
                "Share within 10 %, with 20 % of the labels.",
                [Column(name, name, "within_10", "20 %") for name in ("bp_rp", "m_g", "teff", "log_l")],
            ),
            (
                "R2 with 1 % and 5 % of the labels (at least 5 stars).",
                [
                    Column(f"{name}, {part}", name, "r2", part)
                    for part in ("1 %", "5 %")
                    for name in ("bp_rp", "m_g", "teff")
                ],
            ),
        ),
    ),
    Section(
        "label_efficiency",
        "How many labels are needed",
        "Ridge regression on growing numbers of labels of train and valid stars, scored on test stars.",
        "R2 with 100 labels and with 300.",
        [
            Column(f"{name}, {count}", name, "r2", f"{count} labels")
            for name in ("age", "log_prot", "fe_h")
            for count in (100, 300)
        ],
        drawing.efficiency_curves,
    ),
    Section(
        "retrieval",
        "Finding a star's spectrum by its light curve",
        "Cosine between embeddings made of one modality each, among all test stars.",
        "Recall: share of stars whose own spectrum is the first, or among the first ten.",
        [
            Column("recall at 1", "spectrum of light curve", "recall_1"),
            Column("recall at 10", "spectrum of light curve", "recall_10"),
            Column("median rank / stars", "spectrum of light curve", "median_rank"),
            Column("light curve of spectrum, at 10", "light curve of spectrum", "recall_10"),
        ],
    ),
    Section(
        "robustness",
        "With less data",
        "Ridge regressions fitted on stars with whole data, applied to test stars with less: a modality "
        "missing (the mean star's features stand for it), a light curve cut to a half or a quarter, spectra "
        "of low S/N.",
        "R2; below 0 is worse than the training stars' mean.",
        [
            Column(f"{name}, {part}", name, "r2", part)
            for part, names in (
                ("spectrum only", ("teff", "fe_h", "age")),
                ("light curve only", ("log_g", "log_prot")),
            )
            for name in names
        ],
        tables=(
            (
                "R2 of log Prot by length of the light curve, and of [Fe/H] by S/N.",
                [
                    *(
                        Column(f"log_prot, {part}", "log_prot", "r2", part)
                        for part in ("whole", "light curve x 0.5", "light curve x 0.25")
                    ),
                    *(Column(f"fe_h, {part}", "fe_h", "r2", part) for part in SNR_PARTS),
                ],
            ),
        ),
    ),
    Section(
        "parameters",
        "Spectrum encoder: stellar parameters (Table 1, Fig. 5)",
        "The encoder's own head on every test spectrum; intervals calibrated on stars of their own.",
        "MAE, and coverage of the 68 % intervals.",
        [
            *(Column(f"{name} MAE", name, "mae") for name in ("teff", "log_g", "fe_h")),
            *(Column(f"{name} coverage", name, "coverage_68") for name in ("teff", "log_g", "fe_h")),
        ],
        drawing.errors_by_snr,
        (
            (
                "Coverage of the 68 % interval of Teff by S/N and Teff.",
                [Column(part, "teff", "coverage_68", part) for part in (*SNR_PARTS, *TEFF_PARTS)],
            ),
        ),
    ),
    Section(
        "rotation",
        "Light-curve encoder: rotation periods",
        "The encoder's own head on every test light curve with a catalogue period, beside the highest peaks "
        "of the autocorrelation and of the Lomb-Scargle periodogram of the same crops.",
        "RMSE and MAE in days, and the share within 10 %.",
        [
            Column(f"{name} {metric.replace('_', ' ')}", name, metric)
            for name in ("encoder", "ACF", "Lomb-Scargle")
            for metric in ("rmse", "mae", "within_10")
        ],
    ),
    Section(
        "encoders",
        "Objective of the encoders (Fig. 3)",
        "Both encoders pre-trained anew for a third of the steps by the hybrid loss, by self-supervision "
        "alone and by supervision alone; linear probes of their features side by side.",
        "R2 of linear probes.",
        [
            Column(f"{name}, {part.replace('_', ' ')}", name, "r2", part)
            for name in ("teff", "fe_h", "log_prot", "age")
            for part in ("hybrid", "ssl_only", "supervised_only")
        ],
    ),
)
