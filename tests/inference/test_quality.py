from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from desa.inference.quality import (
    Doubt,
    Flag,
    Limits,
    flag_and_reason,
    lightcurve_doubts,
    period_doubts,
    sampling_of,
    snr_of,
    spectrum_doubts,
)
from desa.types import KEPLER_CADENCE_DAYS
from helpers.stars import curve, spectrum

LIMITS = Limits()


def days(count: float) -> int:
    """Long cadences in so many days."""
    return int(count / KEPLER_CADENCE_DAYS)


def flags(found: list[Doubt]) -> int:
    return flag_and_reason(found)[0]


def test_a_good_star_has_no_doubts() -> None:
    assert spectrum_doubts(spectrum(snr=30.0), 0.5, 0.001, LIMITS) == []
    assert lightcurve_doubts(sampling_of(curve(length=days(180)), 8640), 0.5, 0.001, LIMITS) == []
    assert flag_and_reason([]) == (0, "")


def test_each_doubt_of_a_spectrum() -> None:
    found = spectrum_doubts(spectrum(snr=6.21), np.nan, np.nan, LIMITS)
    assert found == [Doubt(Flag.LOW_SNR, "S/N in g is 6.2, below 10")]
    assert spectrum_doubts(spectrum(snr=6.21), 0.5, 0.001, Limits(snr_g=5)) == []
    assert flags(spectrum_doubts(spectrum(snr=30.0, bad=0.6), 0.5, 0.001, LIMITS)) == Flag.FEW_SAMPLES
    galaxy = replace(spectrum(snr=30.0), object_class="GALAXY", z=np.nan)
    bits, words = flag_and_reason(spectrum_doubts(galaxy, 0.5, 0.001, LIMITS))
    assert bits == Flag.NOT_A_STAR | Flag.NO_REDSHIFT
    assert words == "classed as GALAXY, not as a star; no radial velocity given: taken as 0"


def test_snr_is_measured_where_the_file_says_none() -> None:
    assert snr_of(spectrum(snr=31.5)) == 31.5
    assert snr_of(replace(spectrum(snr=30.0), snr={})) == pytest.approx(30.0, rel=0.01)
    assert snr_of(replace(spectrum(snr=np.nan), ivar=np.zeros(3909, np.float32))) == 0.0


@pytest.mark.parametrize(("p", "least", "flagged"), [
    (0.2, 0.001, False), (0.009, 0.001, True), (0.011, 0.001, False),
    (1 / 51, 1 / 51, True), (2 / 51, 1 / 51, False), (np.nan, np.nan, False),
])  # fmt: skip
def test_unlike_the_training_stars(p: float, least: float, flagged: bool) -> None:
    expected = Flag.UNLIKE_TRAINING if flagged else 0
    assert flags(spectrum_doubts(spectrum(snr=30.0), p, least, LIMITS)) == expected
    assert flags(lightcurve_doubts(sampling_of(curve(length=days(90)), 8640), p, least, LIMITS)) == expected


def test_light_curves_that_are_short_or_full_of_gaps() -> None:
    short, holes = (lightcurve_doubts(sampling_of(c, 8640), 0.5, 0.01, LIMITS)
                    for c in (curve(length=days(12)), curve(length=days(170), gaps=0.55)))  # fmt: skip
    assert short[0].reason == "only 12.0 d of good samples, below 20" and short[0].flag == Flag.FEW_SAMPLES
    assert holes[0].reason.startswith("gaps: only 4")
    one = sampling_of(curve(length=days(300)), 8640)
    assert one.good_days == pytest.approx(one.span_days) == pytest.approx(8640 * 0.020433598)
    empty = curve(flux=np.full(50, np.nan))
    assert sampling_of(empty, 8640).good_share == 0


def test_a_period_needs_two_of_it_in_the_light_curve() -> None:
    assert period_doubts(20.0, 90.0, LIMITS) == []
    assert period_doubts(np.nan, 90.0, LIMITS) == []
    assert period_doubts(60.0, 90.0, LIMITS)[0].reason == "the light curve spans 90 d, 1.5 periods"


def test_the_same_reason_is_said_once() -> None:
    twice = [Doubt(Flag.LOW_SNR, "a"), Doubt(Flag.LOW_SNR, "a"), Doubt(Flag.NOT_A_STAR, "b")]
    assert flag_and_reason(twice) == (Flag.LOW_SNR | Flag.NOT_A_STAR, "a; b")
