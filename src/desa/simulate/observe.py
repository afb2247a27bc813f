"""LAMOST's visits to a mock star."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from desa.simulate.binaries import KEPLER_BLEND, Companion, radial_velocities
from desa.simulate.labels import Label
from desa.simulate.population import StarParameters
from desa.simulate.rotation import KM_S_PER_RADIUS_DAY, log_r_hk, turnover_time
from desa.simulate.spectra import Component, simulate_spectrum
from desa.types import LightCurve, Spectrum

SNR_AT_14: Final = 60.0
FIRST_VISIT, LAST_VISIT = 1180.0, 3800.0
"""BKJD: the LAMOST-Kepler project observed from 2012 on (De Cat et al. 2015, ApJS 220, 19)."""
BKJD_TO_MJD: Final = 54832.5


@dataclass(frozen=True, eq=False)
class MockStar:
    """A star with everything observed of it."""

    parameters: StarParameters
    lightcurve: LightCurve
    spectra: tuple[Spectrum, ...]
    labels: Mapping[str, Label]


def draw_snr(g: float, rng: np.random.Generator) -> float:
    """Signal to noise in the g band of a visit to a star of a magnitude, spread as in DR10."""
    middle = SNR_AT_14 * 10 ** (-0.17 * (g - 14.0))
    return float(np.clip(middle * np.exp(0.7 * rng.standard_normal()), 6.0, 900.0))


def _component(star: StarParameters, companion: Companion, rv: float) -> Component:
    orbit = companion.orbit
    prot = orbit.period if orbit.period < 10.0 else 20.0
    speed = KM_S_PER_RADIUS_DAY * companion.radius / prot
    if companion.teff > 6300.0 and orbit.period >= 10.0:
        speed = 30.0
    return Component(
        teff=companion.teff,
        log_g=companion.log_g,
        fe_h=star.fe_h,
        alpha_fe=star.alpha_fe,
        vsini=float(speed * np.sin(np.radians(max(orbit.inclination, 20.0)))),
        rv=rv,
        radius_ratio=companion.radius / star.radius,
        log_r_hk=log_r_hk(companion.teff, prot / turnover_time(companion.teff)),
    )


def simulate_spectra(
    star: StarParameters, rng: np.random.Generator, repeats: tuple[float, float] = (0.15, 0.3)
) -> tuple[Spectrum, ...]:
    """One to three LAMOST spectra of a star, from different nights.

    Parameters
    ----------
    star
        From `desa.simulate.population.draw_star`.
    rng
        All randomness comes from it.
    repeats
        Share of the stars with a second spectrum, and of those with a third.
    """
    more = rng.random(2) < repeats
    number = 1 + int(more[0]) + int(more[0] and more[1])
    nights = np.sort(rng.uniform(FIRST_VISIT, LAST_VISIT, number))
    return tuple(_visit(star, visit, float(night), rng) for visit, night in enumerate(nights))


def _visit(star: StarParameters, visit: int, bkjd: float, rng: np.random.Generator) -> Spectrum:
    own, other = 0.0, None
    companion = star.companion
    if companion is not None:
        own, theirs = radial_velocities(companion.orbit, star.mass, companion.mass, bkjd)
        if companion.angle < KEPLER_BLEND and companion.kp_ratio > 0.003:
            other = _component(star, companion, star.rv + theirs)
    mjd = int(bkjd + BKJD_TO_MJD)
    return simulate_spectrum(
        teff=star.teff,
        log_g=star.log_g,
        fe_h=star.fe_h,
        alpha_fe=star.alpha_fe,
        vsini=star.rotation.vsini,
        rv=star.rv + own,
        activity=star.rotation.log_r_hk if star.log_g > 3.5 else float("nan"),
        av=star.av,
        snr_g=draw_snr(star.g, rng),
        companion=other,
        rng=rng,
        star_id=star.star_id,
        obsid=f"{900_000_000 + 4 * star.index + visit}",
        ra=star.ra,
        dec=star.dec,
        meta={
            "bkjd": bkjd,
            "lmjd": mjd,
            "planid": f"MOCK{mjd}",
            "spid": 1 + star.index % 16,
            "fiberid": 1 + star.index % 250,
        },
    )
