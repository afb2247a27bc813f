"""What real light curves of a quarter tell: eclipsing binaries, giants, rotation periods, numax."""

from __future__ import annotations

import numpy as np

from desa.benchmark.base import TASKS, Arrays, BenchmarkTask, Column, Drawn, Material, TaskResult
from desa.benchmark.inputs import REAL_LIGHTCURVES
from desa.benchmark.real_stars import (
    LEAST_LABELS,
    MISSIONS,
    SAID,
    eclipsing,
    giant,
    learner_of,
    rotation_period,
    usable_curves,
)
from desa.evaluation.crossvalidation import REPEATS, class_table, held_out, number_table
from desa.evaluation.score import Score
from desa.report.benchmark_figures import scatter_panels
from desa.report.page import Figure


class Kinds(BenchmarkTask):
    """Eclipsing binaries against the rest, giants against dwarfs: repeated cross-validation by star."""

    def run(self, material: Material) -> TaskResult:
        """AUC, average precision and balanced accuracy of each kind and mission."""
        inputs, rows = material.inputs, material.joint.astype(np.float64)
        scores, arrays, binary = list[Score](), Arrays(), eclipsing(inputs)
        kinds = {
            "eclipsing binary": binary.astype(np.float64),
            "giant": np.where(binary, np.nan, giant(inputs)),
        }
        for mission, part in MISSIONS.items():
            usable = usable_curves(inputs, mission) & np.isfinite(rows).all(axis=1)
            for label, kind in kinds.items():
                members = usable & np.isfinite(kind)
                y = kind[members]
                if not rows.shape[1] or min(y.sum(), (1 - y).sum()) < LEAST_LABELS:
                    continue
                fit = learner_of(material.candidate).classes
                found = held_out(rows[members], y, fit, classes=True, seed=material.seed)
                scores += class_table(self.name, label, y, found, seed=material.seed, part=part)
                name = f"{label}, {part}" if part else label
                arrays |= {f"{name}/truth": y, f"{name}/predicted": found[..., 1].mean(axis=0)}
        return TaskResult(scores, arrays)


class Numbers(BenchmarkTask):
    """Rotation periods, and numax of giants: learnt on their logarithm, or said without learning."""

    def run(self, material: Material) -> TaskResult:
        """R2, MAE and share within 10 % of each number and mission."""
        inputs, rows = material.inputs, material.joint.astype(np.float64)
        scores, arrays, fit = list[Score](), Arrays(), learner_of(material.candidate).numbers
        for mission, part in MISSIONS.items():
            usable = usable_curves(inputs, mission)
            for label, values in {"prot": rotation_period(inputs), "numax": inputs.label("numax")}.items():
                there, said = usable & (values > 0), material.array(SAID + label)
                y = values[there]
                if len(y) < LEAST_LABELS or not (said.shape[1] or rows.shape[1]):
                    continue
                if said.shape[1]:
                    # What finds no period is given the median: all are scored on all stars.
                    own = said[there, 0].astype(np.float64)
                    found = np.where(np.isfinite(own), own, np.median(y))[None]
                else:
                    logs = held_out(rows[there], np.log10(y), fit, classes=False, seed=material.seed)
                    found = np.clip(10**logs, 0.1 * y.min(), 10 * y.max())
                scores += number_table(self.name, label, y, found, seed=material.seed, part=part)
                name = f"{label}, {part}" if part else label
                arrays |= {f"{name}/truth": y, f"{name}/predicted": np.median(found, axis=0)}
        return TaskResult(scores, arrays)

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """Predicted against catalogued rotation periods, a panel a row of the table."""
        panels = {
            candidate.title: (np.log10(own["prot/truth"]), np.log10(own["prot/predicted"]))
            for candidate, own in arrays.items()
            if "prot/truth" in own
        }
        if not panels:
            return []
        drawn = scatter_panels(panels, "log10 catalogue Prot [d]", "predicted")
        return [Figure(drawn, f"{data}, Kepler: medians over repeats.", "rotation periods")]


def _kinds(part: str) -> list[Column]:
    return [
        Column(f"{label}: {title}", label, metric, part)
        for label in ("eclipsing binary", "giant")
        for metric, title in (("auc", "AUC"), ("average_precision", "average precision"))
    ]


def _numbers(part: str) -> list[Column]:
    return [
        Column(f"{title}: {word}", label, metric, part, digits)
        for label, title, digits in (("prot", "Prot [d]", 2), ("numax", "numax [uHz]", 1))
        for metric, word, digits in (("mae", "MAE", digits), ("within_10", "within 10 %", 3), ("r2", "R2", 3))
    ]


TASKS.add(
    Kinds(
        name="kinds_of_lightcurve",
        title="Light curves: kinds of star",
        text="Light curves of at most one quarter. Out of fold, 5 folds by star, stratified, "
        f"{REPEATS} times. Eclipsing binaries of Kirk et al. (2016), giants with numax of Yu et al. (2018) "
        "or log g below 3.5; eclipsing binaries are left out of the giants' test.",
        order=101,
        track=REAL_LIGHTCURVES,
        caption="Kepler.",
        columns=_kinds(""),
        tables=(("TESS, full-frame images of 27 days.", _kinds("TESS")),),
        tested={"eclipsing binary": "auc", "giant": "auc"},
    )
)
TASKS.add(
    Numbers(
        name="numbers_of_lightcurve",
        title="Light curves: rotation periods and numax",
        text="Learnt on log10 and cross-validated by star; the peaks of ACF and periodogram and the model's "
        "own head learn nothing. Periods beyond half a light curve can't be seen. So few stars leave wide "
        "errors: most differences in this table are none.",
        order=102,
        track=REAL_LIGHTCURVES,
        caption="Kepler.",
        columns=_numbers(""),
        tables=(("TESS, full-frame images of 27 days.", _numbers("TESS")),),
        tested={"prot": "mae"},
    )
)
