"""How hard mock spectra are to tell from real LAMOST ones.

Every real spectrum of DR10 with labels gets a mock twin of the same Teff, log g, [Fe/H], S/N_g and Z. Both go
through the same preprocessing, and classifiers learn to tell them apart, a pair always on the same side of
the cross-validation. An area under the ROC curve of 0.5 means that they can't, 1 that they always can.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from desa.config import SpectrumPreprocessing
from desa.preprocess.grids import rest_wavelength
from desa.preprocess.spectrum import SpectrumPreprocessor
from desa.simulate.broadening import SPEED_OF_LIGHT
from desa.simulate.instrument import WAVE
from desa.simulate.lamost_effects import redshift_error
from desa.simulate.residuals import SpectralResiduals
from desa.simulate.spectra import simulate_spectrum
from desa.types import LAMOST_LOG_WAVELENGTH_START, LAMOST_PIXELS, Spectrum

FloatArray = NDArray[np.float64]
BANDS: Final = "ugriz"
CLASSIFIERS: Final = ("linear", "squares", "boosting")


@dataclass(frozen=True, eq=False)
class SpectrumSample:
    """Spectra as stacked arrays.

    Parameters
    ----------
    flux
        (N, 3909) float32 over the median; 0 beyond a file's last pixel.
    good
        (N, 3909) False where bad or absent.
    z
        (N,) the pipeline's redshift.
    teff, log_g, fe_h
        (N,) labels.
    snr
        (N, 5) signal to noise in u g r i z, NaN where unknown.
    """

    flux: NDArray[np.float32]
    good: NDArray[np.bool_]
    z: FloatArray
    teff: FloatArray
    log_g: FloatArray
    fe_h: FloatArray
    snr: FloatArray

    def __len__(self) -> int:
        return len(self.flux)


def read_real(folder: str | Path, limits: tuple[float, float] = (3500.0, 8000.0)) -> SpectrumSample:
    """The labelled DR10 spectra in a folder with ``dr10_compact.npz`` and ``dr10_labels.csv``,
    by Teff limits [K].
    """
    with (Path(folder) / "dr10_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: np.array([float(row[name] or "nan") for row in rows])
        for name in ("z", "teff", "logg", "feh", "npix", *(f"snr{b}" for b in BANDS))
    }
    with np.load(Path(folder) / "dr10_compact.npz", allow_pickle=False) as data:
        flux = data["flux_over_median_f16"].astype(np.float32)
        good = np.unpackbits(data["good_packed"], axis=1)[:, :LAMOST_PIXELS].astype(bool)
    snr = np.stack([columns[f"snr{b}"] for b in BANDS], axis=1)
    keep = (columns["teff"] > limits[0]) & (columns["teff"] < limits[1]) & (snr[:, 1] > 0)
    return SpectrumSample(
        flux[keep],
        good[keep],
        columns["z"][keep],
        columns["teff"][keep],
        columns["logg"][keep],
        columns["feh"][keep],
        np.where(snr > 0, snr, np.nan)[keep],
    )


def typical_vsini(teff: float, rng: np.random.Generator) -> float:
    """Projected rotation in km/s of a field star: slow below the Kraft break (6200 K),
    some 100 km/s above 7000 K.
    """
    hot = float(np.clip((teff - 6000.0) / 1200.0, 0.0, 1.0))
    return float((2.0 + rng.exponential(2.0)) * (1 - hot) + hot * abs(rng.normal(80.0, 50.0)))


def subset(sample: SpectrumSample, keep: NDArray[np.bool_]) -> SpectrumSample:
    """The spectra where `keep`, (N,), is True."""
    return SpectrumSample(**{f.name: getattr(sample, f.name)[keep] for f in fields(sample)})


def twin(
    sample: SpectrumSample, i: int, seed: int = 0, residuals: SpectralResiduals | None = None
) -> Spectrum:
    """The mock spectrum with the labels, Z and S/N_g of spectrum `i`; what the labels don't say is drawn."""
    rng = np.random.default_rng([seed, i])
    teff, snr_g = float(sample.teff[i]), float(sample.snr[i, 1])
    fe_h = float(sample.fe_h[i])
    error = redshift_error(snr_g, teff) * SPEED_OF_LIGHT * rng.standard_normal()
    return simulate_spectrum(
        teff=teff,
        log_g=float(sample.log_g[i]),
        fe_h=fe_h,
        alpha_fe=float(np.clip(-0.2 * fe_h + 0.07 * rng.standard_normal(), -0.05, 0.4)),
        vsini=typical_vsini(teff, rng),
        rv=float(sample.z[i]) * SPEED_OF_LIGHT + error,
        activity=float(rng.normal(-4.95, 0.2)) if teff < 6500 else float("nan"),
        av=float(rng.exponential(0.2)),
        snr_g=snr_g,
        rng=rng,
        residuals=residuals,
    )


def twins(
    sample: SpectrumSample, seed: int = 0, make: Callable[[SpectrumSample, int, int], Spectrum] = twin
) -> SpectrumSample:
    """A mock twin of every spectrum, with the pipeline's Z of its real one,
    rounded as the real fluxes are stored.
    """
    flux = np.zeros_like(sample.flux)
    good = np.zeros_like(sample.good)
    snr = np.zeros_like(sample.snr)
    for i in range(len(sample)):
        spectrum = make(sample, i, seed)
        n = len(spectrum)
        flux[i, :n] = (spectrum.flux / np.median(spectrum.flux)).astype(np.float16)
        good[i, :n] = spectrum.valid
        snr[i] = [spectrum.snr[b] for b in BANDS]
    return SpectrumSample(flux, good, sample.z, sample.teff, sample.log_g, sample.fe_h, snr)


def local_noise(sample: SpectrumSample, block: int = 128) -> NDArray[np.float32]:
    """Noise a pixel, (N, 3909), from differences of pixels two apart in blocks:
    the same for real and mock.
    """
    difference = np.full(sample.flux.shape, np.nan, dtype=np.float32)
    difference[:, 1:-1] = (sample.flux[:, 2:] - sample.flux[:, :-2]) / np.sqrt(2.0)
    difference[:, 1:-1][~(sample.good[:, 2:] & sample.good[:, :-2])] = np.nan
    starts = range(0, LAMOST_PIXELS - block // 2, block)
    blocks = [np.abs(np.nan_to_num(difference[:, s : s + block])) for s in starts]
    levels = np.maximum(1.4826 * np.stack([np.median(b, axis=1) for b in blocks], axis=1), 1e-4)
    which = np.minimum(np.arange(LAMOST_PIXELS) // block, len(blocks) - 1)
    return np.asarray(levels[:, which], dtype=np.float32)


def preprocessed(sample: SpectrumSample) -> NDArray[np.float32]:
    """Continuum-normalised rest-frame pixels (N, P), as the spectrum encoder gets them."""
    settings = SpectrumPreprocessing()
    module = SpectrumPreprocessor(settings)
    ivar = np.where(sample.good, local_noise(sample) ** -2.0, 0.0).astype(np.float32)
    start = torch.full((len(sample),), LAMOST_LOG_WAVELENGTH_START, dtype=torch.float64)
    result = module(
        torch.from_numpy(sample.flux), torch.from_numpy(ivar), torch.from_numpy(sample.z).float(), start
    )
    return np.asarray(result.pixels[:, : len(rest_wavelength(settings))].numpy())


def auc_of(features: FloatArray, is_mock: NDArray[np.bool_], pair: NDArray[np.intp], kind: str) -> float:
    """Cross-validated area under the ROC curve of one classifier; pairs are never split between folds.

    Parameters
    ----------
    features
        (M, P) pixels.
    is_mock
        (M,).
    pair
        (M,) number of the pair.
    kind
        ``"linear"`` (100 principal components, logistic regression), ``"boosting"`` (60 components, their
        noise level, gradient boosting), or ``"squares"`` (logistic regression on components and their
        squares).
    """
    from sklearn.decomposition import PCA
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler
    from threadpoolctl import threadpool_limits

    def pca(n: int) -> PCA:
        return PCA(n, svd_solver="randomized", random_state=0)

    logistic = LogisticRegression(C=0.01, max_iter=300)
    if kind == "linear":
        model = make_pipeline(pca(100), StandardScaler(), logistic)
    elif kind == "squares":
        model = make_pipeline(pca(40), StandardScaler(), PolynomialFeatures(2), StandardScaler(), logistic)
    elif kind == "boosting":
        model = make_pipeline(pca(60), HistGradientBoostingClassifier(max_iter=150, learning_rate=0.06))
    else:
        raise ValueError(f"kind {kind!r} must be linear, squares or boosting")
    score = np.zeros(len(features))
    # The fits are small: on a busy machine threads would only wait for each other.
    with threadpool_limits(limits=1):
        for train, test in GroupKFold(5).split(features, is_mock, pair):
            model.fit(features[train], is_mock[train])
            score[test] = model.predict_proba(features[test])[:, 1]
    return float(roc_auc_score(is_mock, score))


def discriminate(
    real: NDArray[np.float32], mock: NDArray[np.float32], kinds: tuple[str, ...] = CLASSIFIERS
) -> dict[str, float]:
    """Area under the ROC curve by classifier (see `auc_of`), for paired real and mock pixels (N, P)."""
    features = np.concatenate([real, mock]).astype(np.float64)
    is_mock = np.repeat([False, True], len(real))
    pair = np.tile(np.arange(len(real)), 2)
    return {kind: auc_of(features, is_mock, pair, kind) for kind in kinds}


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

    auc: dict[str, float]
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
    make: Callable[[SpectrumSample, int, int], Spectrum] = twin,
    kinds: tuple[str, ...] = CLASSIFIERS,
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
