"""Ages by fine-tuning: medians and conformal intervals, overall and by effective temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from desa.evaluation.metrics import bins, coverage_scores, regression_scores
from desa.evaluation.score import Score
from desa.finetune.head import fine_tune
from desa.models.finetuned import Features, FineTuning

TASK = "ages"
TEFF_EDGES = (0.0, 4500.0, 5500.0, 6500.0, np.inf)
"""Bins of Teff [K]: K and cooler, cool G, warm G and F, hotter."""

YOUNGEST = 1e-3
"""Label ages [Gyr] below this count as this."""

SMALL: dict[str, Any] = {"width": 16, "blocks": 1, "learning_rate": 3e-3, "epochs": 20, "patience": 4}
"""Sizes of the transformer that suit some thousand stars and a laptop."""

VARIANTS: Mapping[str, FineTuning] = {
    "light head": FineTuning(),
    "light head, unfrozen": FineTuning(head="linear", unfreeze=True, epochs=20, patience=4),
    "transformer": FineTuning(head="transformer", **SMALL),
    "transformer, unfrozen": FineTuning(head="transformer", unfreeze=True, **SMALL),
}


def ages(
    features: Features,
    age: NDArray[Any],
    teff: NDArray[Any],
    split: NDArray[np.str_],
    *,
    aligner: nn.Module | None = None,
    variants: Mapping[str, FineTuning] = VARIANTS,
    seed: int = 0,
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """Fine-tune each variant on log10 of the age and score it in Gyr on test stars.

    Quantiles and intervals pass through the logarithm unchanged; a relative error, which ages have, becomes
    an even one.

    Parameters
    ----------
    features
        Encoder features of N stars, and the prior if the aligner has one.
    age
        (N,) Gyr, NaN where unknown.
    teff
        (N,) K, only to bin the scores.
    split
        (N,).
    aligner, variants, seed
        As in `desa.benchmark.tasks.binaries.binaries`.

    Returns
    -------
    tuple
        Scores by variant: MAE, RMSE, R2, share within 10 %, coverage and half-width, for all and by bin of
        Teff (part: ``"Teff 4500-5500"``). Arrays by variant: ``truth``, ``predicted`` (median), ``row``,
        ``low_68``, ``high_68`` and the like.
    """
    values = np.asarray(age, dtype=np.float64)
    log_age = np.log10(np.where(values < YOUNGEST, YOUNGEST, values))
    train = 10 ** log_age[(np.asarray(split) == "train") & np.isfinite(log_age)]
    scores, arrays = list[Score](), dict[str, NDArray[Any]]()
    for name, settings in variants.items():
        found = fine_tune(features, log_age, split, settings, aligner=aligner, seed=seed, task=TASK)
        if not len(found.test):
            continue
        truth, median = 10**found.truth, 10**found.median
        ends = {nominal: (10**low, 10**high) for nominal, (low, high) in found.intervals.items()}
        everybody = {"": np.ones(len(truth), dtype=bool)}
        for part, rows in (everybody | bins(np.asarray(teff)[found.test], TEFF_EDGES, "Teff")).items():
            scores += regression_scores(TASK, name, truth[rows], median[rows], train, seed=seed, part=part)
            of = {nominal: (low[rows], high[rows]) for nominal, (low, high) in ends.items()}
            scores += coverage_scores(TASK, name, truth[rows], of, part=part)
        arrays |= {f"{name}/truth": truth, f"{name}/predicted": median, f"{name}/row": found.test}
        for nominal, (low, high) in ends.items():
            level = f"{round(100 * nominal)}"
            arrays |= {f"{name}/low_{level}": low, f"{name}/high_{level}": high}
    return scores, arrays
