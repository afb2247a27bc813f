"""Task: zero-shot classes of the colour-magnitude diagram, as clusters of the embedding."""

from __future__ import annotations

import numpy as np

from desa.benchmark.base import MODELS, TASKS, BenchmarkTask, Column, Drawn, Material, Published, TaskResult
from desa.evaluation.cmd_classes import cmd_classes
from desa.report.benchmark_figures import class_maps
from desa.report.page import Figure

MOST_STARS = 1500
"""Stars that are clustered: UMAP of more takes long."""


class CmdClasses(BenchmarkTask):
    """Clusters found without labels, as many as there are classes."""

    def run(self, material: Material) -> TaskResult:
        """Accuracy, balanced accuracy, ARI, NMI and purity of each way of clustering."""
        classes, split = material.inputs.text_label("cmd_class"), material.inputs.split
        return TaskResult(*cmd_classes(material.joint, classes, split, seed=material.seed, most=MOST_STARS))

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """UMAP of every embedding side by side, coloured by class (Fig. 6)."""
        panels = {
            candidate.title: (found["map"], found["names"][found["truth"].astype(np.int64)])
            for candidate, found in arrays.items()
            if "map" in found
        }
        if not panels:
            return []
        caption = f"{data}: UMAP coordinates (no unit) of each embedding, seed 0, coloured by CMD class."
        return [Figure(class_maps(panels), caption, "maps of the embeddings")]


DIFFERS = (
    "paper: prior with labels, 'accuracy' of cluster numbers; here matched by the Hungarian method, no prior"
)

TASKS.add(
    CmdClasses(
        "cmd_classes",
        "Zero-shot classes of the colour-magnitude diagram (Fig. 6)",
        "Clusters found without labels, as many as there are classes, matched to classes one to one by "
        "the Hungarian method on stars that are not for testing, scored on test stars. Chance: permuted "
        "classes.",
        40,
        groups=MODELS,
        caption="Gaussian mixture on UMAP coordinates, as in the paper.",
        columns=[
            Column(metric.replace("_", " "), "umap+gmm", metric)
            for metric in ("accuracy", "balanced_accuracy", "ari", "nmi", "purity")
        ],
        tables=[
            (
                "Other clusterings: balanced accuracy; ARI.",
                [
                    Column(f"{method} {metric[:8]}", method, metric)
                    for method in ("umap+kmeans", "gmm", "kmeans")
                    for metric in ("balanced_accuracy", "ari")
                ],
            )
        ],
        tested={"umap+gmm": "balanced_accuracy"},
        paper=[
            Published("umap+gmm", "accuracy", model, value, "Table 2", DIFFERS)
            for model, value in (
                ("desa", 0.40),
                ("moco", 0.18),
                ("moco_clean", 0.11),
                ("simsiam", 0.15),
                ("vicreg", 0.25),
            )
        ],
    )
)
