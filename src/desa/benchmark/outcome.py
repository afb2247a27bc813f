"""What a task gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from desa.evaluation.score import Score

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Outcome:
    """Scores of a cell, and arrays.

    Parameters
    ----------
    scores
        The numbers.
    arrays
        To draw and to test with: ``<label>/truth``, ``<label>/predicted`` and the like.
    reason
        Why there are no scores, if there are none.
    """

    scores: Sequence[Score]
    arrays: Arrays = field(default_factory=dict)
    reason: str = ""
