"""Spotted stars put into real light curves: the truth is known and the noise is real.

As Claytor et al. (2022, ApJ 927, 219) do for TESS: a simulated signal multiplies the light curve of a star
whose own rotation has not been seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from desa.simulate.spots import SpotSettings, draw_settings, modulation
from desa.types import LightCurve

SHORTEST_DAYS, LONGEST_DAYS = 0.3, 60.0
LONGEST_SHARE = 0.6
"""Of the light curve's length: longer periods are not drawn."""

TEFF = (3400.0, 6900.0)
LOG_SIZE = (-0.6, 1.3)
"""log10 of the signal's standard deviation over the light curve's own (`noise_of`)."""

NOISE_DAYS = 0.2


@dataclass(frozen=True, eq=False)
class Injected:
    """A light curve with a spotted star's signal in it.

    Parameters
    ----------
    curve
        Flux times the signal; ``meta`` says that it is injected, and the period.
    prot
        Days: the period at the latitudes where the star has its spots.
    size
        Standard deviation of the signal over the light curve's own.
    """

    curve: LightCurve
    prot: float
    size: float


def seen_period(settings: SpotSettings) -> float:
    """The period in days at the mean latitude of a star's spots, which turns slower than the equator.

    Spots lie at a mean of 0.59 of the highest latitude (`desa.simulate.spots.modulation`).
    """
    latitude = np.radians(0.59 * settings.highest_latitude)
    return float(2 * np.pi / (2 * np.pi / settings.prot - settings.shear * np.sin(latitude) ** 2))


def inject(
    curve: LightCurve, rng: np.random.Generator, *, prot: float | None = None, size: float | None = None
) -> Injected:
    """Put a spotted star's signal into a light curve.

    Parameters
    ----------
    curve
        Of a star without seen rotation.
    rng
        Source of the star and its spots.
    prot
        Equatorial period in days; None: any, evenly in log period, that turns at least 1 / `LONGEST_SHARE`
        times.
    size
        Standard deviation of the signal over the light curve's own; None: evenly in the log of `LOG_SIZE`.
    """
    span = len(curve) * curve.cadence_days
    if prot is None:
        longest = max(min(LONGEST_DAYS, LONGEST_SHARE * span), 2 * SHORTEST_DAYS)
        prot = float(np.exp(rng.uniform(np.log(SHORTEST_DAYS), np.log(longest))))
    if size is None:
        size = float(10 ** rng.uniform(*LOG_SIZE))
    # Stars seen nearly pole-on show no signal.
    inclination = float(np.degrees(np.arccos(rng.uniform(0.0, 0.9))))
    settings = draw_settings(float(rng.uniform(*TEFF)), prot, inclination, float(rng.uniform(2.0, 4.2)), rng)
    settings = replace(settings, shear=0.3 * settings.shear)
    time = curve.cadence_days * np.arange(len(curve), dtype=np.float64)
    signal = modulation(time, settings, rng)
    valid = curve.valid
    signal -= np.median(signal[valid])
    own, spread = noise_of(curve), float(signal[valid].std())
    if spread > 0:
        signal *= size * own / spread
    flux = (curve.flux * (1.0 + signal)).astype(np.float32)
    meta = {**curve.meta, "injected_prot": seen_period(settings), "layout": "injected"}
    return Injected(replace(curve, flux=flux, meta=meta), seen_period(settings), size)


def noise_of(curve: LightCurve) -> float:
    """Robust standard deviation of a light curve's means over `NOISE_DAYS`, its own variability included."""
    width = max(1, round(NOISE_DAYS / curve.cadence_days))
    size = len(curve) // width * width
    rows = np.asarray(curve.flux[:size], dtype=np.float64).reshape(-1, width)
    good = np.isfinite(rows).any(axis=1)
    means = np.nanmean(rows[good], axis=1)
    return float(1.4826 * np.median(np.abs(means - np.median(means))))


def piece_of(curve: LightCurve, days: float, rng: np.random.Generator) -> LightCurve:
    """A piece of a light curve of at most so many days, at a random place with good samples at both ends."""
    length = max(2, round(days / curve.cadence_days))
    if length >= len(curve):
        return curve
    start = int(rng.integers(0, len(curve) - length + 1))
    good = start + np.flatnonzero(curve.valid[start : start + length])
    if len(good) < 0.3 * length:
        return piece_of(curve, min(2 * days, len(curve) * curve.cadence_days), rng)
    part = slice(int(good[0]), int(good[-1]) + 1)
    return replace(
        curve,
        flux=curve.flux[part],
        flux_err=curve.flux_err[part],
        first_cadence=curve.first_cadence + part.start,
        start_bkjd=curve.start_bkjd + part.start * curve.cadence_days,
    )
