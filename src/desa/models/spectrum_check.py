"""Whether a spectrum is of the stars that a model's labels are right for, told without the model's encoder.

A head can't say that a star is hotter than all that it has learned from: it gives the nearest label that it
knows, with a narrow interval. Two questions are therefore asked of the pixels themselves. A linear fit on
principal components tells the temperature over the whole range of a survey's labels, also where the model has
none. And what the components leave over, measured by the noise, tells kinds of object that the survey lacks.
Both are calibrated on stars that the fit has not seen (cross-validation by star).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from desa.documents import Document, Facts
from desa.errors import ModelError
from desa.files import written_whole
from desa.models.storage import check_header, stored_facts

Array = NDArray[np.float64]

FILE = "spectrum_check.safetensors"
SQUARED = 10
"""Leading components whose products enter the temperature, beside all components."""

COOLEST_SCALE = 0.3
"""Least value of 10^4 K / T that is told: the fit knows nothing of hotter stars."""

LEAST_VARIANCE = 1e-3
"""Of a standardised pixel, added to its noise's: no fit is better than 3 % of a line's depth."""

ARRAYS = ("mean", "basis", "scale", "coefficients", "noise_fit", "leftovers")
Temperature = Annotated[float, Field(gt=0, lt=1e6)]


class CheckFacts(Document):
    """What the file says of itself; the fields are those of `SpectrumCheck`."""

    format: Literal[1]
    hottest: Temperature
    threshold: Temperature
    facts: Facts


@dataclass(frozen=True, eq=False)
class SpectrumCheck:
    """What a spectrum's pixels are compared with.

    Parameters
    ----------
    mean
        (P,) of the pixels as the encoder reads them.
    basis
        (K, P) principal components, each of length 1.
    scale
        (K,) spread of the stars along each.
    coefficients
        Of 10^4 K / T: a constant, the K components, and the products of the first `SQUARED` of them.
    noise_fit
        (3,) polynomial of the log of what is left over, in the log of the noise variance.
    leftovers
        (C,) ascending: what is left over of stars of the model's range that the components have not seen.
    hottest
        K; the model's labels end here.
    threshold
        K; a star is hotter than the model's if the fit says more.
    facts
        What it was made from.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    scale: NDArray[np.float32]
    coefficients: Array
    noise_fit: Array
    leftovers: Array
    hottest: float
    threshold: float
    facts: dict[str, Any]

    def temperature(self, pixels: NDArray[Any], weights: NDArray[Any]) -> Array:
        """(N, P) pixels and weights of `desa.preprocess.spectrum.SpectrumPixels` -> (N,) K."""
        share = terms(self._along(pixels, weights) / self.scale) @ self.coefficients
        return np.asarray(1e4 / np.maximum(share, COOLEST_SCALE))

    def leftover(self, pixels: NDArray[Any], weights: NDArray[Any]) -> Array:
        """(N,) log of what the components leave over, over that of other stars of the same noise."""
        raw, noise = self.raw_leftover(pixels, weights)
        return raw - np.polyval(self.noise_fit, noise)

    def p_value(self, leftover: Array) -> Array:
        """(N,) share of known stars of which as much or more is left over, never 0."""
        more = len(self.leftovers) - np.searchsorted(self.leftovers, leftover, side="left")
        return np.asarray((1.0 + more) / (1.0 + len(self.leftovers)))

    @property
    def least(self) -> float:
        """The smallest p-value there can be."""
        return 1.0 / (1.0 + len(self.leftovers))

    def raw_leftover(self, pixels: NDArray[Any], weights: NDArray[Any]) -> tuple[Array, Array]:
        """(N,) log mean square of what is left over, in units of the noise, and (N,) log noise variance."""
        good: NDArray[np.bool_] = np.asarray(weights > 0)
        left = np.where(good, pixels - self.mean - self._along(pixels, weights) @ self.basis, 0.0)
        variance = np.where(good, 1.0 / np.where(good, weights, 1.0) - 1.0, np.nan)
        square = np.where(good, left**2 / (np.nan_to_num(variance) + LEAST_VARIANCE), 0.0).sum(axis=1)
        none = ~good.any(axis=1, keepdims=True)
        noise = np.nanmedian(np.where(none, 1.0, variance), axis=1)
        return np.log(square / np.maximum(good.sum(axis=1), 1) + 1e-9), np.log(noise + 1e-4)

    def _along(self, pixels: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float32]:
        return places(pixels, weights, self.mean, self.basis)


def places(
    pixels: NDArray[Any], weights: NDArray[Any], mean: NDArray[np.float32], basis: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, K) places along components of (N, P) pixels; a bad pixel counts as the mean's."""
    return np.asarray(np.where(weights > 0, pixels - mean, 0.0) @ basis.T, dtype=np.float32)


def terms(along: NDArray[Any]) -> Array:
    """(N, K) places along the components -> the terms of the temperature's fit."""
    first = along[:, :SQUARED].astype(np.float64)
    rows, columns = np.triu_indices(first.shape[1])
    return np.hstack([np.ones((len(along), 1)), along, first[:, rows] * first[:, columns]])


def write_check(folder: str | Path, check: SpectrumCheck | None) -> None:
    """Write a check into a model's folder, whole; None: no file."""
    path = Path(folder) / FILE
    if check is None:
        path.unlink(missing_ok=True)
        return
    # The components are rounded when they are made (`desa.training.spectrum_check`): nothing changes here.
    arrays = {name: np.ascontiguousarray(getattr(check, name)) for name in ARRAYS}
    arrays["basis"] = arrays["basis"].astype(np.float16)
    facts = {"format": 1, "hottest": check.hottest, "threshold": check.threshold, "facts": check.facts}
    with written_whole(path) as scratch:
        save_file(arrays, scratch, metadata={"desa": json.dumps(facts, allow_nan=False)})
        scratch.chmod(0o644)


def read_check(folder: str | Path, pixels: int) -> SpectrumCheck | None:
    """The check in the folder of a model that reads so many pixels, None where there is none.

    Raises
    ------
    ModelError
        If it is damaged, or of another number of pixels.
    """
    path = Path(folder) / FILE
    if not os.path.lexists(path):
        return None
    try:
        check_header(path)
        with safe_open(path, framework="numpy") as stored:
            facts = stored_facts(stored.metadata(), CheckFacts)
            arrays = {name: stored.get_tensor(name) for name in ARRAYS}
        _check_arrays(arrays, pixels)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: damaged ({str(error)[:200]})") from None
    single = {name: arrays[name].astype(np.float32) for name in ("mean", "basis", "scale")}
    double = {name: arrays[name].astype(np.float64) for name in ("coefficients", "noise_fit", "leftovers")}
    return SpectrumCheck(
        **single, **double, hottest=facts.hottest, threshold=facts.threshold, facts=dict(facts.facts)
    )


def _check_arrays(arrays: dict[str, NDArray[Any]], pixels: int) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    count = shapes["basis"][0] if len(shapes["basis"]) == 2 else 0
    first = min(count, SQUARED)
    fits = count >= 1 and shapes == {
        "mean": (pixels,),
        "basis": (count, pixels),
        "scale": (count,),
        "coefficients": (1 + count + first * (first + 1) // 2,),
        "noise_fit": (3,),
        "leftovers": (arrays["leftovers"].size,),
    }
    if not fits or not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("its arrays do not go together, or not with the model's pixels")
    if not (arrays["scale"] > 0).all() or (np.diff(arrays["leftovers"]) < 0).any():
        raise ValueError("its arrays hold what they can't")
