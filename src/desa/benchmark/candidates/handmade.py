"""Real spectra and light curves as features: of encoders, and made by hand to compare those with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from desa.benchmark.tasks.landmarks import untrained
from desa.config import Training
from desa.inference.encode import star_features
from desa.models.network import Network
from desa.real.data import LabelledSpectra, stars
from desa.real.handmade import lightcurve_table, line_indices
from desa.real.lightcurves import KeplerStar
from desa.real.masked import fill_masks
from desa.real.task import observed_pixels
from desa.real.train import features_of
from desa.types import LightCurve, Star, best_window

Array = NDArray[np.float64]

QUARTER = 4500
"""Longer light curves are cut to their best stretch of this many cadences: one quarter."""

PIXEL_COMPONENTS = 60

UNTRAINED, MOCK = "untrained encoder", "encoder, mock survey"
FILLED, MOCK_FILLED = "encoder, real spectra unlabelled", "encoder, mock survey then real unlabelled"
INDICES, PIXELS, HANDMADE = "line indices", "components of the pixels", "hand-made features"


def one_a_star(spectra: LabelledSpectra) -> LabelledSpectra:
    """Of each star's spectra the one with the best S/N in g."""
    star = stars(spectra.ra, spectra.dec, spectra.gaia)
    order = np.lexsort((-np.nan_to_num(spectra.snr_g), star))
    first = np.flatnonzero(np.diff(star[order], prepend=-1))
    return spectra.select(np.sort(order[first]))


def spectrum_sets(
    model: Network, spectra: LabelledSpectra, out: Path, training: Training, seed: int, progress: Any
) -> dict[str, Array]:
    """Feature sets of real spectra by name; encoders that saw real pixels never saw a label."""
    settings = model.settings
    filled = fill_masks(spectra, settings, out / "filled", seed=seed, training=training, progress=progress)
    both = fill_masks(
        spectra,
        settings,
        out / "mock-filled",
        start=model,
        seed=seed,
        training=training.model_copy(update={"learning_rate": 0.3 * training.learning_rate}),
        progress=progress,
    )
    pixels = observed_pixels(model, spectra).pixels.numpy()
    count = min(PIXEL_COMPONENTS, *pixels.shape)
    encoders = {UNTRAINED: untrained(model), FILLED: filled, MOCK: model, MOCK_FILLED: both}
    return {
        **{name: features_of(encoder, spectra).astype(np.float64) for name, encoder in encoders.items()},
        INDICES: line_indices(spectra.flux, spectra.ivar, spectra.z),
        PIXELS: np.asarray(PCA(count, random_state=seed).fit_transform(pixels), dtype=np.float64),
    }


def one_quarter(curve: LightCurve) -> LightCurve:
    """The stretch of `QUARTER` cadences with most good samples: all stars alike in length."""
    if len(curve) <= QUARTER:
        return curve
    part = best_window(curve.flux, QUARTER)
    return LightCurve(
        flux=curve.flux[part],
        flux_err=curve.flux_err[part],
        first_cadence=curve.first_cadence + part.start,
        start_bkjd=curve.start_bkjd + part.start * curve.cadence_days,
        cadence_days=curve.cadence_days,
        star_id=curve.star_id,
        mission=curve.mission,
    )


def usable(stars_: Sequence[KeplerStar]) -> list[KeplerStar]:
    """Stars whose light curve is Kepler's own; sets of one kind, detrended by others, give it away."""
    return [
        KeplerStar(one_quarter(star.curve), star.form, star.labels)
        for star in stars_
        if star.curve.mission == "Kepler"
        and star.form in ("fits", "single quarter")
        and int(star.curve.valid.sum()) >= 500
    ]


def lightcurve_sets(model: Network, curves: list[LightCurve]) -> dict[str, Array]:
    """Feature sets of real light curves by name."""
    trained = star_features(model, [Star("", curve) for curve in curves]).get("lightcurve")
    random = star_features(untrained(model), [Star("", curve) for curve in curves]).get("lightcurve")
    if trained is None or random is None:
        raise ValueError("no light-curve features")
    table = lightcurve_table(curves)
    return {
        UNTRAINED: random.astype(np.float64),
        MOCK: trained.astype(np.float64),
        HANDMADE: table,
        "scatter alone": table[:, :1],
    }
