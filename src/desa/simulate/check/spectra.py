"""How hard mock spectra are to tell from real LAMOST ones.

Every real spectrum of DR10 with labels gets a mock twin (`desa.simulate.check.spectrum_sample`). Both go
through the same preprocessing, and classifiers learn to tell them apart, a pair always on the same side of
the cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from desa.config import SpectrumPreprocessing
from desa.preprocess.grids import rest_wavelength
from desa.simulate.check.judge import SPECTRUM_KINDS, Verdict, judged
from desa.simulate.check.spectrum_sample import (
    BANDS,
    SpectrumSample,
    local_noise,
    preprocessed,
    read_real,
    subset,
    twin,
    twins,
)
from desa.simulate.instrument import WAVE
from desa.types import Spectrum


def discriminate(
    real: NDArray[np.float32], mock: NDArray[np.float32], kinds: tuple[str, ...] = SPECTRUM_KINDS
) -> dict[str, Verdict]:
    """AUC and its error by classifier (see `judged`), for paired real and mock pixels (N, P)."""
    features = np.concatenate([real, mock]).astype(np.float64)
    is_mock = np.repeat([False, True], len(real))
    pair = np.tile(np.arange(len(real)), 2)
    return {kind: judged(features, is_mock, pair, kind)[0] for kind in kinds}


def compare_statistics(real: SpectrumSample, mock: SpectrumSample) -> dict[str, float]:
    """Numbers that should be alike: quantiles over the samples, real and mock side by side.

    Returns
    -------
    dict
        ``"<what> real"`` and ``"<what> mock"`` for the share of bad pixels (mean and 95th percentile), the
        median and spread of ln(S/N band / S/N g), and the median noise a pixel over flux at 4500, 6500 and
        8500 Angstrom.
    """
    numbers: dict[str, float] = {}
    for name, sample in (("real", real), ("mock", mock)):
        bad = 1.0 - sample.good.mean(axis=1)
        numbers[f"bad pixels, mean {name}"] = float(bad.mean())
        numbers[f"bad pixels, 95th percentile {name}"] = float(np.percentile(bad, 95))
        for k, band in enumerate(BANDS):
            if band != "g":
                ratio = np.log(sample.snr[:, k] / sample.snr[:, 1])
                ratio = ratio[np.isfinite(ratio)]
                numbers[f"ln S/N {band} over g, median {name}"] = float(np.median(ratio))
                numbers[f"ln S/N {band} over g, spread {name}"] = float(np.std(ratio))
        relative = local_noise(sample) / np.maximum(np.abs(sample.flux), 0.05)
        for wave in (4500, 6500, 8500):
            near = np.abs(WAVE - wave) < 60
            numbers[f"noise over flux at {wave} A {name}"] = float(np.median(relative[:, near]))
    return numbers


def tells(
    real: NDArray[np.float32], mock: NDArray[np.float32], width: int = 60, count: int = 5
) -> list[tuple[float, float, float]]:
    """Windows of rest wavelength where mock pixels differ most from real ones, worst first.

    Returns
    -------
    list
        (central wavelength [Angstrom], rms difference of the means over the pixels' spread, ln of the ratio
        of mock to real spread).
    """
    wave = rest_wavelength(SpectrumPreprocessing())
    spread = np.stack([real.std(0), mock.std(0)]) + 1e-3
    shift = (mock.mean(0) - real.mean(0)) / np.sqrt((spread**2).mean(0))
    ratio = np.log(spread[1] / spread[0])
    rows = [
        (
            float(wave[s : s + width].mean()),
            float(np.sqrt((shift[s : s + width] ** 2).mean())),
            float(np.median(ratio[s : s + width])),
        )
        for s in range(0, real.shape[1] - width + 1, width)
    ]
    return sorted(rows, key=lambda row: -(row[1] ** 2 + row[2] ** 2))[:count]


@dataclass(frozen=True, eq=False)
class SpectrumCheck:
    """What `check_spectra` finds: AUC by classifier, statistics, worst windows,
    and the arrays behind them.
    """

    auc: dict[str, Verdict]
    statistics: dict[str, float]
    worst: list[tuple[float, float, float]]
    real: SpectrumSample
    mock: SpectrumSample
    real_pixels: NDArray[np.float32]
    mock_pixels: NDArray[np.float32]


def check_spectra(
    folder: str | Path,
    *,
    seed: int = 0,
    most: int | None = None,
    unseen: bool = False,
    make: Callable[[SpectrumSample, int, int], Spectrum] = twin,
    kinds: tuple[str, ...] = SPECTRUM_KINDS,
) -> SpectrumCheck:
    """Compare real spectra with mock twins.

    Parameters
    ----------
    folder
        With ``dr10_compact.npz`` and ``dr10_labels.csv``.
    seed
        Of the twins.
    most
        At most so many spectra, evenly taken; all of them where None.
    unseen
        Only every second spectrum, those that a correction built with ``--half`` has not seen.
    make
        Another maker of twins, to judge a correction by spectra that it was not derived from.
    kinds
        The classifiers to train.

    Notes
    -----
    The shipped correction (`desa.simulate.residuals`) was derived from these spectra. Judged on the half
    that a correction had not seen (`scripts/build_spectral_residuals.py --half`), the AUC is 0.60 (linear),
    0.71 (squares) and 0.73 (boosting); without any correction it is 1.00.
    """
    real = read_real(folder)
    if unseen:
        real = subset(real, np.arange(len(real)) % 2 == 1)
    if most is not None and most < len(real):
        chosen = np.zeros(len(real), dtype=bool)
        chosen[np.linspace(0, len(real) - 1, most).astype(int)] = True
        real = subset(real, chosen)
    mock = twins(real, seed, make)
    real_pixels, mock_pixels = preprocessed(real), preprocessed(mock)
    return SpectrumCheck(
        discriminate(real_pixels, mock_pixels, kinds),
        compare_statistics(real, mock),
        tells(real_pixels, mock_pixels),
        real,
        mock,
        real_pixels,
        mock_pixels,
    )


def figures(check: SpectrumCheck, examples: int = 4) -> dict[str, Figure]:
    """Side-by-side figures: example pairs, means and spreads by wavelength, S/N by band, bad pixels."""
    wave = rest_wavelength(SpectrumPreprocessing())
    pairs = Figure(figsize=(11, 2.2 * examples), layout="constrained")
    order = np.argsort(check.real.teff)[np.linspace(0, len(check.real) - 1, examples + 2).astype(int)[1:-1]]
    for axis, i in zip(pairs.subplots(examples, 1), order, strict=True):
        axis.plot(wave, check.real_pixels[i], lw=0.5, label="real")
        axis.plot(wave, check.mock_pixels[i] - 3, lw=0.5, label="mock, 3 lower")
        axis.set_title(
            f"{check.real.teff[i]:.0f} K, log g {check.real.log_g[i]:.2f}, S/N {check.real.snr[i, 1]:.0f}"
        )
        axis.legend(frameon=False, loc="lower right")
    moments = Figure(figsize=(11, 5), layout="constrained")
    top, bottom = moments.subplots(2, 1, sharex=True)
    for name, pixels in (("real", check.real_pixels), ("mock", check.mock_pixels)):
        top.plot(wave, pixels.mean(0), lw=0.5, label=name)
        bottom.plot(wave, pixels.std(0), lw=0.5, label=name)
    top.set(ylabel="mean")
    bottom.set(ylabel="spread", xlabel="rest wavelength [Angstrom]")
    top.legend(frameon=False)
    noise = Figure(figsize=(11, 2.6), layout="constrained")
    axes = noise.subplots(1, 5)
    for name, sample in (("real", check.real), ("mock", check.mock)):
        style = {"bins": 40, "histtype": "step", "density": True, "label": name}
        for axis, k in zip(axes, (0, 2, 3, 4), strict=False):
            ratio = np.log(sample.snr[:, k] / sample.snr[:, 1])
            axis.hist(ratio[np.isfinite(ratio)], range=(-3, 2), **style)
            axis.set_xlabel(f"ln S/N {BANDS[k]} over g")
        axes[4].hist(1 - sample.good.mean(1), range=(0, 0.2), **style)
    axes[4].set(xlabel="share of bad pixels", yscale="log")
    axes[0].legend(frameon=False)
    return {"pairs": pairs, "moments": moments, "noise": noise}
