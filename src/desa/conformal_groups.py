"""Intervals that hold for the kind of star at hand: conformal prediction given groups that overlap.

One offset for all stars makes intervals that hold on average: too narrow for faint stars, too wide for bright
ones. Here the offset is a sum of one number for each group that a star is in (its S/N, its predicted Teff,
log g and [Fe/H]), found by quantile regression of the conformity scores on the groups. Each group then has
the stated coverage on the calibration stars, all groups at once (Gibbs, Cherian & Candes 2023,
arXiv:2305.12616). Scores are in units of the predicted interval's width, so that what the model knows of its
own errors stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from desa.conformal import COVERAGES, Array, bounds_of, calibrate, middle_of

SNR: Final = "snr_g"

EDGES: Final[Mapping[str, tuple[float, ...]]] = {
    SNR: (20.0, 30.0, 50.0, 100.0),
    "teff": (5000.0, 5500.0, 6000.0, 6500.0, 7000.0, 8000.0, 9000.0),
    "log_g": (3.0, 3.8, 4.1, 4.3),
    "fe_h": (-1.0, -0.6, -0.3, 0.0),
}
"""Edges of the groups, by S/N and by what is predicted."""

LEAST: Final = 50
"""Stars of a group; smaller ones are pooled with a neighbour."""

LEAST_ALL: Final = 500
"""Calibration stars below which one offset for all must do."""

LEAST_WIDTH: Final = 1e-6


def calibrate_by_group(
    predicted: ArrayLike,
    target: ArrayLike,
    quantiles: Sequence[float],
    labels: Sequence[str],
    snr: ArrayLike,
    coverages: Sequence[float] = COVERAGES,
) -> dict[str, Any]:
    """Find each group's offsets.

    Parameters
    ----------
    predicted, target, quantiles, coverages
        As in `desa.conformal.calibrate`: N stars, K labels.
    labels
        Names of the K labels; those with `EDGES` make groups.
    snr
        (N,) S/N in g, NaN where unknown.

    Returns
    -------
    dict
        What `desa.conformal.calibrate` returns, with ``axes`` (name and edges of each) and
        ``group_offsets`` [coverage][label][group], in widths, where there are stars enough.
    """
    values, truth = np.asarray(predicted, dtype=np.float64), np.asarray(target, dtype=np.float64)
    found = calibrate(values, truth, quantiles, coverages)
    if min(found["counts"], default=0) < LEAST_ALL:
        return found
    places = _places(values, quantiles, labels, np.asarray(snr, dtype=np.float64))
    axes = [{"name": name, "edges": _pooled(column, EDGES[name])} for name, column in places.items()]
    member = _members(places, axes)
    offsets = []
    for coverage in coverages:
        low, high = bounds_of(values, quantiles, coverage)
        scores = np.maximum(low - truth, truth - high) / _width(low, high)
        offsets.append([_fitted(member, scores[:, label], coverage) for label in range(truth.shape[1])])
    return {**found, "labels": list(labels), "axes": axes, "group_offsets": offsets}


def group_offsets(
    predicted: NDArray[Any], calibration: Mapping[str, Any], snr: ArrayLike | None
) -> dict[float, Array]:
    """Offsets of stars' intervals by their groups, in the labels' units.

    Parameters
    ----------
    predicted
        (N, K, Q) predicted quantiles.
    calibration
        What `calibrate_by_group` returned.
    snr
        (N,) S/N in g; None or NaN where unknown: the faintest group's.

    Returns
    -------
    dict
        coverage -> (N, K); empty where the calibration has no groups.
    """
    if not calibration.get("axes"):
        return {}
    levels = calibration["quantiles"]
    given = np.full(len(predicted), np.nan) if snr is None else np.asarray(snr, dtype=np.float64)
    places = _places(predicted, levels, calibration["labels"], given)
    member = _members(places, calibration["axes"])
    found = {}
    for coverage, rows in zip(calibration["coverages"], calibration["group_offsets"], strict=True):
        found[coverage] = (member @ np.asarray(rows).T) * _width(*bounds_of(predicted, levels, coverage))
    return found


def _width(low: Array, high: Array) -> Array:
    return np.maximum(high - low, LEAST_WIDTH)


def _places(
    predicted: NDArray[Any], quantiles: Sequence[float], labels: Sequence[str], snr: Array
) -> dict[str, Array]:
    """What groups go by: S/N, and the medians of the labels that have edges."""
    middle = middle_of(quantiles)
    medians = {name: predicted[:, k, middle] for k, name in enumerate(labels) if name in EDGES}
    return {SNR: np.nan_to_num(snr, nan=0.0), **medians}


def _pooled(column: Array, edges: Sequence[float]) -> list[float]:
    """Edges between groups of at least `LEAST` stars."""
    kept: list[float] = []
    for edge in edges:
        inside = (column < edge) & (column >= (kept[-1] if kept else -np.inf))
        if inside.sum() >= LEAST:
            kept.append(edge)
    while kept and (column >= kept[-1]).sum() < LEAST:
        kept.pop()
    return kept


def _members(places: Mapping[str, Array], axes: Sequence[Mapping[str, Any]]) -> Array:
    """(N, 1 + groups): ones, and a column for each group but the first of each axis."""
    count = len(next(iter(places.values())))
    columns = [np.ones((count, 1))]
    for axis in axes:
        group = np.searchsorted(axis["edges"], places[axis["name"]], side="right")
        columns.append((group[:, None] == np.arange(1, len(axis["edges"]) + 1)).astype(np.float64))
    return np.concatenate(columns, axis=1)


def _fitted(member: Array, scores: Array, coverage: float) -> list[float]:
    """Offset of each column: the scores' quantile, by linear programming."""
    from sklearn.linear_model import QuantileRegressor  # slow to import, and not needed to use a model

    known = np.isfinite(scores)
    level = min(coverage * (known.sum() + 1) / known.sum(), 0.999)
    fit = QuantileRegressor(quantile=level, alpha=0.0, fit_intercept=False, solver="highs")
    fit.fit(member[known], scores[known])
    return [float(value) for value in fit.coef_]
