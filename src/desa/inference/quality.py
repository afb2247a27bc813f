"""When not to trust a prediction, and why: flags with their reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from desa.types import LightCurve, Spectrum, best_window


class Flag(IntFlag):
    """Bits of a label's flag; 0 means that nothing speaks against it."""

    GOOD = 0
    WRONG_MODALITY = 1
    LOW_SNR = 2
    FEW_SAMPLES = 4
    UNLIKE_TRAINING = 8
    NO_CALIBRATION = 16
    FEW_PERIODS = 32
    NOT_A_STAR = 64
    NO_REDSHIFT = 128
    NO_ROTATION = 256
    MOCK_TRUTH = 512
    HOTTER = 1024


OUTSIDE = Flag.UNLIKE_TRAINING | Flag.NOT_A_STAR | Flag.HOTTER
"""A spectrum with one of these is of no star that the model knows: its labels get no interval."""


@dataclass(frozen=True)
class Limits:
    """Beyond what a prediction is flagged.

    Parameters
    ----------
    snr_g
        Least signal-to-noise of a spectrum in g.
    good_days
        Least total of a light curve's good samples in days, in the window that the model reads.
    good_share
        Least share of good samples in that window, and of good pixels in a spectrum.
    p_value
        A star whose p-value is lower lies outside the training range (`desa.models.reference`).
    periods
        Least number of rotation periods that a light curve must span.
    rotation
        Least probability that a light curve shows rotation at all.
    """

    snr_g: float = 10.0
    good_days: float = 20.0
    good_share: float = 0.5
    p_value: float = 0.01
    periods: float = 2.0
    rotation: float = 0.5


@dataclass(frozen=True)
class SpectrumAnswer:
    """What a model's check (`desa.models.spectrum_check`) says of one spectrum.

    Parameters
    ----------
    temperature
        K, by a linear fit.
    p_value, least
        Of what the known spectra's components leave over, and the smallest that there can be.
    threshold, hottest
        K; beyond which temperature by that fit a star is hotter than the model's, and where the labels end.
    """

    temperature: float
    p_value: float
    least: float
    threshold: float
    hottest: float


@dataclass(frozen=True)
class Doubt:
    """One reason not to trust; the flag is a bit of `Flag`, or of another table's flags."""

    flag: IntFlag
    reason: str


def flag_and_reason(doubts: Sequence[Doubt]) -> tuple[int, str]:
    """All the bits, and all the reasons in one line."""
    bits = 0
    for doubt in doubts:
        bits |= int(doubt.flag)
    return bits, "; ".join(dict.fromkeys(doubt.reason for doubt in doubts))


def bits_in_words(flags: type[IntFlag]) -> str:
    """What each bit means, for a table's ``meta``."""
    return ", ".join(f"{flag.value} {str(flag.name).lower()}" for flag in flags)


def snr_of(spectrum: Spectrum) -> float:
    """S/N in g by the file; where it says none, the median of flux over error at 4000 to 5500 Angstrom."""
    told = spectrum.snr.get("g", np.nan)
    if np.isfinite(told) and told > 0:
        return float(told)
    wavelength = spectrum.wavelength
    rows = spectrum.valid & (wavelength > 4000) & (wavelength < 5500)
    if not rows.any():
        return 0.0
    return float(np.median(spectrum.flux[rows] * np.sqrt(spectrum.ivar[rows])))


@dataclass(frozen=True)
class Sampling:
    """The window of a light curve that the model reads: days of good samples, span, share of good ones."""

    good_days: float
    span_days: float
    good_share: float


def sampling_of(curve: LightCurve, length: int) -> Sampling:
    """How well the window of most good samples is covered."""
    good = np.flatnonzero(np.isfinite(curve.flux[best_window(curve.flux, length)]))
    if not len(good):
        return Sampling(0.0, 0.0, 0.0)
    span = int(good[-1] - good[0]) + 1
    return Sampling(len(good) * curve.cadence_days, span * curve.cadence_days, len(good) / span)


def _novelty(p_value: float, least: float, what: str, limits: Limits) -> list[Doubt]:
    # With few calibration stars no p-value is below the limit: then the one beyond all of them counts.
    if not p_value < max(limits.p_value, 1.5 * least):
        return []
    return [
        Doubt(Flag.UNLIKE_TRAINING, f"{what} unlike those that the model was trained on (p = {p_value:.2g})")
    ]


def spectrum_doubts(spectrum: Spectrum, p_value: float, least: float, limits: Limits) -> list[Doubt]:
    """What speaks against a spectrum.

    Parameters
    ----------
    spectrum
        The spectrum.
    p_value, least
        Of the star's features, and the smallest that the reference can give; NaN where the model has none.
    limits
        What is enough.
    """
    found = []
    snr = snr_of(spectrum)
    if snr < limits.snr_g:
        found.append(Doubt(Flag.LOW_SNR, f"S/N in g is {snr:.1f}, below {limits.snr_g:g}"))
    share = float(spectrum.valid.mean()) if len(spectrum) else 0.0
    if share < limits.good_share:
        found.append(Doubt(Flag.FEW_SAMPLES, f"only {share:.0%} of the pixels are good"))
    if spectrum.object_class.upper() not in ("", "STAR") or not spectrum.meta.get("is_star", True):
        found.append(
            Doubt(Flag.NOT_A_STAR, f"classed as {spectrum.object_class or 'no star'}, not as a star")
        )
    if not np.isfinite(spectrum.z):
        found.append(Doubt(Flag.NO_REDSHIFT, "no radial velocity given: taken as 0"))
    return found + _novelty(p_value, least, "a spectrum", limits)


def range_doubts(answer: SpectrumAnswer, told: float, limits: Limits) -> list[Doubt]:
    """What speaks against a spectrum by its pixels, whatever the encoder makes of them.

    Parameters
    ----------
    answer
        Of `desa.inference.known_spectra`.
    told
        K; the temperature that the model's head gives, NaN without one.
    limits
        What is enough.
    """
    found = []
    if answer.temperature > answer.threshold or told > answer.hottest:
        hot = max(answer.temperature, told if np.isfinite(told) else 0.0)
        where = "hotter than" if hot > answer.hottest else "at the hot end of"
        found.append(
            Doubt(
                Flag.HOTTER,
                f"{where} the model's stars: about {round(hot, -2):.0f} K by its pixels; the model's "
                f"labels end at {answer.hottest:.0f} K",
            )
        )
    if answer.p_value < max(limits.p_value, 1.5 * answer.least):
        reason = (
            f"a spectrum with features of no kind of star that the model knows (p = {answer.p_value:.2g})"
        )
        found.append(Doubt(Flag.UNLIKE_TRAINING, reason))
    return found


def lightcurve_doubts(sampling: Sampling, p_value: float, least: float, limits: Limits) -> list[Doubt]:
    """What speaks against a light curve; parameters as `spectrum_doubts`."""
    found = []
    if sampling.good_days < limits.good_days:
        found.append(
            Doubt(
                Flag.FEW_SAMPLES,
                f"only {sampling.good_days:.1f} d of good samples, below {limits.good_days:g}",
            )
        )
    elif sampling.good_share < limits.good_share:
        found.append(Doubt(Flag.FEW_SAMPLES, f"gaps: only {sampling.good_share:.0%} of the samples are good"))
    return found + _novelty(p_value, least, "a light curve", limits)


def period_doubts(prot: float, span_days: float, limits: Limits) -> list[Doubt]:
    """What speaks against a rotation period [d] from a light curve of some span [d]."""
    if not np.isfinite(prot) or prot * limits.periods <= span_days:
        return []
    return [
        Doubt(Flag.FEW_PERIODS, f"the light curve spans {span_days:.0f} d, {span_days / prot:.1f} periods")
    ]


def rotation_doubts(probability: float, limits: Limits) -> list[Doubt]:
    """What speaks against a rotation period by the probability that there is a rotation signal at all."""
    if not probability < limits.rotation:
        return []
    return [Doubt(Flag.NO_ROTATION, f"no rotation signal is seen (probability {probability:.2f})")]
