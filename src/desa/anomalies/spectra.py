"""What is left of a spectrum when an ordinary one is taken away: principal components and their residual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from desa.anomalies.parts import COMPONENTS, LINE_PIXELS, Array, Sample

LINES: Final = (
    ("Ca II K", 3934.777), ("Ca II H", 3969.591), ("H delta", 4102.892), ("H gamma", 4341.684),
    ("He I 4473", 4472.76), ("He II 4687", 4687.02), ("H beta", 4862.683), ("[O III] 4960", 4960.295),
    ("[O III] 5008", 5008.240), ("Mg b", 5176.6), ("He I 5877", 5877.25), ("Na D", 5893.6),
    ("Li I 6710", 6709.6), ("H alpha", 6564.614), ("[N II] 6585", 6585.27), ("[S II] 6718", 6718.29),
    ("Ca II 8500", 8500.36), ("Ca II 8544", 8544.44), ("Ca II 8665", 8664.52),
)  # fmt: skip
"""Lines by name and vacuum wavelength in Angstrom (NIST)."""

NEAR = 2.5e-4 * np.log(10)
"""A line is named if it lies within 2.5 pixels."""


@dataclass(frozen=True)
class Residual:
    """Residuals of spectra from the span of ordinary ones.

    Parameters
    ----------
    mean, components
        (P,) and (K, P) of ordinary spectra.
    scatter
        (P,) robust scatter of the residuals.
    noise
        Coefficients of the log residual's square as a polynomial in the log of the spectrum's variance.
    wavelength
        (P,) vacuum Angstrom, rest frame.
    lines
        Look for lines; else at the whole spectrum.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    scatter: NDArray[np.float32]
    noise: Array
    wavelength: Array
    lines: bool

    def score(self, sample: Sample) -> tuple[Array, list[str]]:
        """Log residual over what its noise leads to expect; or log of the highest peak over its scatter."""
        found = np.full(len(next(iter(sample.vectors.values()))), np.nan)
        words = [""] * len(found)
        if sample.pixels is None or sample.weights is None:
            return found, words
        known = (sample.weights > 0).mean(axis=1) > 0.3
        rows, weights = sample.pixels[known], sample.weights[known]
        if not len(rows):
            return found, words
        left = residuals(rows, weights, self.mean, self.components) / self.scatter
        if self.lines:
            found[known], told = self._peaks(left, weights)
        else:
            size = _size(left, weights)
            found[known] = size - np.polyval(self.noise, _variance(weights))
            told = [f"{np.exp(x / 2):.1f} times the usual misfit of its spectrum" for x in found[known]]
        for place, said in zip(np.flatnonzero(known), told, strict=True):
            words[place] = said
        return found, words

    def _peaks(self, left: NDArray[np.float32], weights: NDArray[np.float32]) -> tuple[Array, list[str]]:
        smooth = gaussian_filter1d(left, LINE_PIXELS, axis=1, mode="constant")
        good = gaussian_filter1d((weights > 0).astype(np.float32), LINE_PIXELS, axis=1, mode="constant") > 0.8
        smooth = np.where(good, smooth, 0)
        own = np.array(
            [1.4826 * np.median(np.abs(x[g])) if g.any() else 1 for x, g in zip(smooth, good, strict=True)]
        )
        height = smooth / np.maximum(own, 1e-6)[:, None]
        place = np.abs(height).argmax(axis=1)
        top = height[np.arange(len(height)), place]
        told = [
            f"unexplained {'emission' if h > 0 else 'absorption'} at {self._where(w)} ({abs(h):.0f} sigma)"
            for h, w in zip(top, self.wavelength[place], strict=True)
        ]
        return np.log(np.maximum(np.abs(top), 1e-3)).astype(np.float64), told

    def _where(self, wavelength: float) -> str:
        name, line = min(LINES, key=lambda entry: abs(entry[1] - wavelength))
        at = f"{wavelength:.0f} A"
        return f"{at} ({name})" if abs(np.log(wavelength / line)) < NEAR else at


def residuals(
    pixels: NDArray[Any], weights: NDArray[Any], mean: NDArray[Any], components: NDArray[Any]
) -> NDArray[np.float32]:
    """(N, P) pixels less their projection on the components; 0 where bad."""
    good = weights > 0
    centred = np.where(good, pixels - mean, 0).astype(np.float32)
    return np.where(good, centred - (centred @ components.T) @ components, 0).astype(np.float32)


def _size(left: NDArray[np.float32], weights: NDArray[np.float32]) -> Array:
    """Log mean square, of the smoothed residual: noise of single pixels says little of the star."""
    smooth = gaussian_filter1d(left, LINE_PIXELS, axis=1, mode="constant")
    good = (weights > 0).sum(axis=1)
    square: Array = (smooth.astype(np.float64) ** 2).sum(axis=1) / good
    return np.asarray(np.log(np.maximum(square, 1e-12)))


def _variance(weights: NDArray[np.float32]) -> Array:
    """Log of the pixels' median variance, which `weights` = 1 / (1 + variance) hold."""
    middle = [np.median(row[row > 0]) if (row > 0).any() else 0.5 for row in weights]
    return np.log(np.maximum(1.0 / np.maximum(middle, 1e-6) - 1.0, 1e-6))


def fit_residuals(
    fit: Sample, held: Sample, wavelength: Sequence[float] | Array
) -> tuple[Residual, Residual] | None:
    """The parts for the whole spectrum and for lines; None where too few stars have a spectrum.

    Parameters
    ----------
    fit
        Stars that the components are of.
    held
        Others, whose residuals say how large these are.
    wavelength
        (P,) of the pixels.
    """
    if fit.pixels is None or fit.weights is None or held.pixels is None or held.weights is None:
        return None
    many = [(weights > 0).mean(axis=1) > 0.3 for weights in (fit.weights, held.weights)]
    if many[0].sum() < 4 * COMPONENTS or many[1].sum() < 40:
        return None
    rows, weights = fit.pixels[many[0]], fit.weights[many[0]]
    mean = np.asarray(rows.mean(axis=0), np.float32)
    components = _components(np.where(weights > 0, rows - mean, 0).astype(np.float32))
    rows, weights = held.pixels[many[1]], held.weights[many[1]]
    left = residuals(rows, weights, mean, components)
    spread = 1.4826 * np.median(np.abs(left), axis=0)
    scatter = np.asarray(np.maximum(spread, 0.3 * np.median(spread[spread > 0])), np.float32)
    noise = np.polyfit(_variance(weights), _size(left / scatter, weights), 2)
    grid = np.asarray(wavelength, dtype=np.float64)
    return (
        Residual(mean, components, scatter, noise, grid, lines=False),
        Residual(mean, components, scatter, noise, grid, lines=True),
    )


def _components(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(COMPONENTS, P) leading right singular vectors, by the smaller Gram matrix; twice, without outliers."""
    for _ in range(2):
        some = rows[:: max(1, len(rows) // 4096)]
        _, vectors = np.linalg.eigh((some @ some.T).astype(np.float64))
        found = vectors[:, -COMPONENTS:].T.astype(np.float32) @ some
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        misfit = ((rows - (rows @ found.T) @ found) ** 2).sum(axis=1)
        rows = rows[misfit <= np.quantile(misfit, 0.98)]
    return np.asarray(found, np.float32)
