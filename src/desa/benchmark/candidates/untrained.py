"""Features of encoders that were never trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from desa.benchmark.base import CANDIDATES, Candidate, Embedding
from desa.benchmark.embed import halves
from desa.benchmark.inputs import Inputs
from desa.inference.encode import lightcurve_features, spectrum_features
from desa.models.network import Network


def untrained(model: Network, seed: int) -> Network:
    """The same architecture with fresh random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network(model.settings, model.parts).eval()


class Untrained(Candidate):
    """Features of encoders with random weights, side by side."""

    def rows(self, inputs: Inputs) -> NDArray[np.float32]:
        """(N, F1 + F2), kept in the benchmark's folder."""

        def make() -> NDArray[np.float32]:
            fresh = untrained(inputs.joined, inputs.settings.seed + 1)
            first = spectrum_features(fresh, inputs.survey)[inputs.stars.spectrum]
            second = lightcurve_features(fresh, inputs.survey)[inputs.stars.lightcurve]
            return np.concatenate([first, second], axis=1)

        return inputs.kept(self.name, make)

    def prepare(self, inputs: Inputs) -> None:
        """The features."""
        self.rows(inputs)

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """The same for all seeds."""
        return halves(self.rows(inputs), inputs.spectrum.shape[1], inputs.split == "train")


CANDIDATES.add(
    Untrained(
        "untrained",
        "Untrained encoders",
        "encoders with random weights, side by side",
        13,
        group="control",
        drawn=False,
    )
)
