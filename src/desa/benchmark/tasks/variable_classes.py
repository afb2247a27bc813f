"""Eight classes of variability of real light curves, from few labels."""

from __future__ import annotations

import numpy as np

from desa.benchmark.base import TASKS, Arrays, BenchmarkTask, Column, Material, TaskResult
from desa.benchmark.inputs import REAL_LIGHTCURVES
from desa.benchmark.real_stars import MISSIONS, learner_of, usable_curves
from desa.evaluation.crossvalidation import REPEATS, class_table, from_few, held_out
from desa.evaluation.score import Score

SHARES = (0.2, 0.5)
"""Shares of the stars whose class is given."""

ALL_BUT = "all but a fifth"
LEAST_CLASS = 5
"""Classes with fewer stars are left out: there are few stars in all."""


class VariableClasses(BenchmarkTask):
    """Balanced accuracy of the classes; every star counts once, whatever its files."""

    def run(self, material: Material) -> TaskResult:
        """By mission and share of the labels that is given (parts ``"20 %"``, ``"TESS, 20 %"``).

        Arrays by mission: ``truth``, ``called`` and the ``names`` of the classes.
        """
        inputs, rows = material.inputs, material.joint.astype(np.float64)
        scores, arrays, seed = list[Score](), Arrays(), material.seed
        if not rows.shape[1]:
            return TaskResult(scores, arrays, reason="no features")
        every, learner = inputs.text_label("variable_class"), learner_of(material.candidate)
        fit, times = learner.classes, REPEATS if learner.quick else max(2, REPEATS // 3)
        for mission, part in MISSIONS.items():
            usable = usable_curves(inputs, mission) & np.isfinite(rows).all(axis=1)
            names, counts = np.unique(every[usable & (every != "")], return_counts=True)
            names = names[counts >= LEAST_CLASS]
            members = usable & np.isin(every, names)
            if len(names) < 2:
                continue
            x, y = rows[members], np.searchsorted(names, every[members]).astype(np.float64)
            found = {
                f"{100 * share:g} %": from_few(x, y, fit, share, seed=seed, draws=times) for share in SHARES
            }
            found[ALL_BUT] = held_out(x, y, fit, classes=True, seed=seed, repeats=times)
            for given, chance in found.items():
                name = f"{part}, {given}" if part else given
                scores += class_table(self.name, "variable_class", y, chance, seed=seed, part=name)
            weighed = found[ALL_BUT] / (np.bincount(y.astype(np.int64)) / len(y))
            own = {"truth": y, "called": weighed.mean(axis=0).argmax(axis=1), "names": names}
            arrays |= {f"{part}/{name}" if part else name: values for name, values in own.items()}
        return TaskResult(scores, arrays, "" if scores else "fewer than two classes of variability")


def _columns(part: str) -> list[Column]:
    parts = (*(f"{100 * share:g} %" for share in SHARES), ALL_BUT)
    return [
        Column(f"{each} given", "variable_class", "balanced_accuracy", f"{part}, {each}" if part else each)
        for each in parts
    ]


TASKS.add(
    VariableClasses(
        name="variable_classes",
        title="Light curves: classes of variability",
        text="Stars of the training set of the TASOC classifier (Audenaert et al. 2021), by star; of its "
        f"eight classes those with at least {LEAST_CLASS} stars here. Their labels were made from the "
        "Kepler light curves of quarter 9.",
        order=103,
        track=REAL_LIGHTCURVES,
        caption="Balanced accuracy, Kepler.",
        columns=_columns(""),
        tables=(("Balanced accuracy, TESS, full-frame images of 27 days.", _columns("TESS")),),
    )
)
