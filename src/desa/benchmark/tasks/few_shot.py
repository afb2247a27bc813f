"""Task: regression with a few labels of the test stars."""

from __future__ import annotations

from desa.benchmark.base import MODELS, TASKS, BenchmarkTask, Column, Drawn, Material, Published, TaskResult
from desa.evaluation.few_shot import few_shot
from desa.report.benchmark_figures import diagrams
from desa.report.page import Figure

LABELS = ("bp_rp", "m_g", "teff", "log_l")


class FewShot(BenchmarkTask):
    """Linear regression on 1, 5 and 20 % of the test stars."""

    def run(self, material: Material) -> TaskResult:
        """R2 and the share within 10 % on the other test stars."""
        labels = {name: material.inputs.label(name) for name in LABELS}
        return TaskResult(*few_shot(material.joint, labels, material.inputs.split, seed=material.seed))

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """The CMD and the HR diagram as recovered from the embedding (Fig. 7)."""
        panels = {
            candidate.title: {name: (found[f"{name}/truth"], found[f"{name}/predicted"]) for name in LABELS}
            for candidate, found in arrays.items()
            if candidate.core and all(f"{name}/truth" in found for name in LABELS)
        }
        if not panels:
            return []
        caption = (
            f"{data}: diagrams of test stars from their labels (left) and as ridge regressions predict them "
            "with 20 % of the test stars' labels, for the other test stars. Colour and magnitude in mag, "
            "temperature in K."
        )
        return [Figure(diagrams(panels), caption, "colour-magnitude and HR diagrams")]


DIFFERS = "paper: dereddened colours, prior with Teff, R and [Fe/H] in the features; here no prior"

TASKS.add(
    FewShot(
        "few_shot",
        "Few-shot regression (Table 2, Fig. 7)",
        "Ridge regression on 20 % of the test stars, scored on the other test stars; means of 20 draws.",
        50,
        groups=MODELS,
        caption="R2 with 20 % of the test stars' labels.",
        columns=[Column(f"{name} R2", name, "r2", "20 %") for name in LABELS],
        tables=[
            (
                "Share within 10 %, with 20 % of the labels.",
                [Column(name, name, "within_10", "20 %") for name in LABELS],
            ),
            (
                "R2 with 1 % and 5 % of the labels (at least 5 stars).",
                [
                    Column(f"{name}, {part}", name, "r2", part)
                    for part in ("1 %", "5 %")
                    for name in LABELS[:3]
                ],
            ),
        ],
        tested=dict.fromkeys(LABELS, "r2"),
        paper=[
            Published("bp_rp", "r2", "desa", 0.920, "Table 2", DIFFERS, part="20 %"),
            Published("bp_rp", "within_10", "desa", 0.677, "Table 2", DIFFERS, part="20 %"),
            Published("m_g", "within_10", "desa", 0.711, "Table 2", DIFFERS, part="20 %"),
        ],
    )
)
