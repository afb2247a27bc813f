"""Teff, log g and [Fe/H] of real spectra from 1, 5 and 20 % of the labels; and by the model's own heads."""

from __future__ import annotations

import numpy as np

from desa.benchmark.base import TASKS, Arrays, BenchmarkTask, Column, Drawn, Material, TaskResult
from desa.benchmark.inputs import REAL_SPECTRA
from desa.benchmark.real_stars import (
    LABELS,
    LEAST_LABELS,
    SAID,
    error_curve,
    error_figures,
    labelled_spectra,
    learner_of,
)
from desa.evaluation.crossvalidation import number_table
from desa.evaluation.few_shot import SHARES, repeated
from desa.evaluation.score import Score
from desa.report.page import Figure

DRAWS = 10
PARTS = ("0 %", *(f"{100 * share:g} %" for share in SHARES))


class FewRealLabels(BenchmarkTask):
    """Scores on the stars whose label was not given; the draws are the same for all rows."""

    def run(self, material: Material) -> TaskResult:
        """R2, MAE and share within 10 % by label and share; part ``"0 %"`` for what says labels unasked."""
        inputs, learner, seed = material.inputs, learner_of(material.candidate), material.seed
        one, scores, arrays = labelled_spectra(inputs), list[Score](), Arrays()
        everything = one[one]
        for name in LABELS:
            counts, own = list[int](), list[Score]()
            truth = inputs.label(name)[one]
            said, rows = material.array(SAID + name)[one], material.joint[one]
            if said.shape[1]:
                values = said[:, 0].astype(np.float64)
                own += number_table(self.name, name, truth, values[None], seed=seed, part=PARTS[0])
                counts.append(0)
                arrays |= {f"{name}/truth": truth, f"{name}/predicted": values}
            for share in SHARES if rows.shape[1] else ():
                counts.append(max(LEAST_LABELS, round(share * len(truth))))
                found = repeated(
                    rows.astype(np.float64),
                    truth,
                    everything,
                    everything,
                    counts[-1],
                    seed=seed,
                    draws=DRAWS if learner.quick else max(2, DRAWS // 3),
                    predict=learner.numbers,
                )
                own += found.scores(self.name, name, f"{100 * share:g} %", seed)
                arrays |= {f"{name}/truth": truth, f"{name}/predicted": found.predicted[0]}
            scores += own
            arrays |= error_curve(name, counts, own)
        return TaskResult(scores, arrays)

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """Mean absolute error against the number of labels, a panel a label."""
        caption = f"{data}, stars whose label was not given. Broken: no real label."
        return error_figures(arrays, caption)


def _columns(label: str, digits: int) -> list[Column]:
    return [Column(f"{part} of labels", label, "mae", part, digits) for part in PARTS]


TASKS.add(
    FewRealLabels(
        name="few_real_labels",
        title="Spectra: few labels",
        text="A share of the labels is given to what learns from fixed features; the other stars are "
        "predicted. Encoders of a mock survey saw mock labels; those that filled masks saw the pixels of "
        "these stars, and no label. Labels of the survey's own pipeline.",
        order=100,
        track=REAL_SPECTRA,
        caption="Mean absolute error of Teff [K], mean over draws of the labels.",
        columns=_columns("teff", 0),
        tables=(
            ("Mean absolute error of log g [dex].", _columns("log_g", 3)),
            ("Mean absolute error of [Fe/H] [dex].", _columns("fe_h", 3)),
        ),
    )
)
