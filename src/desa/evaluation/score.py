"""One number of a task, with what is needed to judge it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A score on stars that the scored model has not seen.

    Parameters
    ----------
    task
        Name of the task: ``"probe"``, ``"binaries"``.
    label
        What is predicted: ``"teff"``, ``"binary"``.
    metric
        ``"r2"``, ``"mae"``, ``"auc"``.
    value, error
        The score and its standard error over stars (NaN where none is defined).
    chance
        What guessing gets (NaN where that has no meaning).
    n
        Stars it was measured on.
    part
        Name of a subset of the stars, ``""`` for all.
    """

    task: str
    label: str
    metric: str
    value: float
    error: float
    chance: float
    n: int
    part: str = ""
