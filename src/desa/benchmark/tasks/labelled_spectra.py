"""Teff, log g and [Fe/H] of real spectra with all labels but those of a fifth of the stars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import TASKS, Arrays, BenchmarkTask, Column, Material, TaskResult
from desa.benchmark.candidates.fine_tuned import FineTuned
from desa.benchmark.inputs import REAL_SPECTRA
from desa.benchmark.real_stars import LABELS, labelled_spectra, learner_of
from desa.evaluation.crossvalidation import FOLDS, cross_intervals, folds
from desa.evaluation.metrics import coverage_scores, regression_scores
from desa.evaluation.score import Score

GOOD_SNR = 30.0
GOOD = f"S/N > {GOOD_SNR:g}"


class LabelledSpectra(BenchmarkTask):
    """Every star predicted by what never saw it: 5 folds by star, the same for all rows."""

    def run(self, material: Material) -> TaskResult:
        """Errors overall and of spectra with good S/N; of quantiles also the coverage of their intervals.

        The intervals of a fold are calibrated on the out-of-fold predictions of the others.
        """
        inputs, candidate = material.inputs, material.candidate
        one, scores, arrays = labelled_spectra(inputs), list[Score](), Arrays()
        fold = folds(np.flatnonzero(one), FOLDS, material.seed)
        labels = np.stack([inputs.label(name)[one] for name in LABELS], axis=1)
        if isinstance(candidate, FineTuned):
            levels = candidate.levels(inputs)
            quantiles = np.full((*labels.shape, len(levels)), np.nan)
            for number in range(FOLDS):
                others = one.copy()
                others[np.flatnonzero(one)[fold == number]] = False
                run = material.folder / f"fold-{number}"
                found = candidate.quantiles(inputs, others, run, material.seed + number)
                quantiles[fold == number] = found[one][fold == number]
            median = quantiles[..., levels.index(0.5)]
            ends = cross_intervals(quantiles, labels, fold, levels)
        else:
            median, ends = self._learnt(material, one, labels, fold), {}
        good = inputs.snr[one] > GOOD_SNR
        for place, name in enumerate(LABELS):
            truth, own = labels[:, place], median[:, place]
            for part, rows in {"": np.ones(len(truth), dtype=bool), GOOD: good}.items():
                scores += regression_scores(
                    self.name, name, truth[rows], own[rows], truth, seed=material.seed, part=part
                )
            of = {nominal: (low[:, place], high[:, place]) for nominal, (low, high) in ends.items()}
            scores += coverage_scores(self.name, name, truth, of)
            arrays |= {f"{name}/truth": truth, f"{name}/predicted": own}
        return TaskResult(scores, arrays)

    def _learnt(
        self,
        material: Material,
        one: NDArray[np.bool_],
        labels: NDArray[np.float64],
        fold: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """(n, 3) out of fold, by what learns from fixed features."""
        x, fit = material.joint[one].astype(np.float64), learner_of(material.candidate).numbers
        if not x.shape[1]:
            raise ValueError("no features to learn from")
        found = np.full_like(labels, np.nan)
        for number in range(FOLDS):
            test = fold == number
            for place in range(labels.shape[1]):
                found[test, place] = fit(x[~test], labels[~test, place], x[test])
        return found


DIGITS = {"teff": 1, "log_g": 4, "fe_h": 4}

TASKS.add(
    LabelledSpectra(
        name="labelled_spectra",
        title="Spectra: all labels but a fifth",
        text="Out of fold, 5 folds by star: what learns from fixed features, and the encoder fine-tuned on "
        "the other folds' labels. Labels of the survey's own pipeline.",
        order=99,
        track=REAL_SPECTRA,
        caption="Mean absolute error of Teff [K], log g and [Fe/H] [dex].",
        columns=[Column(name, name, "mae", digits=digits) for name, digits in DIGITS.items()],
        tables=(
            (
                f"Mean absolute error where the S/N in g is above {GOOD_SNR:g}.",
                [Column(name, name, "mae", GOOD, digits) for name, digits in DIGITS.items()],
            ),
            (
                "Calibrated intervals of the fine-tuned encoder: share of labels inside.",
                [
                    Column(f"{name}, {nominal} %", name, f"coverage_{nominal}")
                    for name in LABELS
                    for nominal in (68, 90)
                ],
            ),
        ),
        tested=dict.fromkeys(LABELS, "mae"),
    )
)
