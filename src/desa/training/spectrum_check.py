"""Makes a model's check of spectra (`desa.models.spectrum_check`) from a labelled survey."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from desa.errors import SettingsError
from desa.inference.encode import BATCH_SIZE, dataset_of
from desa.models.network import Network
from desa.models.spectrum_check import SpectrumCheck, places, terms
from desa.provenance import provenance
from desa.survey.batches import make_loader
from desa.survey.store import Survey

Array = NDArray[np.float64]

COMPONENTS = 40
RIDGE = 5.0
"""Penalty on the coefficients, of components of unit spread."""

HALF_SNR, FULL_SNR = 15.0, 60.0
"""S/N at which a star counts half in the fit of the temperature, and fully in that of the components."""

FOLDS = 5
LEAST_SNR = 10.0
"""Calibrated on spectra of this S/N in g or more: `desa.inference.quality` flags the others anyway."""

LEAST_RANGE = 0.5
"""Of the log noise variance, for that what is left over is fitted as a function of it."""

LEAST = 200
"""Spectra within the model's range that there must be."""

CLEARLY, LEAST_HOTTER, MISSED = 500.0, 20, 0.05
"""Of stars hotter than the labels' end by so many K, if there are so many, at most this share is missed."""


@dataclass(frozen=True, eq=False)
class KnownSpectra:
    """Labelled spectra as an encoder reads them.

    Parameters
    ----------
    pixels, weights
        (N, P).
    teff, snr
        (N,) K, and S/N in g.
    star
        (N,) whose they are.
    """

    pixels: NDArray[np.float32]
    weights: NDArray[np.float32]
    teff: Array
    snr: Array
    star: NDArray[np.int64]

    def take(self, rows: NDArray[np.bool_]) -> KnownSpectra:
        """Some of them."""
        columns = (self.pixels, self.weights, self.teff, self.snr, self.star)
        return KnownSpectra(*(column[rows] for column in columns))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class HeldOutChecks:
    """(N,) temperatures [K] and leftovers of spectra by fits that have not seen their stars."""

    temperature: Array
    leftover: Array


@torch.inference_mode()
def known_spectra(model: Network, survey: Survey) -> KnownSpectra:
    """The spectra of a survey that have a temperature, in the model's preprocessing."""
    rows: list[tuple[NDArray[np.generic], ...]] = []
    data = dataset_of(model, survey, "spectrum", None, ("teff",))
    for batch in make_loader(data, BATCH_SIZE, shuffle=False, rank=0, world=1):
        given = batch.to(model.device)
        read = model.spectrum_pixels(given.flux, given.ivar, given.z, given.log_wavelength_start)
        arrays = (*read, batch.labels["teff"].double(), batch.snr_g.double(), batch.star)
        rows.append(tuple(array.cpu().numpy() for array in arrays))
    if not rows:
        raise SettingsError(f"{survey.path}: it has no spectra")
    every = KnownSpectra(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))
    return every.take(np.isfinite(every.teff) & (every.teff > 0) & np.isfinite(every.snr))


def make_check(model: Network, survey: Survey, hottest: float) -> SpectrumCheck:
    """Fit a check to all labelled spectra of a survey.

    Parameters
    ----------
    model
        Whose stars it is to know.
    survey
        With stars within the model's range, and beyond it.
    hottest
        K; the end of the range of the model's labels.

    Raises
    ------
    SettingsError
        If fewer than `LEAST` spectra lie within the range.
    """
    known = known_spectra(model, survey)
    inside = within(known, hottest)
    if inside.sum() < LEAST:
        raise SettingsError(
            f"{survey.path}: {int(inside.sum())} spectra of S/N {LEAST_SNR:g} or more with a temperature up "
            f"to {hottest:g} K; {LEAST} are needed to tell what is unlike them"
        )
    held_out = cross_validated(known, hottest, model.settings.seed)
    threshold = hottest
    beyond = (known.teff > hottest + CLEARLY) & (known.snr >= LEAST_SNR)
    if beyond.sum() >= LEAST_HOTTER:
        threshold = min(threshold, float(np.quantile(held_out.temperature[beyond], MISSED)))
    facts = provenance(
        data=f"{survey.kind} survey {survey.identity}", spectra=len(known.teff), hotter=int(beyond.sum())
    )
    leftovers = np.sort(held_out.leftover[inside])
    return fitted(known, hottest, threshold=threshold, leftovers=leftovers, facts=dict(facts))


def within(known: KnownSpectra, hottest: float) -> NDArray[np.bool_]:
    """(N,) whether a spectrum is of the model's range and good enough to calibrate on."""
    return np.asarray((known.teff <= hottest) & (known.snr >= LEAST_SNR))


def cross_validated(known: KnownSpectra, hottest: float, seed: int) -> HeldOutChecks:
    """Temperatures and leftovers of spectra by fits that have not seen their stars."""
    stars, place = np.unique(known.star, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(np.arange(len(stars)) % FOLDS)[place]
    temperature, leftover = np.zeros(len(known.teff)), np.zeros(len(known.teff))
    for number in range(FOLDS):
        out = fold == number
        check, own = fitted(known.take(~out), hottest), known.take(out)
        temperature[out] = check.temperature(own.pixels, own.weights)
        leftover[out] = check.leftover(own.pixels, own.weights)
    return HeldOutChecks(temperature, leftover)


def fitted(
    known: KnownSpectra,
    hottest: float,
    *,
    threshold: float | None = None,
    leftovers: Array | None = None,
    facts: dict[str, object] | None = None,
) -> SpectrumCheck:
    """A check fitted to spectra, in closed form."""
    mean = known.pixels.mean(axis=0)
    rows = np.where(known.weights > 0, known.pixels - mean, 0.0)
    rows *= np.sqrt(np.clip(known.snr, 0, FULL_SNR) / FULL_SNR)[:, None]
    basis = _components(rows.astype(np.float32), min(COMPONENTS, len(rows)))
    along = places(known.pixels, known.weights, mean, basis)
    scale = np.maximum(along.std(axis=0), 1e-6).astype(np.float32)
    matrix = terms((along / scale).astype(np.float32))
    weight = 1.0 / (1.0 + (HALF_SNR / np.maximum(known.snr, 1.0)) ** 2)
    penalty = RIDGE * np.eye(matrix.shape[1])
    penalty[0, 0] = 0.0
    weighted = matrix * weight[:, None]
    coefficients = np.linalg.solve(weighted.T @ matrix + penalty, weighted.T @ (1e4 / known.teff)).astype(
        np.float64
    )
    none: Array = np.zeros(0)
    bare = SpectrumCheck(
        mean.astype(np.float32), basis, scale, coefficients, np.zeros(3), none, hottest, hottest, {}
    )
    inside = known.take(within(known, hottest))
    raw, noise = bare.raw_leftover(inside.pixels, inside.weights)
    noise_fit: Array = np.zeros(3)
    degree = 2 if np.ptp(noise) > LEAST_RANGE else 0
    noise_fit[2 - degree :] = np.polyfit(noise, raw, degree)
    return replace(
        bare,
        noise_fit=noise_fit,
        leftovers=none if leftovers is None else leftovers,
        threshold=hottest if threshold is None else threshold,
        facts=dict(facts or {}),
    )


def _components(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(K, P) leading right singular vectors, rounded as they are stored."""
    square = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    vectors = np.linalg.eigh(square.astype(np.float64))[1][:, ::-1][:, :count].T
    basis = vectors @ rows if len(rows) < rows.shape[1] else vectors
    basis = basis / np.maximum(np.linalg.norm(basis, axis=1, keepdims=True), 1e-12)
    return np.asarray(basis, dtype=np.float16).astype(np.float32)
