"""Task: what there is to be had of ages, by the same boosted trees from embeddings, labels and the truth."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from desa.benchmark.base import TASKS, BenchmarkTask, Column, Material, TaskResult
from desa.benchmark.results import Results
from desa.evaluation.metrics import regression_scores

LABEL = "age"
FITTED = ("train", "valid")
"""Splits that a model without early stopping is fitted on."""


class AgeLimits(BenchmarkTask):
    """Age in Gyr by gradient boosting, the same for embeddings, catalogue labels and true parameters.

    Of a handful of parameters boosted trees make more than the heads of `desa.benchmark.tasks.ages` do, so
    that what they give is nearer to what there is to be had.
    """

    def run(self, material: Material) -> TaskResult:
        """MAE, RMSE, R2; `ValueError` if the survey has none of the columns that a reference reads."""
        inputs, features = material.inputs, material.head
        if not features.shape[1]:
            raise ValueError("the survey has none of the columns that this reference reads")
        label = inputs.label(LABEL)
        train, test = (np.isin(inputs.split, parts) & np.isfinite(label) for parts in (FITTED, ("test",)))
        model = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=150,
            learning_rate=0.05,
            min_samples_leaf=10,
            random_state=material.seed,
        ).fit(features[train], label[train])
        found = model.predict(features[test])
        scores = regression_scores(self.name, LABEL, label[test], found, label[train], seed=material.seed)
        return TaskResult(scores, {"age/truth": label[test], "age/predicted": found})

    def finding(self, results: Results) -> str:
        """DESA's ages beside those from the labels, and from the truth, themselves."""
        names = ("desa", "catalogue", "truth")
        own, catalogue, truth = (results.means.get((self.name, LABEL, "", "mae", name)) for name in names)
        if own is None or catalogue is None:
            return ""
        text = (
            "Ages (MAE in Gyr) by boosted trees from the catalogue's Teff, log g, [Fe/H] and Prot "
            f"themselves: {catalogue.value:.3f} ± {catalogue.error:.3f}; DESA's embedding gives "
            f"{own.value:.3f} ± {own.error:.3f}"
        )
        if truth is not None:
            text += (
                f"; the true values of the simulation give {truth.value:.3f} ± {truth.error:.3f}, which is "
                "about all that there is to be had"
            )
        return text + "."


TASKS.add(
    AgeLimits(
        "age_limits",
        "What there is to be had of ages",
        "Boosted trees in place of the head, the same for all rows: on embeddings, on the catalogue's "
        "Teff, log g, [Fe/H] and Prot in place of any data, and on a mock survey's true parameters. The "
        "labels' own errors are in every row.",
        30,
        groups=(),
        caption="Gyr; chance: the training stars' median.",
        columns=[
            Column("age [Gyr] MAE", LABEL, "mae"),
            Column("age [Gyr] RMSE", LABEL, "rmse"),
            Column("R2", LABEL, "r2"),
        ],
        tested={LABEL: "mae"},
    )
)
