"""Errors and interval coverage of predicted labels, with standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.conformal import calibrate, empirical_coverage, intervals
from desa.real.data import LABELS, UNITS

Array = NDArray[np.float64]

GOOD_SNR = 30.0


@dataclass(frozen=True)
class Score:
    """One label, one group of spectra.

    Parameters
    ----------
    label, group
        Group: ``"all"`` or ``"S/N_g > 30"``.
    count
        Spectra in it.
    mae, mae_err
        Mean absolute error and its standard error (standard deviation of |error| over root count).
    median_error
        Median |error|.
    bias
        Median of predicted minus label.
    """

    label: str
    group: str
    count: int
    mae: float
    mae_err: float
    median_error: float
    bias: float


@dataclass(frozen=True)
class Coverage:
    """Share of labels inside their interval, its binomial error, and the mean half-width."""

    label: str
    nominal: float
    share: float
    share_err: float
    half_width: float


def groups(snr_g: Array) -> dict[str, NDArray[np.bool_]]:
    """The groups of spectra that are scored apart."""
    return {"all": np.ones(len(snr_g), dtype=bool), f"S/N_g > {GOOD_SNR:g}": snr_g > GOOD_SNR}


def score(predicted: Array, labels: Array, snr_g: Array) -> list[Score]:
    """Errors of predictions (N, 3) against labels (N, 3), by label and group."""
    rows = []
    for name, members in groups(snr_g).items():
        for place, label in enumerate(LABELS):
            difference = (predicted - labels)[members, place]
            if not len(difference):
                continue
            size = np.abs(difference)
            spread = size.std(ddof=1) / np.sqrt(len(size)) if len(size) > 1 else np.nan
            rows.append(
                Score(
                    label,
                    name,
                    len(size),
                    float(size.mean()),
                    float(spread),
                    float(np.median(size)),
                    float(np.median(difference)),
                )
            )
    return rows


def coverage(low: Array, high: Array, labels: Array, nominal: float) -> list[Coverage]:
    """Coverage of intervals (N, 3), label by label."""
    rows = []
    for place, label in enumerate(LABELS):
        share, error, _ = empirical_coverage(low[:, place], high[:, place], labels[:, place])
        width = float(np.mean(high[:, place] - low[:, place]) / 2)
        rows.append(Coverage(label, nominal, share, error, width))
    return rows


def calibrated_coverage(predicted: Array, labels: Array, calibration: Mapping[str, Any]) -> list[Coverage]:
    """Coverage of a model's calibrated intervals; `predicted` (N, 3, Q)."""
    found = intervals(predicted, dict(calibration))
    return [
        row for nominal, (low, high) in found.items() for row in coverage(low, high, labels, float(nominal))
    ]


def cross_coverage(
    predicted: Array, labels: Array, fold: NDArray[np.int64], quantiles: tuple[float, ...]
) -> list[Coverage]:
    """Coverage where each fold's intervals are calibrated on the out-of-fold predictions of the others."""
    ends: dict[float, tuple[Array, Array]] = {}
    for number in np.unique(fold):
        inside = fold == number
        calibration = calibrate(predicted[~inside], labels[~inside], quantiles)
        for nominal, (low, high) in intervals(predicted[inside], calibration).items():
            lows, highs = ends.setdefault(
                nominal, (np.full_like(labels, np.nan), np.full_like(labels, np.nan))
            )
            lows[inside], highs[inside] = low, high
    return [row for nominal, (low, high) in ends.items() for row in coverage(low, high, labels, nominal)]


def score_line(rows: list[Score], group: str) -> str:
    """``Teff 75.1 +- 3.0 K, log g ...`` of one group."""
    parts = []
    for row, unit in zip((r for r in rows if r.group == group), UNITS, strict=True):
        digits = 1 if unit == "K" else 4
        parts.append(f"{row.label} {row.mae:.{digits}f} +- {row.mae_err:.{digits}f} {unit}")
    return ", ".join(parts)


def as_json(rows: list[Score] | list[Coverage]) -> list[dict[str, Any]]:
    """Rows as JSON-ready dictionaries."""
    return [asdict(row) for row in rows]
