"""How LAMOST's noise, bad pixels and file lengths vary: numbers measured on real DR10 spectra.

The numbers are in `data/lamost_instrument.npz`, made by `scripts/build_lamost_instrument.py`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START, LAMOST_LOG_WAVELENGTH_STEP, LAMOST_PIXELS

FloatArray = NDArray[np.float64]

WAVE: Final[FloatArray] = np.power(
    10.0, LAMOST_LOG_WAVELENGTH_START + LAMOST_LOG_WAVELENGTH_STEP * np.arange(LAMOST_PIXELS)
)
"""(3909,) LAMOST's pixels in vacuum Angstrom."""

ARM_JOIN: Final = 5900.0
"""Angstrom; bluer bad pixels belong to the blue arm."""

BACKGROUND_AT_SNR_1: Final = 30.0
"""Sky and read noise over the star's own variance is about this over S/N_g (a factor of two either way)."""

BANDS: Final = {
    "u": (3700.0, 3900.0, 1.14),
    "g": (4000.0, 5500.0, 1.03),
    "r": (5600.0, 6900.0, 1.02),
    "i": (7000.0, 8200.0, 0.985),
    "z": (8400.0, 9100.0, 0.945),
}
"""Edges [Angstrom], and the median S/N a pixel in them over the file's SNRU..SNRZ (medians of 140 files)."""


class Instrument:
    """Random draws of what one LAMOST observation does to a spectrum.

    Parameters
    ----------
    arrays
        An opened npz file (or mapping) as `scripts/build_lamost_instrument.py` writes it.
    """

    def __init__(self, arrays: Any) -> None:
        self._trend = arrays["response_trend"].astype(np.float64)
        self._vectors = arrays["response_vectors"].astype(np.float64)
        self._scores = arrays["response_scores"].astype(np.float64)
        self._log_snr = arrays["response_log_snr"].astype(np.float64)
        self._scatter = arrays["response_scatter"].astype(np.float64)
        self._runs = arrays["bad_runs"].astype(np.int64)
        self._places = arrays["bad_run_places"].astype(np.float64)
        self._lengths = arrays["bad_run_lengths"].astype(np.float64)
        self._pixels = arrays["pixel_counts"].astype(np.int64)
        self._pixel_shares = arrays["pixel_count_shares"].astype(np.float64)

    def response(self, snr_g: float, rng: np.random.Generator) -> FloatArray:
        """(3909,) S/N squared per unit of photon rate: throughput of both arms, sky lines, fibre, night.

        A blend of two real observations of like S/N_g, so that none is repeated.
        """
        log_snr = float(np.clip(np.log10(max(snr_g, 1.0)), 1.0, 2.5))
        near = np.exp(-0.5 * ((self._log_snr - log_snr) / 0.15) ** 2) + 1e-6
        one, other = rng.choice(len(near), size=2, p=near / near.sum())
        angle = rng.uniform(0.0, 0.25 * np.pi)
        draw = np.cos(angle) * self._scores[one] + np.sin(angle) * self._scores[other]
        fine = self._scatter * np.clip(rng.standard_normal(LAMOST_PIXELS), -2.5, 2.5)
        mean = self._trend[0] + self._trend[1] * (log_snr - 1.7)
        return np.asarray(np.exp(mean + draw @ self._vectors + fine))

    def bad_pixels(self, rng: np.random.Generator) -> list[slice]:
        """Runs of pixels without a good measurement: cosmic rays, bad columns, as many as in a real file."""
        blue, red = self._runs[rng.integers(len(self._runs))]
        edge = int(np.searchsorted(WAVE, ARM_JOIN))
        in_blue = _draw_places(self._places[:edge], blue, rng)
        in_red = _draw_places(self._places[edge:], red, rng) + edge
        starts = np.concatenate([in_blue, in_red])
        lengths = rng.choice(self._lengths, size=len(starts)).astype(np.int64)
        return [slice(int(s), int(s + n)) for s, n in zip(starts, lengths, strict=True)]

    def pixel_count(self, rng: np.random.Generator) -> int:
        """How many pixels the file has: 3909 in four of five, else cut at the red end."""
        return int(rng.choice(self._pixels, p=self._pixel_shares / self._pixel_shares.sum()))


def _draw_places(density: FloatArray, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """`count` pixels drawn by an unnormalised density."""
    total = np.cumsum(density)
    return np.asarray(np.searchsorted(total, rng.random(count) * total[-1]), dtype=np.intp)


@cache
def load_instrument() -> Instrument:
    """The instrument shipped with desa (read once a process)."""
    path = resources.files("desa.simulate") / "data" / "lamost_instrument.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
        return Instrument(dict(arrays))
