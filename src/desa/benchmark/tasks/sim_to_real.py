"""What mock pre-training is worth on real spectra: few real labels, with it and without it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import TASKS, Arrays, BenchmarkTask, Column, Drawn, Material, TaskResult
from desa.benchmark.candidates.fine_tuned import FineTuned
from desa.benchmark.inputs import REAL_SPECTRA
from desa.benchmark.real_stars import LABELS, SAID, error_curve, error_figures, labelled_spectra
from desa.evaluation.crossvalidation import FOLDS, folds
from desa.evaluation.metrics import regression_scores
from desa.evaluation.score import Score
from desa.report.page import Figure

Mask = NDArray[np.bool_]

SHARES = (0.05, 0.2, 1.0)
"""Of the labelled training stars."""

NONE = "0 %"


def stars_of_share(among: Mask, share: float, seed: int) -> Mask:
    """A share of the stars in `among`; larger shares hold the smaller ones."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(among))
    return np.asarray(np.isin(np.arange(len(among)), order[: max(1, round(share * len(order)))]))


class SimToReal(BenchmarkTask):
    """Tested on one fifth of the stars, which nothing here learns from; trained on shares of the others."""

    def run(self, material: Material) -> TaskResult:
        """Errors by share (part ``"20 %"``) of the real labels; ``"0 %"`` for the model's own head."""
        inputs, candidate, seed = material.inputs, material.candidate, material.seed
        one = labelled_spectra(inputs)
        test = np.zeros(len(one), dtype=bool)
        test[np.flatnonzero(one)[folds(np.flatnonzero(one), FOLDS, seed) == 0]] = True
        found: dict[str, tuple[int, NDArray[np.float64]]] = {}
        if isinstance(candidate, FineTuned):
            middle = candidate.levels(inputs).index(0.5)
            for share in SHARES:
                some = stars_of_share(one & ~test, share, seed)
                folder = material.folder / f"share-{share:g}"
                quantiles = candidate.quantiles(inputs, some, folder, seed)
                found[f"{100 * share:g} %"] = int(some.sum()), quantiles[test][..., middle]
        else:
            said = [material.array(SAID + name)[test] for name in LABELS]
            if not all(values.shape[1] for values in said):
                raise ValueError("the model's head does not give all of Teff, log g and [Fe/H]")
            found[NONE] = 0, np.concatenate(said, axis=1).astype(np.float64)
        scores, arrays = list[Score](), Arrays()
        for place, name in enumerate(LABELS):
            truth, known = inputs.label(name)[test], inputs.label(name)[one & ~test]
            counts, own = list[int](), list[Score]()
            for part, (count, predicted) in found.items():
                own += regression_scores(
                    self.name, name, truth, predicted[:, place], known, seed=seed, part=part
                )
                counts.append(count)
            scores += own
            arrays |= error_curve(name, counts, own)
        return TaskResult(scores, arrays)

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """Mean absolute error against the number of real labels, a panel a label."""
        caption = f"{data}, test stars: what mock pre-training is worth. Broken: no real label."
        return error_figures(arrays, caption)


def _columns(label: str, digits: int) -> list[Column]:
    parts = (NONE, *(f"{100 * share:g} %" for share in SHARES))
    return [Column(f"{part} of labels", label, "mae", part, digits) for part in parts]


TASKS.add(
    SimToReal(
        name="sim_to_real",
        title="Spectra: what mock pre-training is worth",
        text="One fifth of the stars is for testing. An encoder begins with the given model, or with random "
        "weights and more passes, and is trained on a share of the other stars' labels.",
        order=106,
        track=REAL_SPECTRA,
        groups=(),
        only=("spectrum_head",),
        caption="Mean absolute error of Teff [K].",
        columns=_columns("teff", 0),
        tables=(
            ("Mean absolute error of log g [dex].", _columns("log_g", 3)),
            ("Mean absolute error of [Fe/H] [dex].", _columns("fe_h", 3)),
        ),
    )
)
