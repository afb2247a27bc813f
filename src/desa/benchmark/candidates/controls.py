"""Feature sets that an embedding is compared with: without controls a good score says nothing."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from desa.models.lightcurve import LogAxis
from desa.models.network import Network
from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.selection import Pairs
from desa.survey.store import Survey

Array = NDArray[np.float32]
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


def canonical(
    spectrum: Array, lightcurve: Array, train: NDArray[np.bool_], components: int = 32, ridge: float = 1e-3
) -> tuple[Array, Array]:
    """Canonical variates of both modalities' features (Hotelling 1936), weighted by their correlations.

    The closed form of a linear alignment: what a learned one should not fall short of.

    Parameters
    ----------
    spectrum, lightcurve
        (N, F1), (N, F2) features of the same stars.
    train
        (N,) rows that the correlations are taken over.
    components
        How many variates; fewer if the features are fewer.
    ridge
        Added to each covariance, as a share of its mean eigenvalue.

    Returns
    -------
    tuple
        (N, k) each, to be compared by cosine.
    """
    whitened = []
    for rows in (spectrum.astype(np.float64), lightcurve.astype(np.float64)):
        centred = rows - rows[train].mean(axis=0)
        values, vectors = np.linalg.eigh(centred[train].T @ centred[train] / train.sum())
        scale = np.sqrt(np.maximum(values, 0.0) + ridge * values.mean())
        whitened.append(centred @ vectors / scale)
    first, second = whitened
    left, correlations, right = np.linalg.svd(first[train].T @ second[train] / train.sum())
    count = min(components, len(correlations))
    weights = correlations[:count]
    pair = first @ left[:, :count] * weights, second @ right[:count].T * weights
    return pair[0].astype(np.float32), pair[1].astype(np.float32)


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
    model: Network, survey: Survey, pairs: Pairs, train: NDArray[np.bool_], components: int = 60
) -> Array:
    """Principal components of both modalities' inputs side by side, (N, 2 x components)."""
    spectrum = principal_components(spectrum_inputs(model, survey, pairs.spectrum), train, components)
    lightcurve = principal_components(lightcurve_inputs(model, survey, pairs.lightcurve), train, components)
    return np.concatenate([spectrum, lightcurve], axis=1)


@torch.inference_mode()
def joint_embedding(model: Network, spectrum: Array, lightcurve: Array) -> Array:
    """Joint embedding (N, d) of encoder features, without prior."""
    rows = [
        model.align(
            torch.from_numpy(spectrum[start : start + 256]), torch.from_numpy(lightcurve[start : start + 256])
        )[1]
        for start in range(0, len(spectrum), 256)
    ]
    return torch.cat(rows).cpu().numpy()


def untrained(model: Network, seed: int) -> Network:
    """The same architecture with fresh random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network(model.settings, model.parts).eval()
