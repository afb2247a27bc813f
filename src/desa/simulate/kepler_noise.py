"""What Kepler and its pipeline add: noise, drifts after each pause, PDC's losses, flags of single stars.

White noise follows the instrument's lower envelope (Jenkins et al. 2010, ApJ 713, L120): sqrt(c + 7e6 max(1,
Kp/14)^4) / c with c = 3.46e8 * 10^(0.4 (12 - Kp)) electrons a half hour, and a scatter about it. PDC-MAP
takes slow stellar changes for the instrument's: what a straight line and a parabola a quarter can follow is
mostly lost, so periods beyond 20 to 30 d are damped (Smith et al. 2012, PASP 124, 1000; Gilliland et al.
2015, AJ 150, 133).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.simulate.calendar import Calendar

FloatArray = NDArray[np.float64]

PDC_REMOVES: Final = (0.6, 0.65, 0.4)
"""Share of the projection on Legendre polynomials of degree 1, 2, 3 that PDC takes from a quarter; set so
that slopes and curvatures of ordinary real quarters come out (`desa.simulate.check`, the half for tuning)."""
STATED_KP: Final = (9.0, 11.0, 12.5, 13.5, 14.5, 15.5, 17.0)
STATED_OVER_ENVELOPE: Final = (1.02, 1.06, 1.10, 1.29, 1.41, 1.51, 2.3)
"""Median PDCSAP_FLUX_ERR of 165 real stars over the envelope of `white_noise`."""
RED_KNEES: Final = (2.0, 0.3)
"""uHz: drifts over days, and over a month, that PDC leaves."""
RECOVERY_DAYS: Final = 1.6
COSMIC_RAYS_A_DAY: Final = 0.35
ROLLING_BAND: Final = 131072
OWN_LOSSES: Final = 0.3
"""Cadences a quarter that one star loses and others do not."""


@dataclass(frozen=True)
class Detector:
    """Noise of one star on its pixels.

    Parameters
    ----------
    white
        Standard deviation of a cadence in ppm, by season (4,).
    red
        Standard deviations in ppm of the slow noise, by component of `RED_KNEES`.
    drift
        Typical residual drift after a pause, ppm.
    crowding
        Share of the aperture's light that is the target's, by season (4,).
    rate
        Electrons per second.
    stated
        Error of a cadence in ppm that the archive states.
    """

    white: FloatArray
    red: tuple[float, float]
    drift: float
    crowding: FloatArray
    rate: float
    stated: float


def white_noise(kepmag: float) -> float:
    """Lower envelope of the noise of a half hour, in ppm."""
    c = 3.46e8 * 10 ** (0.4 * (12.0 - kepmag))
    return float(1e6 * np.sqrt(c + 7e6 * max(1.0, kepmag / 14.0) ** 4) / c)


def stated_error(kepmag: float) -> float:
    """Typical error in ppm that the archive states for a half hour: above the envelope for faint stars."""
    return white_noise(kepmag) * float(np.interp(kepmag, STATED_KP, STATED_OVER_ENVELOPE))


def draw_detector(kepmag: float, rng: np.random.Generator) -> Detector:
    """Noise of a star of a magnitude."""
    floor = white_noise(kepmag)
    season = np.exp(0.04 * rng.standard_normal(4))
    # The stated error counts electrons; what scatters beyond it is a few per cent in most stars.
    stated = stated_error(kepmag) * float(np.exp(0.06 * rng.standard_normal()))
    excess = 1.04 + rng.gamma(1.0, 0.06)
    crowding = 1.0 - np.clip(rng.gamma(1.1, 0.025 * 10 ** (0.15 * (kepmag - 13.0)), 4), 0.0005, 0.4)
    return Detector(
        white=np.hypot(stated * excess, 6.0) * season,
        red=(
            float(np.hypot(35.0, 0.15 * floor) * rng.lognormal(0.0, 0.4)),
            float(np.hypot(170.0, 0.3 * floor) * rng.lognormal(0.0, 0.6)),
        ),
        drift=float(np.hypot(30.0, 0.25 * floor) * rng.lognormal(0.0, 0.7)),
        crowding=crowding,
        rate=float(2.18e5 * 10 ** (0.4 * (12.0 - kepmag))),
        stated=stated,
    )


def red_power(frequency: FloatArray, sigmas: tuple[float, float]) -> FloatArray:
    """Power density in ppm^2/uHz of slow noise: components flat below their knee, then falling as nu^-2.

    Parameters
    ----------
    frequency
        (N,) uHz, from 0 in even steps.
    sigmas
        Standard deviations in ppm, by component of `RED_KNEES`.
    """
    power = np.zeros_like(frequency)
    for sigma, knee in zip(sigmas, RED_KNEES, strict=True):
        power += sigma**2 * 2.0 / (np.pi * knee) / (1.0 + (frequency / knee) ** 2)
    return power


def without_trend(flux: FloatArray, good: NDArray[np.bool_]) -> FloatArray:
    """A quarter (n,) about 1 as PDC leaves it: most of a slow polynomial taken out."""
    # The terms are slow: every eighth cadence is enough to fit them.
    few = np.flatnonzero(good)[::8]
    if len(few) < 20:
        return flux
    x = 2.0 * (np.arange(len(flux)) - few[0]) / (few[-1] - few[0]) - 1.0
    terms = np.polynomial.legendre.legvander(x[few], 3)
    fitted = np.linalg.solve(terms.T @ terms, terms.T @ flux[few])
    lost = np.array([0.0, *PDC_REMOVES]) * fitted
    return np.asarray(flux - np.polynomial.legendre.legval(x, lost))


def pauses(lost: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First cadences after gaps of at least half a day, and 0."""
    padded = np.concatenate([[False], lost, [False]]).astype(np.int8)
    steps = np.diff(padded)
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    after = stops[(stops - starts) > 20]
    return np.concatenate([[0], after[after < len(lost)]])


def drifts(lost: NDArray[np.bool_], detector: Detector, rng: np.random.Generator) -> FloatArray:
    """Relative flux (n,) of what is left of the thermal recoveries after each pause of a quarter."""
    n = len(lost)
    out = np.zeros(n)
    decay = RECOVERY_DAYS * 48.94
    for start in pauses(lost):
        height = 1e-6 * detector.drift * rng.standard_normal() * 1.5
        stop = min(n, int(start + 6 * decay))
        out[start:stop] += height * np.exp(-np.arange(stop - start) / decay)
    return out


def outliers(length: int, kepmag: float, rng: np.random.Generator) -> FloatArray:
    """Impulses (n,) in units of the white noise: mostly cosmic rays that the pipeline left.

    Numbers and sizes are set so that, noise included, about 0.25 % of the cadences lie above 4 sigma of
    their neighbours and 0.05 % below, as in quiet stars of data releases 12 and 25; the sizes of bright
    stars fall as a shallower power law.
    """
    slope = float(np.interp(kepmag, (12.5, 14.5), (1.8, 5.0)))
    out = np.zeros(length)
    for sign, share, steepness in ((1.0, 0.0011, slope), (-1.0, 0.00004, 5.0)):
        number = int(rng.poisson(length * share * 1.6**steepness))
        size = 2.5 * (1.0 - rng.random(number)) ** (-1.0 / steepness)
        out[rng.integers(0, length, number)] += sign * np.minimum(size, 60.0)
    return out


def own_flags(length: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Quality bits (n,) that only this star has: cosmic rays, outliers taken out, rolling bands."""
    flags = np.zeros(length, dtype=np.int32)
    days = length / 48.94
    for bit, mean in (
        (128, COSMIC_RAYS_A_DAY * days),
        (8192, 0.9 * days),
        (2048, 0.03 * days),
        (1024, 0.01 * days),
    ):
        flags[rng.integers(0, length, int(rng.poisson(mean)))] |= bit
    if rng.random() < 0.15:
        start = int(rng.integers(0, length))
        flags[start : start + int(rng.integers(100, 800))] |= ROLLING_BAND
    return flags


def own_losses(calendar: Calendar, place: slice, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Cadences (n,) of a quarter that only this star loses."""
    length = place.stop - place.start
    lost = np.zeros(length, dtype=bool)
    lost[rng.integers(0, length, int(rng.poisson(OWN_LOSSES)))] = True
    return lost | calendar.lost[place]
