"""Principal components of the pixels that the spectrum encoder reads: what it must beat."""

from __future__ import annotations

from pathlib import Path

from desa.benchmark.base import CANDIDATES, Embedding
from desa.benchmark.candidates.components import principal_components, spectrum_inputs
from desa.benchmark.inputs import REAL_SPECTRA, Inputs
from desa.benchmark.real_stars import RealCandidate, labelled_spectra
from desa.evaluation.crossvalidation import KERNEL

COMPONENTS = 60


class PixelComponents(RealCandidate):
    """Components of the pixels of all labelled stars, found without their labels."""

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``joint``: (N, components)."""
        pixels = spectrum_inputs(inputs.spectrum_model, inputs.survey, inputs.stars.spectrum)
        return {"joint": principal_components(pixels, labelled_spectra(inputs), COMPONENTS)}


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
    PixelComponents(
        name="pixel_kernel",
        title=f"{COMPONENTS} components, kernel ridge",
        text="the same components, learnt from by kernel ridge regression",
        order=108,
        group="reference",
        track=REAL_SPECTRA,
        learner=KERNEL,
        also=("labelled_spectra",),
    )
)
