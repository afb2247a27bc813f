"""A mock Kepler light curve of a star: what its light does, and what four years of Kepler make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.simulate import granulation, kepler_noise, spots
from desa.simulate.calendar import DEAD_MODULE_CADENCE, Calendar, Coverage, draw_coverage, load_calendar
from desa.simulate.eclipses import binary_flux, transit_flux, varies
from desa.simulate.flares import flares
from desa.simulate.isochrones import TAHB, ZAHB
from desa.simulate.kepler_noise import Detector
from desa.simulate.population import StarParameters
from desa.simulate.pulsators import pulsation
from desa.types import KEPLER_CADENCE_DAYS, LightCurve

FloatArray = NDArray[np.float64]

MIN_GOOD: Final = 100
"""Fewest good cadences a quarter is kept with."""


@dataclass(frozen=True, eq=False)
class Observation:
    """A light curve before its quarters are divided by their medians.

    Parameters
    ----------
    first_cadence
        Cadence number of sample 0.
    flux
        (L,) flux over the star's mean, corrected as PDC does; NaN where lost.
    raw
        (L,) the same with the drifts that PDC took out.
    quality
        (L,) SAP_QUALITY.
    quarter
        (L,) quarter of each cadence, -1 where the star was not observed.
    season
        0 to 3: with the quarter's number it says on which of its four modules the star lies.
    detector
        Its noise.
    """

    first_cadence: int
    flux: FloatArray
    raw: FloatArray
    quality: NDArray[np.int32]
    quarter: NDArray[np.int8]
    season: int
    detector: Detector


def stellar_flux(star: StarParameters, time: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Flux (L,) of star and companion over its mean, without granulation and oscillations.

    Parameters
    ----------
    star
        Its parameters.
    time
        (L,) BKJD days on Kepler's cadences.
    rng
        Source of spots, flares and modes.
    """
    rotation, companion = star.rotation, star.companion
    settings = spots.draw_settings(star.teff, rotation.prot, rotation.inclination, rotation.log_sph, rng)
    flux = spots.modulation(time, settings, rng)
    if star.log_g > 3.8:
        flux += flares(time, star.teff, rotation.rossby, rng)
    if star.pulsator is not None:
        flux += pulsation(time, star.pulsator, star.teff, star.log_g, rng)
    if companion is not None:
        flux /= 1.0 + companion.kp_ratio
    flux += 1.0
    for planet in star.planets:
        flux *= transit_flux(time, star.radius, planet)
    if companion is not None and varies(companion, star.radius):
        flux *= binary_flux(time, star.mass, star.radius, companion)
    return flux


def oscillator(star: StarParameters) -> granulation.Oscillator:
    """The star's convection as `desa.simulate.granulation` wants it."""
    helium = ZAHB <= star.eep < TAHB
    return granulation.Oscillator(star.numax, star.dnu, star.teff, star.log_g, helium)


def _slow_noise(
    star: StarParameters, length: int, detector: Detector, rng: np.random.Generator
) -> FloatArray:
    """Granulation, oscillations and the detector's slow noise (L,), relative."""
    extra = kepler_noise.red_power(granulation.frequencies_of(length), detector.red)
    convective = star.teff < 8000.0
    noise = granulation.noise_from_power(length, oscillator(star) if convective else None, extra, rng)
    dilution = 1.0 + (star.companion.kp_ratio if star.companion is not None else 0.0)
    return np.asarray(noise * 1e-6 / dilution)


def observe(
    star: StarParameters, rng: np.random.Generator, quarters: Sequence[int] | None = None
) -> Observation:
    """Four years of Kepler, or the quarters given, of a star; arguments as `simulate_lightcurve`."""
    calendar = load_calendar()
    coverage = draw_coverage(rng)
    chosen = [q for q in coverage.quarters if quarters is None or q in quarters]
    if not chosen:
        chosen = sorted(quarters)[:1] if quarters else [9]
    spans = [calendar.span(q) for q in chosen]
    start, stop = spans[0].start, spans[-1].stop
    time = calendar.time(slice(start, stop))
    detector = kepler_noise.draw_detector(star.kepmag, rng)
    flux = stellar_flux(star, time, rng) + _slow_noise(star, stop - start, detector, rng)
    white = rng.standard_normal(stop - start, dtype=np.float32)
    white = white + kepler_noise.outliers(stop - start, star.kepmag, rng)
    out = np.full(stop - start, np.nan)
    raw = out.copy()
    quality = calendar.quality[start:stop].copy()
    quarter = np.full(stop - start, -1, dtype=np.int8)
    for number, span in zip(chosen, spans, strict=True):
        place = slice(span.start - start, span.stop - start)
        season = (number + coverage.season) % 4
        lost = _lost(calendar, coverage, number, span, rng)
        here = flux[place] + 1e-6 * detector.white[season] * white[place]
        here = here + kepler_noise.drifts(calendar.lost[span], detector, rng)
        corrected = kepler_noise.without_trend(here, ~lost)
        out[place] = np.where(lost, np.nan, corrected)
        raw[place] = here
        quality[place] |= kepler_noise.own_flags(span.stop - span.start, rng)
        quarter[place] = number
    return Observation(calendar.first + start, out, raw, quality, quarter, coverage.season, detector)


def _lost(
    calendar: Calendar, coverage: Coverage, quarter: int, span: slice, rng: np.random.Generator
) -> NDArray[np.bool_]:
    lost = kepler_noise.own_losses(calendar, span, rng)
    if quarter == 4 and coverage.cut_quarter_4:
        lost[DEAD_MODULE_CADENCE + 1 - calendar.first - span.start :] = True
    return lost


def simulate_lightcurve(
    star: StarParameters, rng: np.random.Generator, quarters: Sequence[int] | None = None
) -> LightCurve:
    """A mock Kepler light curve.

    Parameters
    ----------
    star
        From `desa.simulate.population.draw_star`.
    rng
        All randomness comes from it.
    quarters
        Only these of the quarters that the star has; None: all.

    Returns
    -------
    LightCurve
        As `desa.io.read` gives a real one: each quarter over its median, NaN in gaps.
    """
    return lightcurve_of(star, observe(star, rng, quarters))


SHORT_CADENCES = (1200, 4500)
"""Length of a light curve that is a piece of one: 25 to 92 days."""

LEAST_GOOD = 500


def piece_of(curve: LightCurve, rng: np.random.Generator) -> LightCurve:
    """A random piece of a light curve, of the length of many real ones; the whole if little of it is good."""
    length = int(rng.integers(*SHORT_CADENCES))
    start = int(rng.integers(0, max(1, len(curve) - length)))
    good = start + np.flatnonzero(curve.valid[start : start + length])
    if len(good) < LEAST_GOOD:
        return curve
    piece = slice(int(good[0]), int(good[-1]) + 1)
    meta = dict(curve.meta)
    if "quality" in meta:
        meta["quality"] = meta["quality"][piece]
    return replace(
        curve,
        flux=curve.flux[piece],
        flux_err=curve.flux_err[piece],
        first_cadence=curve.first_cadence + piece.start,
        start_bkjd=curve.start_bkjd + piece.start * curve.cadence_days,
        meta=meta,
    )


def lightcurve_of(star: StarParameters, observation: Observation) -> LightCurve:
    """The light curve of an observation; each quarter over its own median."""
    flux = observation.flux.copy()
    error = np.full(len(flux), np.nan)
    quarters = []
    for number in np.unique(observation.quarter[observation.quarter >= 0]):
        place = observation.quarter == number
        median = float(np.nanmedian(flux[place]))
        flux[place] /= median
        error[place] = 1e-6 * observation.detector.stated / median
        quarters.append(int(number))
    good = np.flatnonzero(np.isfinite(flux))
    error = np.where(np.isfinite(flux), error, np.nan)
    keep = slice(int(good[0]), int(good[-1]) + 1)
    first = observation.first_cadence + keep.start
    return LightCurve(
        flux=flux[keep].astype(np.float32),
        flux_err=error[keep].astype(np.float32),
        first_cadence=first,
        start_bkjd=load_calendar().time_offset + KEPLER_CADENCE_DAYS * first,
        star_id=star.star_id,
        mission="Kepler",
        quarters=tuple(quarters),
        ra=star.ra,
        dec=star.dec,
        magnitude=star.kepmag,
        meta={"layout": "mock", "quality": observation.quality[keep]},
    )
