"""From samples to relative flux on the cadence grid: checks, quality, binning to half an hour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.errors import DamagedFile
from desa.io.damage import MAX_OVER_MEDIAN, check_possible, stuck
from desa.types import KEPLER_CADENCE_DAYS, FloatArray

HALF_HOUR_DAYS = 30.0 / 1440.0
MIN_SAMPLES = 10
MAX_CADENCES = 250_000
"""Fourteen years of long cadence; a longer grid comes from a damaged cadence number."""

MAX_DAYS = 36_525.0
"""Times further from the beginning of 2009 than a century are no times of these missions."""

BKJD_ZERO = 2454833.0
KEPLER_CADENCE_ZERO_BKJD = 108.9331
"""BKJD of cadence 0. The light travel time to the Sun moves it by up to 0.004 d: a fifth of a cadence."""

_SHORT_CADENCE_OFFSET = 11_540
"""Kepler's short cadences 30 n - 11540 and the 29 after it are taken in long cadence n."""


@dataclass(frozen=True)
class Samples:
    """Samples (N,) before they are put on a grid; time in BKJD, flux in the source's own unit.

    Parameters
    ----------
    time, cadence, flux, flux_err, quality
        (N,) each; a cadence below 0 and a time that is NaN mean no sample.
    cadence_days
        Days from one cadence number to the next.
    family
        Whose quality bits these are: ``"Kepler"``, ``"TESS"`` or ``"KEPSEISMIC"``.
    """

    time: NDArray[np.float64]
    cadence: NDArray[np.int64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    quality: NDArray[np.int64]
    cadence_days: float
    family: str = "Kepler"


def cadences_from_time(time: NDArray[np.float64], days: float) -> NDArray[np.int64]:
    """Cadence numbers of samples that have none.

    Kepler's own numbers at Kepler's long cadence (its clock ran evenly for nine years), else counted from
    BKJD 0; -1 where the time is NaN. Counted on from the first sample, so that a step a little off the
    mission's neither repeats nor skips a number.

    Parameters
    ----------
    time
        (N,) BKJD.
    days
        Step.
    """
    cadence = np.full(len(time), -1, dtype=np.int64)
    finite = np.isfinite(time)
    if finite.any():
        first = time[finite][0]
        zero = KEPLER_CADENCE_ZERO_BKJD if abs(days / KEPLER_CADENCE_DAYS - 1) < 1e-3 else 0.0
        cadence[finite] = round((first - zero) / days) + np.rint((time[finite] - first) / days).astype(
            np.int64
        )
    return cadence


@dataclass(frozen=True)
class Gridded:
    """Relative flux on the cadence grid; fields as in `desa.types.LightCurve`."""

    flux: FloatArray
    flux_err: FloatArray
    first_cadence: int
    start_bkjd: float
    cadence_days: float
    median_flux: float


def on_grid(path: str | Path, samples: Samples, mask: int) -> Gridded:
    """Put samples on the cadence grid, divided by their median.

    Parameters
    ----------
    path
        Named in errors.
    samples
        Short cadences are binned to about 30 minutes.
    mask
        Quality bits whose samples are dropped.

    Raises
    ------
    DamagedFile
        For samples that can't be a light curve: too few, not in order, times that do not follow the
        cadence numbers, a median that is not positive, all values alike.
    """
    samples = _binned(_checked(path, samples, mask))
    good = np.flatnonzero(np.isfinite(samples.flux))
    if len(good) < MIN_SAMPLES:
        raise DamagedFile(path, f"only {len(good)} good samples of {len(samples.flux)}")
    values = samples.flux[good]
    median = float(np.median(values))
    if not median > 0:
        raise DamagedFile(path, f"the median flux is {median:.3g}, so no relative flux exists")
    if values.min() == values.max():
        raise DamagedFile(path, f"every sample is {median:.6g}")
    first, last = int(samples.cadence[good[0]]), int(samples.cadence[good[-1]])
    flux = np.full(last - first + 1, np.nan, dtype=np.float32)
    flux_err = flux.copy()
    place = samples.cadence[good] - first
    flux[place] = values / median
    error = samples.flux_err[good] / median
    flux_err[place] = np.where((error > 0) & (error < MAX_OVER_MEDIAN), error, np.nan)
    return Gridded(flux, flux_err, first, _start(path, samples, good[0]), samples.cadence_days, median)


def _checked(path: str | Path, samples: Samples, mask: int) -> Samples:
    """Drop flagged samples and refuse what can't be a light curve."""
    rows = samples.cadence >= 0
    cadence, time = samples.cadence[rows], samples.time[rows]
    if len(cadence) < MIN_SAMPLES:
        raise DamagedFile(path, f"only {len(cadence)} samples")
    if np.any(np.diff(cadence) <= 0):
        raise DamagedFile(path, "cadence numbers do not increase", "download it again")
    if (cadence[-1] - cadence[0]) * samples.cadence_days > MAX_CADENCES * HALF_HOUR_DAYS:
        raise DamagedFile(path, "cadence numbers span an impossible time", "download it again")
    if np.isfinite(time).any() and abs(np.nanmedian(time)) > MAX_DAYS:
        raise DamagedFile(path, f"its times lie {np.nanmedian(time) / 365.25:.0f} years from 2009")
    flux = samples.flux[rows]
    # A flux of exactly 0 is a lost block, or how some write a missing sample.
    good = np.isfinite(time) & np.isfinite(flux) & (flux != 0) & ((samples.quality[rows] & mask) == 0)
    if good.any():
        possible = np.abs(flux) <= MAX_OVER_MEDIAN * np.median(np.abs(flux[good]))
        check_possible(path, possible[good])
        good &= possible
        if np.ptp(flux[good]) > 0:  # else all are the same, which `on_grid` says
            good &= ~stuck(flux)
    return replace(
        samples,
        time=time,
        cadence=cadence,
        flux=np.where(good, flux, np.nan),
        flux_err=samples.flux_err[rows],
        quality=samples.quality[rows],
    )


def _bins(samples: Samples) -> tuple[NDArray[np.int64], float, float] | None:
    """Number of each sample's 30-minute bin, the bin's days, and how many samples fill it.

    None where the samples are about that long already. Bins hold whole samples; cadences that do not divide
    half an hour go by their time.
    """
    count = round(
        (KEPLER_CADENCE_DAYS if samples.family == "Kepler" else HALF_HOUR_DAYS) / samples.cadence_days
    )
    if abs(count * samples.cadence_days / KEPLER_CADENCE_DAYS - 1) < 0.03:
        if count == 1:
            return None
        kepler_clock = count == 30 and samples.family == "Kepler"
        numbers = samples.cadence + (_SHORT_CADENCE_OFFSET if kepler_clock else 0)
        return numbers // count, samples.cadence_days * count, count
    share = KEPLER_CADENCE_DAYS / samples.cadence_days
    return np.floor(samples.cadence / share).astype(np.int64), KEPLER_CADENCE_DAYS, max(1.0, share)


def _binned(samples: Samples) -> Samples:
    """Bin to 30 minutes where at least half the samples of a bin are good.

    Plain means: each short exposure collects for the same time, so their mean is what a long one would have
    measured. (Weights by 1 / error^2 would follow the flux itself, by its photon noise, and make eclipses
    deeper.) The mean's error is sqrt(sum of squared errors) / n.
    """
    binning = _bins(samples)
    if binning is None:
        return samples
    bins, days, full = binning
    start = int(bins[0])
    total = int(bins[-1]) - start + 1
    good = np.isfinite(samples.flux)
    index = bins[good] - start
    counts = np.bincount(index, minlength=total).astype(np.float64)
    enough = counts >= 0.5 * full

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            return np.where(enough, np.bincount(index, values[good], total) / counts, np.nan)

    with np.errstate(all="ignore"):
        error = np.sqrt(mean(samples.flux_err**2) / counts)
    return Samples(
        time=mean(samples.time),
        cadence=start + np.arange(total),
        flux=mean(samples.flux),
        flux_err=error,
        quality=np.zeros(total, dtype=np.int64),
        cadence_days=days,
        family=samples.family,
    )


def _start(path: str | Path, samples: Samples, first: int) -> float:
    """Time of sample `first`; refuses times that do not follow the cadence numbers."""
    rows = np.flatnonzero(np.isfinite(samples.time))
    starts = samples.time[rows] - (samples.cadence[rows] - samples.cadence[first]) * samples.cadence_days
    low, typical, high = np.percentile(starts, [5, 50, 95])
    if not high - low < 1.0:
        raise DamagedFile(path, "times do not follow the cadence numbers", "download it again")
    own = float(samples.time[first])
    return own if abs(own - typical) < 0.5 * samples.cadence_days else float(typical)
