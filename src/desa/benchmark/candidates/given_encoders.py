"""The encoders of a given model on real stars, the same with random weights, and what their own heads say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from desa.benchmark.base import CANDIDATES, Embedding
from desa.benchmark.candidates.untrained import untrained
from desa.benchmark.inputs import REAL_LIGHTCURVES, REAL_SPECTRA, Inputs
from desa.benchmark.real_stars import SAID, RealCandidate
from desa.inference.encode import lightcurve_features, spectrum_features
from desa.inference.estimate import encoder_estimates


@dataclass(frozen=True, eq=False, kw_only=True)
class GivenEncoder(RealCandidate):
    """Features of an encoder.

    Parameters
    ----------
    weights
        The given model's, or random ones.
    """

    weights: Literal["given", "random"] = "given"

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``joint``: (N, F)."""
        spectra = self.track == REAL_SPECTRA
        if self.weights == "given":
            rows = inputs.spectrum if spectra else inputs.lightcurve
        else:
            given = inputs.spectrum_model if spectra else inputs.lightcurve_model
            encode = spectrum_features if spectra else lightcurve_features
            rows = encode(untrained(given, given.settings.seed + 1), inputs.survey)
        return {"joint": rows[inputs.stars.spectrum if spectra else inputs.stars.lightcurve]}


class OwnHead(RealCandidate):
    """Medians of the head that came with the encoder: it saw no real label."""

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """``said/<label>``: (N, 1); of the light curves' labels the rotation period in days."""
        if self.track == REAL_SPECTRA:
            found = encoder_estimates(inputs.spectrum_model, {"spectrum": inputs.star_spectrum})
        else:
            found = encoder_estimates(inputs.lightcurve_model, {"lightcurve": inputs.star_lightcurve})
        return {SAID + each.label: each.median[:, None].astype(np.float32) for each in found}


for _track, _part in ((REAL_SPECTRA, "spectrum"), (REAL_LIGHTCURVES, "lightcurve")):
    _words = {"spectrum": "spectrum encoder", "lightcurve": "light-curve encoder"}[_part]
    CANDIDATES.add(
        GivenEncoder(
            name=f"{_part}_encoder",
            title=_words,
            text="features of the model that is asked about",
            order=100,
            track=_track,
            core=True,
        )
    )
    CANDIDATES.add(
        GivenEncoder(
            name=f"untrained_{_part}",
            title="untrained encoder",
            text="the same architecture with random weights",
            order=101,
            group="control",
            track=_track,
            weights="random",
        )
    )
    CANDIDATES.add(
        OwnHead(
            name=f"{_part}_head",
            title="own head, no real label",
            text=f"medians of the head of the {_words}",
            order=102,
            group="reference",
            track=_track,
            also=("few_real_labels", "numbers_of_lightcurve"),
        )
    )
