"""The benchmark's tasks: each takes what a model made of the stars and gives scores and arrays to draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.material import Material
from desa.benchmark.registry import Group, ModelSpec
from desa.downstream.probe import linear_probe
from desa.downstream.score import Score

PROBE_LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "m_g", "age")
EVERYBODY: tuple[Group, ...] = ("model", "control", "ablation")


@dataclass(frozen=True)
class Outcome:
    """What a task gives.

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
    arrays: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class TaskSpec:
    """A task.

    Parameters
    ----------
    name, title
        In files and in the report.
    run
        The work.
    tested
        Label -> metric by which DESA is tested against the others, where cells keep predictions.
    groups, only
        Whom it is done for: groups, or single models.
    """

    name: str
    title: str
    run: Callable[[Material], Outcome]
    tested: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[Group, ...] = EVERYBODY
    only: frozenset[str] = frozenset()

    def wants(self, spec: ModelSpec) -> bool:
        """Whether the task is done for a model."""
        return spec.name in self.only if self.only else spec.group in self.groups


def probe(material: Material) -> Outcome:
    """Ridge regressions on the fixed embedding."""
    scores, arrays = list[Score](), dict[str, NDArray[np.generic]]()
    for label in PROBE_LABELS:
        values = material.inputs.label(label)
        try:
            found = linear_probe(material.joint, values, material.inputs.split, seed=material.seed)
        except ValueError:
            continue
        scores.append(Score("probe", label, "r2", found.r2, found.r2_error, 0.0, found.n_test))
        spread = float(np.abs(found.truth - np.median(found.truth)).mean())
        error = float(np.abs(found.truth - found.predicted).std(ddof=1) / np.sqrt(found.n_test))
        scores.append(Score("probe", label, "mae", found.mae, error, spread, found.n_test))
        arrays |= {f"{label}/truth": found.truth, f"{label}/predicted": found.predicted}
    return Outcome(scores, arrays)


TASKS: dict[str, TaskSpec] = {
    task.name: task
    for task in (
        TaskSpec(
            "probe",
            "What a linear probe reads off the embedding",
            probe,
            dict.fromkeys(PROBE_LABELS, "r2"),
        ),
    )
}
