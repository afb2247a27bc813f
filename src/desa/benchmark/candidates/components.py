"""Principal components of what the encoders read, without any encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from desa.benchmark.base import CANDIDATES, Candidate, Embedding
from desa.benchmark.embed import halves
from desa.benchmark.inputs import Inputs
from desa.models.lightcurve import LogAxis
from desa.models.network import Network
from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.selection import Pairs
from desa.survey.store import Survey

Array = NDArray[np.float32]

COMPONENTS = 60
"""Of each modality."""

LOG_POINTS = 512
"""Points of the ACF and of the power spectrum whose principal components are taken."""


def principal_components(inputs: Array, train: NDArray[np.bool_], components: int) -> Array:
    """Scores on the principal components of the training rows.

    Parameters
    ----------
    inputs
        (N, D) preprocessed inputs.
    train
        (N,) rows that the components are fitted on.
    components
        How many; fewer if the training rows are fewer.
    """
    count = min(components, int(train.sum()) - 1, inputs.shape[1])
    model = PCA(count, svd_solver="randomized", random_state=0).fit(inputs[train])
    return np.asarray(model.transform(inputs), dtype=np.float32)


@torch.inference_mode()
def spectrum_inputs(model: Network, survey: Survey, rows: NDArray[np.int64]) -> Array:
    """(N, P) preprocessed pixels of some spectra of a survey."""
    found = []
    for batch in make_loader(SpectrumDataset(survey, None), 64, shuffle=False):
        pixels, _ = model.spectrum_pixels(batch.flux, batch.ivar, batch.z, batch.log_wavelength_start)
        found.append(pixels.numpy())
    return np.concatenate(found)[rows]


@torch.inference_mode()
def lightcurve_inputs(model: Network, survey: Survey, rows: NDArray[np.int64]) -> Array:
    """(N, 2 x 512) ACF and log power spectrum on log axes of some light curves of a survey."""
    axis = LogAxis(LOG_POINTS)
    data = LightCurveDataset(survey, None, model.settings.preprocess_lightcurve.length, crop="best")
    found = []
    for batch in make_loader(data, 32, shuffle=False):
        channels, _ = model.lightcurve_channels(batch.flux[:, 0], batch.count_rate)
        found.append(axis(channels[:, 2:]).flatten(1).numpy())
    return np.concatenate(found)[rows]


def input_components(
    model: Network, survey: Survey, pairs: Pairs, train: NDArray[np.bool_], components: int = COMPONENTS
) -> Array:
    """Principal components of both modalities' inputs side by side, (N, 2 x components)."""
    spectrum = principal_components(spectrum_inputs(model, survey, pairs.spectrum), train, components)
    lightcurve = principal_components(lightcurve_inputs(model, survey, pairs.lightcurve), train, components)
    return np.concatenate([spectrum, lightcurve], axis=1)


class Components(Candidate):
    """Principal components of both modalities' inputs side by side."""

    def rows(self, inputs: Inputs) -> Array:
        """(N, 120), kept in the benchmark's folder."""
        train = inputs.split == "train"
        return inputs.kept(
            self.name, lambda: input_components(inputs.joined, inputs.survey, inputs.stars, train)
        )

    def prepare(self, inputs: Inputs) -> None:
        """The components."""
        self.rows(inputs)

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """The same for all seeds."""
        rows = self.rows(inputs)
        return halves(rows, min(COMPONENTS, rows.shape[1] // 2), inputs.split == "train")


CANDIDATES.add(
    Components(
        "components",
        "Principal components",
        "60 components of the pixels and 60 of ACF and power spectrum",
        12,
        group="control",
        drawn=False,
        also=("age_limits",),
    )
)
