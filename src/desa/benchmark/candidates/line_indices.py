"""Depths of lines beside their own continuum, as Lick indices are (Worthey et al. 1994)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import CANDIDATES, Embedding
from desa.benchmark.inputs import REAL_SPECTRA, Inputs
from desa.benchmark.real_stars import RealCandidate
from desa.evaluation.crossvalidation import TREES
from desa.types import Spectrum

Array = NDArray[np.float64]

LINES: dict[str, tuple[float, float]] = {
    "H delta": (4102.9, 12.0),
    "Ca I 4227": (4227.9, 8.0),
    "CH 4300": (4303.0, 16.0),
    "H gamma": (4341.7, 12.0),
    "Fe I 4384": (4384.8, 8.0),
    "Fe I 4532": (4532.4, 20.0),
    "Fe II 4924": (4925.3, 8.0),
    "H beta": (4862.7, 12.0),
    "Fe I 5015": (5015.0, 25.0),
    "Mg b": (5176.4, 16.0),
    "Fe I 5270": (5271.5, 16.0),
    "Fe I 5335": (5331.0, 16.0),
    "Fe I 5406": (5407.0, 10.0),
    "Na D": (5894.6, 10.0),
    "Ca I 6162": (6163.9, 8.0),
    "H alpha": (6564.6, 12.0),
    "TiO 7055": (7090.0, 30.0),
    "Na I 8190": (8191.0, 12.0),
    "Ca II 8498": (8500.4, 6.0),
    "Ca II 8542": (8544.4, 8.0),
    "Ca II 8662": (8664.5, 8.0),
    "Ca K": (3934.8, 8.0),
    "Ca H": (3969.6, 8.0),
}
"""Line -> centre in vacuum and half-width, Angstrom."""


def line_indices(spectra: Sequence[Spectrum]) -> Array:
    """(N, lines) depth of each line: 1 - mean flux in it over the mean flux on both its sides.

    Parameters
    ----------
    spectra
        As observed; lines are looked for at each one's own redshift.

    Returns
    -------
    Array
        A line without good pixels has the median depth of the others' spectra.
    """
    depths = np.clip([_depths(spectrum) for spectrum in spectra], -1.0, 1.5)
    middle = np.nan_to_num(np.nanmedian(depths, axis=0))
    return np.asarray(np.where(np.isfinite(depths), depths, middle))


def _depths(spectrum: Spectrum) -> list[float]:
    wave = spectrum.wavelength / (1.0 + float(np.nan_to_num(spectrum.z)))
    found = []
    for centre, half in LINES.values():
        distance = np.abs(wave - centre)
        beside = (distance > 1.5 * half) & (distance <= 3.5 * half)
        means = (_mean(spectrum, place) for place in (distance <= half, beside))
        found.append(1.0 - next(means) / next(means))
    return found


def _mean(spectrum: Spectrum, place: NDArray[np.bool_]) -> float:
    """Mean of the good pixels of a place, NaN with fewer than 3 or where it is not positive."""
    flux = spectrum.flux[place & spectrum.valid]
    mean = float(flux.mean(dtype=np.float64)) if len(flux) >= 3 else math.nan
    return mean if mean > 0 else math.nan


class LineIndices(RealCandidate):
    """Depths of the lines of every spectrum."""

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``joint``: (N, lines)."""
        rows = inputs.stars.spectrum.tolist()
        return {"joint": line_indices([inputs.survey.spectrum(row) for row in rows]).astype(np.float32)}


CANDIDATES.add(
    LineIndices(
        name="line_indices",
        title="line indices",
        text=f"depths of {len(LINES)} lines beside their own continuum",
        order=105,
        group="control",
        track=REAL_SPECTRA,
    )
)
CANDIDATES.add(
    LineIndices(
        name="line_trees",
        title="line indices, boosted trees",
        text="the same depths, learnt from by boosted trees",
        order=106,
        group="control",
        track=REAL_SPECTRA,
        learner=TREES,
    )
)
