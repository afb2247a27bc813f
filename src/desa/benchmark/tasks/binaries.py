"""Task: which stars are binaries. Fine-tuned heads, ROC and precision-recall curves, each kind of binary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from desa.benchmark.base import TASKS, Column, Drawn, Material, Published, TaskResult
from desa.benchmark.heads import KINDS, LIGHT, HeadTask
from desa.benchmark.inputs import Inputs
from desa.benchmark.results import Results
from desa.evaluation.metrics import LEAST, auc, bootstrap
from desa.evaluation.score import Score
from desa.report.benchmark_figures import roc_and_precision
from desa.report.page import Figure

LABEL, CLASSES = "binary", ("single", "binary")

UNSEEN_KINDS = ("wide",)
"""Companions that leave no trace in light curve or spectrum: their stars take no part."""


def by_kind(
    truth: NDArray[np.int64], chance: NDArray[np.float64], kinds: NDArray[np.str_], seed: int
) -> list[Score]:
    """AUC of each kind of binary against all single stars.

    Parameters
    ----------
    truth, chance, kinds
        (n,) of the test stars: 1 or 0, predicted probability, kind.
    """
    scores = []
    for kind in np.unique(kinds[truth == 1]):
        rows = (truth == 0) | (kinds == kind)
        count = int((truth[rows] == 1).sum())
        if kind and count >= LEAST and (truth == 0).sum() >= LEAST:
            t, c = truth[rows], chance[rows]
            error = bootstrap(auc, t, c, seed=seed)
            scores.append(Score("binaries", LABEL, "auc", auc(t, c), error, 0.5, count, str(kind)))
    return scores


def binary_label(inputs: Inputs) -> NDArray[np.float64]:
    """(N,) 1 with a companion that data can show, 0 without any, NaN where unknown or unseen."""
    unseen = np.isin(inputs.text_label("binary_kind"), UNSEEN_KINDS)
    return np.where(unseen, np.nan, inputs.label("binary"))


class Binaries(HeadTask):
    """Binary or not, by one kind of head."""

    def run(self, material: Material) -> TaskResult:
        """Accuracy, balanced accuracy, F1, AUC, average precision; the AUC of each kind against single stars.

        The arrays ``binary/fpr`` and ``tpr``, ``precision`` and ``recall`` are the curves.
        """
        inputs, seed = material.inputs, material.seed
        found = self.tuned(material, binary_label(inputs), LABEL, CLASSES)
        truth, chance = found.truth.astype(np.int64), found.predicted[:, 1]
        fpr, tpr, _ = roc_curve(truth, chance)
        precision, recall, _ = precision_recall_curve(truth, chance)
        arrays = {"truth": truth, "predicted": chance, "row": found.test, "fpr": fpr, "tpr": tpr}
        arrays |= {"precision": precision, "recall": recall}
        kinds = inputs.text_label("binary_kind")[found.test]
        return TaskResult(
            [*found.scores, *by_kind(truth, chance, kinds, seed)],
            {f"{LABEL}/{name}": values for name, values in arrays.items()},
        )

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """ROC and precision-recall curves (Fig. 2)."""
        curves = {c.title: (a["binary/truth"], a["binary/predicted"]) for c, a in arrays.items() if c.drawn}
        if self.kind is not LIGHT or not curves:
            return []
        caption = f"{data}, test stars, seed 0. Dotted: chance. In the legend: area under the curve."
        return [Figure(roc_and_precision(curves), caption, "ROC and precision-recall curves")]

    def finding(self, results: Results) -> str:
        """What colour, absolute magnitude and RUWE add: what the two modalities do not hold."""
        for test in results.tests_of(self.name, "prior_photometric"):
            if self.kind is LIGHT and test["value"] < 0 and test["p"] < 0.05:
                return (
                    "With the photometric prior (BP-RP, M_G, RUWE) the AUC of binaries changes by "
                    f"{-test['value']:+.3f} ± {test['error']:.3f}: that much of what tells binaries lies in "
                    "photometry and astrometry, and in no embedding of normalised spectra and light curves."
                )
        return ""


DIFFERS = "paper: Godoy-Rivera classes with RUWE in the prior; here every kind of companion seen, no prior"
BY_KIND = [
    Column(kind, LABEL, "auc", kind) for kind in ("photometric", "sb1", "sb2", "eclipsing", "ellipsoidal")
]

for place, kind in enumerate(KINDS):
    TASKS.add(
        Binaries(
            f"binaries{kind.suffix}",
            f"Binaries{kind.title} (Fig. 2)",
            "Stars with a companion that shows in light curve or spectrum against single stars; wide "
            f"companions take no part. {kind.text}",
            10 + place,
            caption="Chance: the commoner class for accuracy.",
            columns=[
                Column("accuracy", LABEL, "accuracy"),
                Column("F1", LABEL, "f1"),
                Column("AUC", LABEL, "auc"),
                Column("average precision", LABEL, "average_precision"),
            ],
            tables=[("AUC of each kind of companion against single stars.", BY_KIND)]
            if kind is LIGHT
            else [],
            tested={LABEL: "auc"},
            paper=[
                Published(LABEL, metric, "desa", 0.96, "Fig. 2", DIFFERS)
                for metric in ("auc", "accuracy", "f1")
                if kind is LIGHT
            ],
            kind=kind,
        )
    )
