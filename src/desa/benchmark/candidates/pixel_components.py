"""Principal components of the pixels that the spectrum encoder reads: what it must beat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import CANDIDATES, Embedding
from desa.benchmark.candidates.components import principal_components, spectrum_inputs
from desa.benchmark.inputs import REAL_SPECTRA, Inputs
from desa.benchmark.real_stars import RealCandidate, labelled_spectra
from desa.evaluation.crossvalidation import COMPONENTS, KERNEL


def pixels(inputs: Inputs) -> NDArray[np.float32]:
    """(N, P) of the stars' spectra, kept in the benchmark's folder."""
    return inputs.kept(
        "pixels", lambda: spectrum_inputs(inputs.spectrum_model, inputs.survey, inputs.stars.spectrum)
    )


class PixelComponents(RealCandidate):
    """Components of the pixels of all labelled stars, found without their labels."""

    def prepare(self, inputs: Inputs) -> None:
        """The pixels."""
        pixels(inputs)

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``joint``: (N, components)."""
        return {"joint": principal_components(pixels(inputs), labelled_spectra(inputs), COMPONENTS)}


class Pixels(RealCandidate):
    """The pixels themselves: what learns from them finds its components among the stars it is given."""

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``joint``: (N, pixels)."""
        return {"joint": pixels(inputs)}


CANDIDATES.add(
    PixelComponents(
        name="pixel_components",
        title=f"{COMPONENTS} components of the pixels",
        text="principal components of the preprocessed pixels, found without labels",
        order=107,
        group="control",
        track=REAL_SPECTRA,
    )
)
CANDIDATES.add(
    Pixels(
        name="pixel_kernel",
        title=f"{COMPONENTS} components, kernel ridge",
        text="components of the training stars' pixels, learnt from by kernel ridge regression",
        order=108,
        group="reference",
        track=REAL_SPECTRA,
        learner=KERNEL,
        also=("labelled_spectra",),
    )
)
