"""In what ways a star can be odd: far from all others, of modalities that disagree, of an unusual spectrum.

Each part is fitted on some stars and gives any star a number, larger for odder ones, NaN where the star lacks
what the part looks at. What a number means is left to a comparison with stars that the part was not fitted
on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from desa.models.reference import LEAST_CALIBRATION, Reference, fit_reference

Array = NDArray[np.float64]

MOST_AXES = 24
"""Leading axes of each modality's features between which correlations are sought."""

NEIGHBOURS = 20
"""Of the local outlier factor, as its authors advise."""

MOST_STARS = 8192
"""Ordinary stars that the local outlier factor compares with."""

WORDS = {
    "joint": "the star as a whole is unlike others",
    "features_spectrum": "its spectrum is unlike those of other stars",
    "features_lightcurve": "its light curve is unlike those of other stars",
}

COMPONENTS = 25
"""Principal components that an ordinary spectrum is made of."""

LINE_PIXELS = 3.0
"""Sigma of the profile that a line is sought with: 3 pixels of 1e-4 dex are 210 km/s."""


@dataclass(frozen=True)
class Sample:
    """Stars as the parts look at them.

    Parameters
    ----------
    vectors
        Column of embeddings -> (N, D), rows of NaN where missing.
    pixels, weights
        (N, P) rest-frame pixels of the spectra as the encoder reads them, with their weights; None without.
    """

    vectors: dict[str, NDArray[np.float32]]
    pixels: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None

    def where(self, rows: NDArray[Any]) -> Sample:
        """Some of them, by truth or by place."""
        return Sample(
            {name: values[rows] for name, values in self.vectors.items()},
            None if self.pixels is None else self.pixels[rows],
            None if self.weights is None else self.weights[rows],
        )


class Oddity(Protocol):
    """A way to be odd."""

    def score(self, sample: Sample) -> tuple[Array, list[str]]:
        """(N,) numbers, larger is odder, NaN where nothing can be said; and what is odd, in words."""
        ...


@dataclass(frozen=True)
class Density:
    """Distance to the fifth nearest ordinary star, in whitened coordinates."""

    column: str
    reference: Reference

    def score(self, sample: Sample) -> tuple[Array, list[str]]:
        """Log distance."""
        values = sample.vectors[self.column]
        known = np.isfinite(values).all(axis=1)
        found = np.full(len(values), np.nan)
        if known.any():
            found[known] = np.log(np.maximum(self.reference.distance(values[known]), 1e-9))
        return found, [WORDS[self.column]] * len(values)


@dataclass(frozen=True)
class LocalDensity:
    """Local outlier factor (Breunig et al. 2000, Proc. ACM SIGMOD, 93), in standardised coordinates.

    Parameters
    ----------
    column
        Of vectors.
    mean, spread
        (D,) of ordinary stars.
    factor
        scikit-learn's, fitted on ordinary stars.
    """

    column: str
    mean: Array
    spread: Array
    factor: Any

    def score(self, sample: Sample) -> tuple[Array, list[str]]:
        """Log of the factor."""
        values = sample.vectors[self.column]
        known = np.isfinite(values).all(axis=1)
        found = np.full(len(values), np.nan)
        if known.any():
            found[known] = np.log(-self.factor.score_samples((values[known] - self.mean) / self.spread))
        return found, [WORDS[self.column]] * len(values)


def fit_local_density(column: str, fit: Sample, held: Sample) -> LocalDensity | None:
    """The part for one column of vectors; None where too few stars have it."""
    from sklearn.neighbors import LocalOutlierFactor  # slow to import

    if column not in fit.vectors:
        return None
    rows, others = (
        part.vectors[column][np.isfinite(part.vectors[column]).all(axis=1)] for part in (fit, held)
    )
    if len(rows) < 5 * NEIGHBOURS or len(others) < LEAST_CALIBRATION:
        return None
    most = min(len(rows), MOST_STARS)
    rows = rows[np.arange(most) * len(rows) // most].astype(np.float64)
    mean, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    factor = LocalOutlierFactor(n_neighbors=NEIGHBOURS, novelty=True).fit((rows - mean) / spread)
    return LocalDensity(column, mean, spread, factor)


def fit_density(column: str, fit: Sample, held: Sample) -> Density | None:
    """The part for one column of vectors; None where too few stars have it."""
    if column not in fit.vectors:
        return None
    reference = fit_reference(fit.vectors[column], held.vectors[column])
    return None if reference is None else Density(column, reference)


@dataclass(frozen=True)
class _Axes:
    """Whitened leading axes of features, with products of the first ones."""

    mean: Array
    whitening: Array
    scale: Array

    def of(self, rows: NDArray[Any]) -> Array:
        x = (np.asarray(rows, dtype=np.float64) - self.mean) @ self.whitening
        first = np.clip(x[:, :6], -4, 4)
        pairs = [first[:, i] * first[:, j] for i in range(first.shape[1]) for j in range(i + 1)]
        return np.asarray(np.hstack([x, (np.stack(pairs, axis=1) - self.scale[0]) / self.scale[1]]))


def _axes(rows: NDArray[Any]) -> _Axes:
    x = np.asarray(rows, dtype=np.float64)
    mean = x.mean(axis=0)
    _, sizes, vectors = np.linalg.svd(x - mean, full_matrices=False)
    spread = sizes / np.sqrt(len(x))
    kept = np.flatnonzero(spread > 1e-4 * spread[0])[:MOST_AXES]
    bare = _Axes(mean, vectors[kept].T / spread[kept], np.array([[0.0], [1.0]]))
    products = bare.of(x)[:, len(kept) :]
    deviation = np.maximum(products.std(axis=0), 1e-6)
    return _Axes(mean, bare.whitening, np.stack([products.mean(axis=0), deviation]))


@dataclass(frozen=True)
class Disagreement:
    """How much less likely a light curve and a spectrum are together than apart.

    Canonical correlations r of both modalities' features (Hotelling 1936, Biometrika 28, 321), with products
    of the leading axes; for Gaussian pairs (u, v) the score is minus the pointwise mutual information, the
    sum of log(1 - r^2) / 2 + (r^2 (u^2 + v^2) - 2 r u v) / (2 (1 - r^2)). Correlations are taken from stars
    that the axes were not fitted on.
    """

    axes: tuple[_Axes, _Axes]
    turn: tuple[Array, Array]
    moments: Array
    correlation: Array

    def score(self, sample: Sample) -> tuple[Array, list[str]]:
        """Minus the pointwise mutual information, in nats."""
        pair = [sample.vectors[f"features_{name}"] for name in ("spectrum", "lightcurve")]
        known = _whole(*pair)
        found = np.full(len(known), np.nan)
        words = [""] * len(known)
        if known.any():
            u, v = self.canonical(pair[0][known], pair[1][known])
            r = self.correlation
            terms = 0.5 * np.log(1 - r**2) + (r**2 * (u**2 + v**2) - 2 * r * u * v) / (2 * (1 - r**2))
            found[known] = terms.sum(axis=1)
            apart = (np.abs(u - v) / np.sqrt(2 * (1 - r))).max(axis=1)
            for row, sigma in zip(np.flatnonzero(known), apart, strict=True):
                words[row] = f"light curve and spectrum do not go together ({sigma:.1f} sigma apart)"
        return found, words

    def canonical(self, spectrum: NDArray[Any], lightcurve: NDArray[Any]) -> tuple[Array, Array]:
        """(N, C) canonical variates of both, standardised and cut at 5."""
        parts = [
            axes.of(rows) @ turn
            for axes, turn, rows in zip(self.axes, self.turn, (spectrum, lightcurve), strict=True)
        ]
        u, v = ((x - m[0]) / m[1] for x, m in zip(parts, self.moments, strict=True))
        return np.clip(u, -5, 5), np.clip(v, -5, 5)


def fit_disagreement(fit: Sample, held: Sample, ridge: float = 0.1) -> Disagreement | None:
    """The part for both modalities; None where too few stars have both, or nothing is common to them."""
    names = ("features_spectrum", "features_lightcurve")
    if not set(names) <= set(fit.vectors):
        return None
    pairs = []
    for sample in (fit, held):
        both = [sample.vectors[name] for name in names]
        pairs.append([rows[_whole(*both)] for rows in both])
    if len(pairs[0][0]) < 100 or len(pairs[1][0]) < 40:
        return None
    axes = _axes(pairs[0][0]), _axes(pairs[0][1])
    x, y = (one.of(rows) for one, rows in zip(axes, pairs[0], strict=True))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    roots = [_inverse_root(z.T @ z / len(z), ridge) for z in (x, y)]
    left, _, right = np.linalg.svd(roots[0] @ (x.T @ y / len(x)) @ roots[1])
    size = min(left.shape[1], right.shape[0], 12)
    turn = roots[0] @ left[:, :size], roots[1] @ right[:size].T
    held_pair = [one.of(rows) @ t for one, rows, t in zip(axes, pairs[1], turn, strict=True)]
    moments = np.array([[z.mean(axis=0), np.maximum(z.std(axis=0), 1e-9)] for z in held_pair])
    u, v = ((z - m[0]) / m[1] for z, m in zip(held_pair, moments, strict=True))
    correlation = (np.clip(u, -5, 5) * np.clip(v, -5, 5)).mean(axis=0)
    kept = np.flatnonzero(correlation > 2.5 / np.sqrt(len(u)))
    if not len(kept):
        return None
    kept = kept[np.argsort(-correlation[kept])]
    return Disagreement(
        axes,
        (turn[0][:, kept], turn[1][:, kept]),
        moments[:, :, kept],
        np.minimum(correlation[kept], 0.98),
    )


def _whole(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) where both rows are finite."""
    return np.asarray(np.isfinite(np.hstack([first, second])).all(axis=1), dtype=np.bool_)


def _inverse_root(matrix: Array, ridge: float) -> Array:
    values, vectors = np.linalg.eigh(matrix + ridge * np.eye(len(matrix)))
    return np.asarray(vectors / np.sqrt(values) @ vectors.T)
