"""From scores of candidates to an answer: period, quantiles, probability of rotation, prior of the star."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from desa.models.period_scorer import LONGEST_LOG, SHORTEST_LOG, PeriodScores, log_density

Array = NDArray[np.float64]

STEP = 0.002
"""Dex of the axis on which the density is summed."""

LEVELS = (0.05, 0.16, 0.5, 0.84, 0.95)
WINDOW = math.log10(1.1)
"""The answer is where most of the density lies within this, 10 % of the period."""

AXIS = np.arange(SHORTEST_LOG, LONGEST_LOG, STEP)


@dataclass(frozen=True, eq=False)
class PeriodAnswers:
    """Periods of N light curves.

    Parameters
    ----------
    log_period
        (N,) log10 days: the mean of the density about where most of it lies.
    share
        (N,) of the density within 10 % of it.
    quantiles
        (N, len(LEVELS)) of the density.
    density
        (N, len(AXIS)) per dex.
    rotation
        (N,) logit that there is a rotation signal, before calibration.
    """

    log_period: Array
    share: Array
    quantiles: Array
    density: Array
    rotation: Array

    def taken(self, rows: NDArray[np.int64]) -> PeriodAnswers:
        """Those of some light curves."""
        return PeriodAnswers(*(getattr(self, one.name)[rows] for one in fields(self)))

    @staticmethod
    def joined(parts: Sequence[PeriodAnswers]) -> PeriodAnswers:
        """Several after each other."""
        names = [one.name for one in fields(PeriodAnswers)]
        return PeriodAnswers(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@torch.no_grad()
def answers(scores: PeriodScores, log_prior: Array | None = None) -> PeriodAnswers:
    """What the members of a scorer say together.

    Parameters
    ----------
    scores
        Of N light curves.
    log_prior
        (N, len(AXIS)) log of what is known of each star's period otherwise, which multiplies the density;
        None: nothing.
    """
    places = torch.from_numpy(AXIS.astype(np.float32)).expand(scores.rotation.shape[1], -1)
    density = log_density(scores, places).exp().mean(0).double().numpy()
    if log_prior is not None:
        density = density * np.exp(log_prior - log_prior.max(axis=1, keepdims=True))
    density = density / (density.sum(axis=1, keepdims=True) * STEP)
    total = np.cumsum(density, axis=1) * STEP
    reach = round(WINDOW / STEP)
    ends = np.pad(total, ((0, 0), (reach + 1, reach)), mode="edge")
    ends[:, : reach + 1] = 0.0
    within = ends[:, 2 * reach + 1 :] - ends[:, : -2 * reach - 1]
    best = within.argmax(axis=1)
    log_period = np.empty(len(best))
    quantiles = np.empty((len(best), len(LEVELS)))
    for row, place in enumerate(best):
        near = slice(max(0, place - reach), place + reach + 1)
        log_period[row] = np.average(AXIS[near], weights=density[row, near] + 1e-12)
        quantiles[row] = np.interp(LEVELS, total[row], AXIS)
    probability = torch.sigmoid(scores.rotation).mean(0).double().clamp(1e-6, 1 - 1e-6).numpy()
    return PeriodAnswers(
        log_period,
        within[np.arange(len(best)), best],
        quantiles,
        density,
        np.log(probability / (1.0 - probability)),
    )
