"""Scores of a benchmark as its page and its tasks read them: means over seeds, and paired tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

Key = tuple[str, str, str, str, str]
"""Task, label, part, metric, candidate."""


@dataclass(frozen=True)
class Mean:
    """A score over seeds.

    Parameters
    ----------
    value
        Mean.
    error
        Standard error: that over test stars (mean of the seeds') and that over seeds, in quadrature.
    over_seeds, over_stars
        The two, apart.
    chance, n, seeds
        Chance level, test stars, seeds.
    prior
        Of the candidate.
    """

    value: float
    error: float
    over_seeds: float
    over_stars: float
    chance: float
    n: int
    seeds: int
    prior: str


@dataclass(frozen=True)
class Results:
    """All that the page shows.

    Parameters
    ----------
    table
        The tidy table: one score of one seed a row.
    means
        Over seeds.
    tests
        Paired tests: task, label, metric, model, difference (the track's subject minus model), error, p, n.
    left_out
        Cells without scores, with the reason.
    facts
        Content of ``benchmark.json``.
    spent
        Seconds and kWh by stage.
    training
        Facts of training by candidate: of the first seed, with mean seconds and the share that collapsed.
    """

    table: pa.Table
    means: Mapping[Key, Mean] = field(default_factory=dict)
    tests: Sequence[Mapping[str, Any]] = ()
    left_out: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    spent: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def tests_of(self, task: str, model: str | None = None) -> list[Mapping[str, Any]]:
        """Paired tests of a task, against one candidate if it is named."""
        return [t for t in self.tests if t["task"] == task and model in (None, t["model"])]


def means_of(rows: Sequence[Mapping[str, Any]]) -> dict[Key, Mean]:
    """Means over seeds of tidy rows."""
    groups: dict[Key, list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["task"], row["label"], row["part"], row["metric"], row["model"])
        groups.setdefault(key, []).append(row)
    return {key: _mean(group) for key, group in groups.items()}


def _mean(rows: Sequence[Mapping[str, Any]]) -> Mean:
    values, errors = (np.array([row[name] for row in rows], dtype=np.float64) for name in ("value", "error"))
    seeds = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
    known = errors[np.isfinite(errors)]
    stars = float(known.mean()) if len(known) else math.nan
    total = math.hypot(seeds, 0.0 if math.isnan(stars) else stars)
    chance, n, prior = (rows[0][name] for name in ("chance", "n", "prior"))
    return Mean(float(values.mean()), total, seeds, stars, float(chance), int(n), len(rows), str(prior))
