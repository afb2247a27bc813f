"""Split-conformal calibration of predicted quantiles.

Conformalised quantile regression (Romano, Patterson & Candes 2019): the interval between two predicted
quantiles is widened (or narrowed) on both sides by one number, the finite-sample quantile of the scores
``max(low - y, y - high)`` on stars that neither training nor early stopping has seen. The interval then
holds the truth with at least the stated probability for exchangeable stars, whatever the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]

COVERAGES = (0.68, 0.9)
"""Nominal coverages of the intervals that `calibrate` prepares."""


def interpolate_quantiles(predicted: ArrayLike, quantiles: Sequence[float], levels: Sequence[float]) -> Array:
    """Quantiles at other levels, linear in the normal score of the level.

    Parameters
    ----------
    predicted
        (..., Q) predicted quantiles.
    quantiles
        Their Q levels, ascending.
    levels
        The levels wanted; beyond the outermost the last slope goes on.

    Returns
    -------
    Array
        (..., len(levels)).
    """
    values = np.sort(np.asarray(predicted, dtype=np.float64), axis=-1)
    known, wanted = ndtri(np.asarray(quantiles)), ndtri(np.asarray(levels))
    upper = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    share = (wanted - known[upper - 1]) / (known[upper] - known[upper - 1])
    return np.asarray(values[..., upper - 1] * (1 - share) + values[..., upper] * share)


def conformal_quantile(scores: ArrayLike, coverage: float) -> float:
    """The ceil((n+1) coverage)-th smallest score; infinite where n is too small for that coverage.

    Parameters
    ----------
    scores
        (n,) conformity scores of the calibration stars; NaN are left out.
    coverage
        Nominal coverage, between 0 and 1.
    """
    kept = np.sort(np.asarray(scores, dtype=np.float64))
    kept = kept[~np.isnan(kept)]
    rank = math.ceil((len(kept) + 1) * coverage - 1e-9)
    return float(kept[rank - 1]) if rank <= len(kept) else math.inf


def middle_of(quantiles: Sequence[float]) -> int:
    """Place of the level nearest to the median."""
    return int(np.argmin(np.abs(np.asarray(quantiles) - 0.5)))


def bounds_of(predicted: ArrayLike, quantiles: Sequence[float], coverage: float) -> tuple[Array, Array]:
    """Ends (N, K) of the intervals of a coverage between (N, K, Q) predicted quantiles."""
    pair = interpolate_quantiles(predicted, quantiles, [(1 - coverage) / 2, (1 + coverage) / 2])
    return pair[..., 0], pair[..., 1]


def calibrate(
    predicted: ArrayLike,
    target: ArrayLike,
    quantiles: Sequence[float],
    coverages: Sequence[float] = COVERAGES,
) -> dict[str, Any]:
    """Find how much each interval must be widened.

    Parameters
    ----------
    predicted
        (N, K, Q) predicted quantiles of K labels of the calibration stars.
    target
        (N, K) the labels; NaN where missing.
    quantiles
        The Q levels.
    coverages
        Nominal coverages of the intervals.

    Returns
    -------
    dict
        JSON-ready: ``coverages``, ``quantiles``, ``offsets`` (one list of K numbers a coverage; None where
        there are too few stars for a finite interval) and ``counts`` (K numbers of stars).
    """
    truth = np.asarray(target, dtype=np.float64)
    offsets: list[list[float | None]] = []
    for coverage in coverages:
        low, high = bounds_of(predicted, quantiles, coverage)
        scores = np.maximum(low - truth, truth - high)
        row = [conformal_quantile(scores[:, label], coverage) for label in range(truth.shape[1])]
        offsets.append([value if math.isfinite(value) else None for value in row])
    return {
        "coverages": list(coverages),
        "quantiles": list(quantiles),
        "offsets": offsets,
        "counts": np.isfinite(truth).sum(axis=0).tolist(),
    }


def intervals(
    predicted: ArrayLike, calibration: dict[str, Any], offsets: Mapping[float, Array] | None = None
) -> dict[float, tuple[Array, Array]]:
    """Calibrated intervals.

    Parameters
    ----------
    predicted
        (N, K, Q) predicted quantiles.
    calibration
        What `calibrate` returned.
    offsets
        coverage -> (N, K) of each star by its groups (`desa.conformal_groups`), in place of one for all.

    Returns
    -------
    dict
        coverage -> (low, high), each (N, K); infinite where the calibration stars were too few. An
        interval that a negative offset would turn inside out closes on its middle.
    """
    result: dict[float, tuple[Array, Array]] = {}
    for coverage, row in zip(calibration["coverages"], calibration["offsets"], strict=True):
        low, high = bounds_of(predicted, calibration["quantiles"], coverage)
        offset = np.array([math.inf if value is None else value for value in row])
        offset = (offsets or {}).get(coverage, offset)
        low, high, middle = low - offset, high + offset, (low + high) / 2
        crossed = low > high
        result[coverage] = (np.where(crossed, middle, low), np.where(crossed, middle, high))
    return result


def empirical_coverage(low: ArrayLike, high: ArrayLike, target: ArrayLike) -> tuple[float, float, int]:
    """Share of targets inside their interval.

    Returns
    -------
    tuple
        The share, its binomial standard error, and the number of stars with a target; NaN without any.
    """
    truth = np.asarray(target, dtype=np.float64)
    known = np.isfinite(truth)
    count = int(known.sum())
    if count == 0:
        return math.nan, math.nan, 0
    inside = (truth >= np.asarray(low)) & (truth <= np.asarray(high))
    share = float(inside[known].mean())
    return share, math.sqrt(share * (1 - share) / count), count
