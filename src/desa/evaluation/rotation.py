"""Rotation periods: an encoder's beside those of ACF and Lomb-Scargle periodogram of the same stars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.evaluation.metrics import regression_scores
from desa.evaluation.periods import acf_peak, lomb_scargle_peak
from desa.evaluation.score import Score

Array = NDArray[np.float64]

TASK = "rotation"
METHODS = {"ACF": acf_peak, "Lomb-Scargle": lomb_scargle_peak}


def measured(fluxes: Sequence[NDArray[np.floating]], cadence_days: float) -> dict[str, Array]:
    """Periods of light curves by both methods.

    Parameters
    ----------
    fluxes
        N light curves (L,), NaN in gaps.
    cadence_days
        Their step.

    Returns
    -------
    dict
        Method -> (N,) days, NaN where it finds no peak.
    """
    return {
        name: np.array([find(flux, cadence_days)[0] for flux in fluxes], dtype=np.float64)
        for name, find in METHODS.items()
    }


def rotation(
    periods: Mapping[str, Array], prot: NDArray[Any], split: NDArray[np.str_], *, seed: int = 0
) -> tuple[list[Score], dict[str, NDArray[Any]]]:
    """RMSE, MAE, R2 and share within 10 % of each method, on the test stars with a catalogue period.

    A method that finds no period is given the training stars' median: all methods are scored on all stars.

    Parameters
    ----------
    periods
        Method -> (N,) days: the encoder's median and what `measured` gave; their names are the scores' label.
    prot
        (N,) days of the catalogue, NaN where missing.
    split
        (N,).
    seed
        Of the bootstrap.

    Returns
    -------
    tuple
        Scores; arrays ``<method>/truth`` and ``<method>/predicted``.
    """
    truth, split = np.asarray(prot, dtype=np.float64), np.asarray(split)
    test = (split == "test") & np.isfinite(truth)
    train = truth[np.isin(split, ("train", "valid")) & np.isfinite(truth)]
    scores, arrays = list[Score](), dict[str, NDArray[Any]]()
    if not len(train):
        return scores, arrays
    for name, values in periods.items():
        found = np.where(np.isfinite(values[test]), values[test], np.median(train))
        scores += regression_scores(TASK, name, truth[test], found, train, seed=seed)
        arrays |= {f"{name}/truth": truth[test], f"{name}/predicted": found}
    return scores, arrays
