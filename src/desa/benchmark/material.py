"""What a task gets of a model: its embedding of every star, and the model where heads are trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.benchmark.embed import Aligner
from desa.benchmark.inputs import Inputs
from desa.benchmark.registry import ModelSpec
from desa.benchmark.training import load, plain, prior_for, settings_for
from desa.survey.selection import PRIORS

EMBEDDING = "embedding.npz"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """A model of one seed, ready for tasks.

    Parameters
    ----------
    inputs
        Survey, splits and labels.
    spec
        Which model.
    folder
        Where it lies.
    seed
        Of the model and of the task's own draws.
    """

    inputs: Inputs
    spec: ModelSpec
    folder: Path
    seed: int

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        with np.load(self.folder / EMBEDDING) as stored:
            return {name: stored[name] for name in stored.files}

    def array(self, name: str) -> Array:
        """An array that `desa.benchmark.embed.embed` gave; (N, 0) where the model has none."""
        return self._arrays.get(name, np.zeros((len(self.inputs.stars), 0), dtype=np.float32))

    @property
    def joint(self) -> Array:
        """(N, D) the embedding."""
        return self.array("joint")

    @property
    def head(self) -> Array:
        """(N, 2 d) what a fine-tuning head reads: both halves side by side."""
        return np.concatenate([self.array("head_spectrum"), self.array("head_lightcurve")], axis=1)

    @property
    def prior(self) -> Tensor | None:
        """(N, k) prior of the stars, if the model has one."""
        if not self.spec.trained:
            return None
        prior = prior_for(self.inputs, self.spec)
        return None if prior is None else prior[torch.from_numpy(self.inputs.stars.star)]

    @property
    def given(self) -> tuple[str, ...]:
        """Labels that a photometric prior holds: asking for them would be no question.

        The published prior holds Teff, log g, [Fe/H] and Prot; these are asked for all the same, to show the
        leak.
        """
        prior = settings_for(self.inputs, self.spec, None, 1).dualformer.prior
        return PRIORS["photometric"] if self.spec.trained and prior == "photometric" else ()

    def aligner(self) -> Aligner | None:
        """The model itself; None for features that no aligner made."""
        if self.spec.trained:
            return load(self.inputs, self.spec, self.folder)
        if self.spec.name in ("only_spectrum", "only_lightcurve", "concatenation"):
            return plain(self.inputs, self.spec.name)
        return None
