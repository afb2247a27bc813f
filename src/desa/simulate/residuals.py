"""What real LAMOST spectra have and the model lacks, measured: an empirical correction of mock spectra.

`scripts/build_spectral_residuals.py` divides real DR10 spectra by the emulator's at their catalogue labels
and keeps three small things: the mean log ratio in the star's rest frame as a function of Teff, log g and
[Fe/H] (missing lines, line strengths beyond LTE, interstellar Na I); the mean log ratio in the observer's
frame (tellurics, flat field); and the principal directions in which real spectra scatter about both more
than mock ones do, by Teff.

It is a correction towards what LAMOST observes and labels (LASP), not physics; without it a mock spectrum is
the model's. It knows FGK and A stars: beyond 4600-8000 K, log g 1.5-4.8 and [Fe/H] -2 to 0.5 its value at
the edge holds, and it fades out from 4600 to 4000 K.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from desa.io.lamost import LAMOST_PIXELS

FloatArray = NDArray[np.float64]

LOWEST: Final = (4600.0, 1.5, -2.0)
HIGHEST: Final = (8000.0, 4.8, 0.5)
FADED: Final = 4000.0
TEFF_OF_SCORES: Final = (4700.0, 7900.0)
TEFF_WIDTH: Final = 0.04
SNR_OF_SCORES: Final = (25.0, 250.0)
SNR_WIDTH: Final = 0.3
"""Scatter is taken from stars whose ln Teff and ln S/N_g differ by about these."""


def label_terms(teff: ArrayLike, log_g: ArrayLike, fe_h: ArrayLike) -> FloatArray:
    """Regressors (B, 10) of the rest-frame correction."""
    labels = np.column_stack([np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (teff, log_g, fe_h)])
    labels = np.clip(labels, LOWEST, HIGHEST)
    t, g, m = (5040.0 / labels[:, 0] - 0.84) / 0.1, labels[:, 1] - 4.0, labels[:, 2] + 0.25
    return np.stack([np.ones_like(t), t, t**2, t**3, g, m, t * g, t * m, g * g, m * m], axis=1)


class SpectralResiduals:
    """The correction, as log factors on LAMOST's pixels.

    Parameters
    ----------
    arrays
        An opened npz file (or mapping) as the script writes it.
    """

    def __init__(self, arrays: Any) -> None:
        self._rest = arrays["rest"].astype(np.float64)
        self._observed: FloatArray = arrays["observed"].astype(np.float64)
        self._directions = arrays["directions"].astype(np.float32)
        self._sky_directions = arrays["sky_directions"].astype(np.float32)
        self._scores = arrays["scores"].astype(np.float32)
        self._log_teff = np.log(arrays["score_teff"].astype(np.float64))
        self._log_snr = np.log(arrays["score_snr"].astype(np.float64))

    def rest(self, teff: float, log_g: float, fe_h: float) -> FloatArray:
        """(3909,) mean log ratio of real to model flux in the star's rest frame."""
        fade = float(np.clip((teff - FADED) / (LOWEST[0] - FADED), 0.0, 1.0))
        return np.asarray(fade * (label_terms(teff, log_g, fe_h)[0] @ self._rest))

    @property
    def observed(self) -> FloatArray:
        """(3909,) mean log ratio in the observer's frame."""
        return self._observed

    def scatter(self, teff: float, snr_g: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Scatter of real spectra about the mean beyond what the mock effects make: one draw.

        Two real stars of like Teff and S/N_g are drawn, one leading, and their coefficients blended, so that
        the scatter keeps its tails and what it depends on, and no star is repeated.

        Returns
        -------
        tuple
            (3909,) log factor in the star's rest frame, and another in the observer's (sky, tellurics).
        """
        if not len(self._scores):
            return np.zeros(LAMOST_PIXELS), np.zeros(LAMOST_PIXELS)
        teff, snr_g = np.clip(teff, *TEFF_OF_SCORES), np.clip(snr_g, *SNR_OF_SCORES)
        square = ((np.log(teff) - self._log_teff) / TEFF_WIDTH) ** 2
        square += ((np.log(snr_g) - self._log_snr) / SNR_WIDTH) ** 2
        near = np.cumsum(np.exp(-0.5 * square) + 1e-9)
        one, other = np.searchsorted(near, rng.random(2) * near[-1])
        angle = rng.uniform(0.0, 0.25 * np.pi) * rng.choice([-1.0, 1.0])
        draw = np.cos(angle) * self._scores[one] + np.sin(angle) * self._scores[other]
        n = len(self._directions)
        rest, observed = draw[:n] @ self._directions, draw[n:] @ self._sky_directions
        return np.asarray(rest, dtype=np.float64), np.asarray(observed, dtype=np.float64)

    @classmethod
    def none(cls) -> SpectralResiduals:
        """No correction."""
        return cls.of_means(np.zeros((10, LAMOST_PIXELS)), np.zeros(LAMOST_PIXELS))

    @classmethod
    def of_means(cls, rest: FloatArray, observed: FloatArray) -> SpectralResiduals:
        """The mean corrections (10, 3909) and (3909,) alone, without scatter."""
        empty: FloatArray = np.zeros((0, LAMOST_PIXELS))
        nothing = dict.fromkeys(("directions", "sky_directions", "scores"), empty)
        nothing.update(score_teff=np.zeros(0), score_snr=np.zeros(0))
        return cls({"rest": rest, "observed": observed, **nothing})


@cache
def load_residuals() -> SpectralResiduals:
    """The correction shipped with desa (read once a process)."""
    path = resources.files("desa.simulate") / "data" / "spectral_residuals.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
        return SpectralResiduals(dict(arrays))
