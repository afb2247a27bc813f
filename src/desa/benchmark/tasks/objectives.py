"""Task: what the objective of the encoders' pre-training makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import TASKS, BenchmarkTask, Column, Material, TaskResult
from desa.benchmark.encoders import folder_of
from desa.benchmark.inputs import Inputs
from desa.evaluation.probe import linear_probe
from desa.evaluation.score import Score
from desa.inference.encode import lightcurve_features, spectrum_features
from desa.models.network import Network

LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "age")


def _features_of(inputs: Inputs, objective: str) -> NDArray[np.float32]:
    """(N, F1 + F2) of the encoders of an objective, side by side."""
    models = [
        Network.load(folder_of(inputs.folder, part, objective) / "model")
        for part in ("spectrum", "lightcurve")
    ]
    first, second = spectrum_features(models[0], inputs.survey), lightcurve_features(models[1], inputs.survey)
    return np.concatenate([first[inputs.stars.spectrum], second[inputs.stars.lightcurve]], axis=1)


class Objectives(BenchmarkTask):
    """Probes of both encoders' features, whatever joins them: done for their concatenation."""

    def run(self, material: Material) -> TaskResult:
        """Encoders pre-trained by the hybrid loss, self-supervision alone and supervision alone (Fig. 3)."""
        inputs, scores = material.inputs, list[Score]()
        for name in self.encoders:
            both = _features_of(inputs, name)
            for label in LABELS:
                try:
                    found = linear_probe(both, inputs.label(label), inputs.split, seed=material.seed)
                except ValueError:
                    continue
                scores.append(
                    Score(self.name, label, "r2", found.r2, found.r2_error, 0.0, found.n_test, name)
                )
        return TaskResult(scores)


OBJECTIVES = {"hybrid": 0.5, "ssl_only": 0.0, "supervised_only": 1.0}

TASKS.add(
    Objectives(
        "encoders",
        "Objective of the encoders (Fig. 3)",
        "Both encoders pre-trained anew for a third of the steps by the hybrid loss, by "
        "self-supervision alone and by supervision alone; linear probes of their features side by side.",
        110,
        only=("concatenation",),
        caption="R2 of linear probes.",
        columns=[
            Column(f"{name}, {part.replace('_', ' ')}", name, "r2", part)
            for name in ("teff", "fe_h", "log_prot", "age")
            for part in OBJECTIVES
        ],
        encoders=OBJECTIVES,
    )
)
