"""Task: how many labels are needed."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from desa.benchmark.base import MODELS, TASKS, BenchmarkTask, Column, Drawn, Material, TaskResult
from desa.evaluation.few_shot import label_efficiency
from desa.report.benchmark_figures import curves_by_label
from desa.report.page import Figure

LABELS = ("age", "log_prot", "fe_h")


class LabelEfficiency(BenchmarkTask):
    """Linear regression against the number of labels."""

    def run(self, material: Material) -> TaskResult:
        """R2 by number of labels of train and valid stars."""
        labels, split = {name: material.inputs.label(name) for name in LABELS}, material.inputs.split
        return TaskResult(*label_efficiency(material.joint, labels, split, seed=material.seed, draws=10))

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """R2 against the number of labels."""
        curves: dict[str, dict[str, tuple[NDArray[Any], ...]]] = {}
        for candidate, found in arrays.items():
            for label in (label for label in LABELS if candidate.drawn and f"{label}/labels" in found):
                three = tuple(found[f"{label}/{name}"] for name in ("labels", "r2", "r2_error"))
                curves.setdefault(label, {})[candidate.title] = three
        if not curves:
            return []
        caption = f"{data}, test stars, seed 0. Shaded: standard error of DESA."
        return [Figure(curves_by_label(curves), caption, "R2 against number of labels")]


TASKS.add(
    LabelEfficiency(
        "label_efficiency",
        "How many labels are needed",
        "Ridge regression on growing numbers of labels of train and valid stars, scored on test stars.",
        60,
        groups=MODELS,
        caption="R2 with 100 labels and with 300.",
        columns=[
            Column(f"{name}, {count}", name, "r2", f"{count} labels")
            for name in LABELS
            for count in (100, 300)
        ],
    )
)
