"""How unlike the training stars a star is: distance to its neighbours among them, as a conformal p-value.

An encoder's features are whitened by the shrunk covariance of the training split (Ledoit & Wolf 2004), and
the distance to the fifth nearest of some training stars is compared with the same distance of the calibration
split's stars, which the encoder has not learned from: the p-value is the share of these that are as far or
farther (Bates et al. 2023, Ann. Statist. 51, 149). One star in a hundred has a p-value below 0.01 by chance.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from desa.documents import Document, Facts
from desa.errors import ModelError
from desa.files import written_whole
from desa.models.storage import check_header, stored_facts

FILE = "reference.safetensors"
NEIGHBOURS = 5
MOST_POINTS = 2048
"""Training stars that are kept for comparison, drawn at random."""

ROWS_AT_ONCE = 1024
"""Stars that are compared at once: 8 MB of distances."""

MOST_AXES = 128
"""Leading axes of the features' covariance that count."""

LEAST_TRAINING, LEAST_CALIBRATION = 20, 20
"""With fewer stars there is no reference."""

ARRAYS = ("mean", "whitening", "points", "distances")
Array = NDArray[np.float32]


class ReferenceFacts(Document):
    """What the file of references says of each encoder's."""

    spectrum: Facts | None = None
    lightcurve: Facts | None = None

    def parts(self) -> dict[str, Facts]:
        """The encoders that have one."""
        both = {"spectrum": self.spectrum, "lightcurve": self.lightcurve}
        return {part: about for part, about in both.items() if about is not None}


@dataclass(frozen=True, eq=False)
class Reference:
    """What a star's features are compared with.

    Parameters
    ----------
    mean
        (D,) of the training split.
    whitening
        (D, M) to coordinates of unit variance.
    points
        (P, M) training stars in those coordinates.
    distances
        (C,) ascending: distance of each calibration star to its fifth neighbour among `points`.
    facts
        What the stars are: ``data``, numbers of them.
    """

    mean: Array
    whitening: Array
    points: NDArray[np.float16]
    distances: Array
    facts: dict[str, Any]

    def distance(self, features: NDArray[Any]) -> Array:
        """(N, D) features -> (N,) distance to the fifth nearest training star."""
        rows, there = np.asarray(features, dtype=np.float32), self.points.astype(np.float32)
        own, found = (there**2).sum(1), np.empty(len(rows), np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            here = (rows[part] - self.mean) @ self.whitening
            square = (here**2).sum(1)[:, None] + own[None] - 2 * here @ there.T
            nearest = np.partition(square, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
            found[part] = np.sqrt(np.maximum(nearest, 0))
        return found

    def p_value(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """(N, D) features -> (N,) share of calibration stars that are as far or farther, never 0.

        NaN where the features are not finite.
        """
        values = np.asarray(features, dtype=np.float32)
        known = np.asarray(np.isfinite(values).all(axis=1))
        distance = self.distance(np.where(known[:, None], values, 0))
        farther = len(self.distances) - np.searchsorted(self.distances, distance, side="left")
        return np.where(known, (1.0 + farther) / (1.0 + len(self.distances)), np.nan)

    @property
    def least(self) -> float:
        """The smallest p-value there can be: 1 / (calibration stars + 1)."""
        return 1.0 / (1.0 + len(self.distances))


def fit_reference(
    training: NDArray[Any], calibration: NDArray[Any], *, seed: int = 0, **facts: Any
) -> Reference | None:
    """Make a reference.

    Parameters
    ----------
    training, calibration
        (N, D) and (C, D) features of stars of the two splits.
    seed
        Of the choice of the stars that are kept.
    **facts
        Kept with it, JSON-ready.

    Returns
    -------
    Reference or None
        None where there are too few stars.
    """
    from sklearn.covariance import ledoit_wolf  # slow to import, and not needed to use a model

    training, calibration = (
        rows[np.isfinite(rows).all(axis=1)].astype(np.float64) for rows in (training, calibration)
    )
    if len(training) < LEAST_TRAINING or len(calibration) < LEAST_CALIBRATION:
        return None
    mean = training.mean(axis=0)
    values, vectors = np.linalg.eigh(ledoit_wolf(training)[0])
    kept = np.argsort(values)[::-1][:MOST_AXES]
    kept = kept[values[kept] > 1e-12 * max(values.max(), 1e-30)]
    if not len(kept):
        return None
    whitening = vectors[:, kept] / np.sqrt(values[kept])
    chosen = np.random.default_rng(seed).permutation(len(training))[:MOST_POINTS]
    points = (training[np.sort(chosen)] - mean) @ whitening
    bare = Reference(
        mean.astype(np.float32),
        whitening.astype(np.float32),
        np.clip(points, -6e4, 6e4).astype(np.float16),
        np.zeros(0, np.float32),
        {**facts, "training": len(training), "calibration": len(calibration)},
    )
    distances = np.sort(bare.distance(calibration))
    return Reference(bare.mean, bare.whitening, bare.points, distances, bare.facts)


def write_references(folder: str | Path, references: dict[str, Reference]) -> None:
    """Write the references of a model's encoders into its folder; none: no file."""
    path = Path(folder) / FILE
    if not references:
        path.unlink(missing_ok=True)
        return
    arrays = {
        f"{part}.{name}": np.ascontiguousarray(getattr(one, name))
        for part, one in references.items()
        for name in ARRAYS
    }
    facts = {part: one.facts for part, one in references.items()}
    with written_whole(path) as scratch:
        save_file(arrays, scratch, metadata={"desa": json.dumps(facts)})
        scratch.chmod(0o644)


def _checked(arrays: Mapping[str, NDArray[Any]], facts: Facts) -> Reference:
    """A reference whose arrays go together."""
    size = {name: arrays[name].shape for name in ARRAYS}
    axes = size["whitening"][-1:]
    fits = (
        size["whitening"] == (*size["mean"], *axes)
        and len(size["points"]) == 2
        and size["points"][1:] == axes
        and size["points"][0] >= NEIGHBOURS
        and len(size["distances"]) == 1
    )
    if not fits or not all(np.isfinite(arrays[name]).all() for name in ARRAYS):
        raise ValueError("its arrays do not go together")
    return Reference(
        arrays["mean"].astype(np.float32),
        arrays["whitening"].astype(np.float32),
        arrays["points"].astype(np.float16),
        arrays["distances"].astype(np.float32),
        dict(facts),
    )


def read_references(folder: str | Path) -> dict[str, Reference]:
    """The references in a model's folder, by part (``"spectrum"``, ``"lightcurve"``); empty without any.

    Raises
    ------
    ModelError
        If the file is damaged.
    """
    path = Path(folder) / FILE
    if not os.path.lexists(path):
        return {}
    try:
        check_header(path)
        with safe_open(path, framework="numpy") as stored:
            facts = stored_facts(stored.metadata(), ReferenceFacts)
            return {
                part: _checked({name: stored.get_tensor(f"{part}.{name}") for name in ARRAYS}, about)
                for part, about in facts.parts().items()
            }
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: damaged ({error})") from None
