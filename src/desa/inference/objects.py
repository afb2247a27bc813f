"""Stars given as objects or files, and predictions as objects: what `Desa.embed` and `Desa.predict` do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from desa.inference.encode import star_features
from desa.inference.estimate import Estimate, all_estimates
from desa.inference.periods import found_periods, with_periods
from desa.io.memory import to_lightcurve, to_spectrum
from desa.models.network import Network
from desa.types import LightCurveLike, SpectrumLike, Star

LightCurves: TypeAlias = "LightCurveLike | list[LightCurveLike | None] | None"
"""A star's light curve, or a list with that of each star; None where there is none."""

Spectra: TypeAlias = "SpectrumLike | list[SpectrumLike | None] | None"
"""A star's spectrum, or a list with that of each star; None where there is none."""


class Prediction(NamedTuple):
    """A star's label: the predicted quantiles and, where the model is calibrated, intervals.

    Parameters
    ----------
    median
        In the label's unit (K, dex, days).
    quantiles
        level -> value, as the head predicts them.
    intervals
        coverage -> (low, high), conformal; empty where the model has no calibration.
    probabilities
        class -> probability, of a label that is a class: then `median` is NaN.
    """

    median: float
    quantiles: dict[float, float]
    intervals: dict[float, tuple[float, float]]
    probabilities: Mapping[str, float] = MappingProxyType({})


def given_stars(lightcurve: LightCurves, spectrum: Spectra) -> tuple[list[Star], bool]:
    """What a caller gave: one star or a list of them, each with a light curve, a spectrum, or both.

    Parameters
    ----------
    lightcurve, spectrum
        As in `desa.inference.model.Desa.embed`.

    Returns
    -------
    tuple
        The stars, each called by its light curve's name if that has one; and whether one was given, no list.

    Raises
    ------
    DesaError
        For files or objects that can't be used.
    ValueError
        If a star has neither, or the lists differ in length.
    """
    given: list[Any] = [lightcurve, spectrum]
    if lightcurve is None and spectrum is None:
        raise ValueError("give a light curve, a spectrum, or both")
    single = not any(isinstance(part, list) for part in given)
    curves, spectra = ([part] if single else part for part in given)
    sizes = {len(part) for part in (curves, spectra) if part is not None}
    if len(sizes) != 1:
        raise ValueError(f"{len(curves)} light curves and {len(spectra)} spectra: one of each a star")
    size = sizes.pop()
    curves, spectra = ([None] * size if part is None else part for part in (curves, spectra))
    stars = []
    for place, (one, other) in enumerate(zip(curves, spectra, strict=True)):
        if one is None and other is None:
            raise ValueError(f"star {place} of the lists has neither a light curve nor a spectrum")
        curve = None if one is None else to_lightcurve(one)
        own = None if other is None else to_spectrum(other)
        names = [item.star_id for item in (curve, own) if item is not None and item.star_id]
        stars.append(Star(names[0] if names else "", curve, () if own is None else (own,)))
    return stars, single


def check_modalities(model: Network, stars: list[Star]) -> None:
    """Refuse stars that a network lacks an encoder for.

    Raises
    ------
    ModelError
        If it does.
    """
    for star in stars:
        for item in (star.lightcurve, star.spectrum):
            if item is not None:
                model.check(item)


def predict(model: Network, stars: list[Star]) -> list[dict[str, Prediction]]:
    """Each star's predictions by label, from the heads of the modalities it has."""
    check_modalities(model, stars)
    rows: list[dict[str, Prediction]] = [{} for _ in stars]
    estimates = all_estimates(model, star_features(model, stars))
    for estimate in with_periods(estimates, found_periods(model, stars)):
        for place, row in enumerate(rows):
            if np.isfinite(estimate.median[place]):
                row[estimate.label] = _prediction(estimate, place)
    return rows


def _prediction(estimate: Estimate, star: int) -> Prediction:
    """A star's label from those of all."""
    shares = estimate.probabilities
    return Prediction(
        median=float("nan") if estimate.classes else float(estimate.median[star]),
        quantiles={level: float(values[star]) for level, values in estimate.quantiles.items()},
        intervals={
            coverage: (float(low[star]), float(high[star]))
            for coverage, (low, high) in estimate.intervals.items()
        },
        probabilities={}
        if shares is None
        else dict(zip(estimate.classes, shares[star].tolist(), strict=True)),
    )
