"""Light curves that a scorer of periods is trained on: labelled stars, and signals put into quiet ones."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desa.evaluation.periods import acf_peak, lomb_scargle_peak
from desa.preprocess.period_candidates import LONG_DAYS, candidates_of
from desa.progress import Report
from desa.simulate.injection import inject, piece_of
from desa.survey.stars import kic_of
from desa.survey.store import Survey
from desa.training.periods import PeriodExample
from desa.types import LightCurve

TURNS = 2.0
"""A light curve shorter than this many periods does not show them: the star counts neither way."""

MOCK_SPH = 200.0
"""ppm: mock stars less active than this count neither way."""

REAL_WEIGHT, MOCK_WEIGHT = 3.0, 0.5
"""Of labelled stars, beside 1 of an injection."""

SHORTEST_PIECE = 25.0
"""Pieces are cut from light curves longer than `LONG_DAYS`, of this many days at least."""

FIELD, FLAT = (1.17, 0.35), 0.15
"""Injections count by how common their periods are among Kepler's rotators (Santos et al. 2019, 2021: about
normal in log10 days, these its mean and standard deviation), beside a share for every period alike."""

SIGNALS = 0.85
"""Share of the drawn quiet light curves that get a signal."""

SEEN, UNSEEN = 1.0, 0.5
"""Signals larger than the first (`desa.simulate.injection.Injected.size`) count as rotation; the period of
those smaller than the second is asked for only where a candidate is near it."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A light curve of a survey, with what the methods without learning say of it.

    Parameters
    ----------
    example
        As it is trained on.
    prot
        Days by the catalogue, NaN where unknown.
    acf, lomb_scargle
        Days by the ACF and the periodogram; NaN for stars without a known period.
    """

    example: PeriodExample
    prot: float
    acf: float = float("nan")
    lomb_scargle: float = float("nan")


def labelled_of(survey: Survey, quiet: Set[int], progress: Report | None = None) -> list[Labelled]:
    """Every light curve of a survey as an example.

    Parameters
    ----------
    survey
        Its star table's ``prot`` are the known periods; stars with ``binary`` true have none.
    quiet
        KIC numbers of stars in which no rotation is seen; a known period goes before.
    progress
        Called with (light curves, light curves).
    """
    prot, binary, sph = (survey.labels(name) for name in ("prot", "binary", "sph"))
    prot = np.where(binary == 1, np.nan, prot)
    names = survey.stars.column("star_id").to_pylist()
    found = []
    for row, star in enumerate(survey.lightcurve_star.tolist()):
        curve = survey.lightcurve(row)
        span = len(curve) * curve.cadence_days
        shown = bool(prot[star] * TURNS <= span)
        mock = survey.kind == "mock"
        if mock and not sph[star] > MOCK_SPH:
            shown = False
        rotates = 1.0 if shown else np.nan
        if not np.isfinite(prot[star]) and binary[star] != 1 and kic_of(names[star] or "") in quiet:
            rotates = 0.0
        example = PeriodExample(
            candidates_of(curve),
            float(prot[star]) if shown else np.nan,
            rotates,
            MOCK_WEIGHT if mock else REAL_WEIGHT,
            names[star],
            survey.kind,
        )
        without: list[float] = []
        if shown and not mock:
            without = [find(curve.flux, curve.cadence_days)[0] for find in (acf_peak, lomb_scargle_peak)]
        found.append(Labelled(example, float(prot[star]), *without))
        if progress:
            progress(row + 1, survey.n_lightcurves)
    return found


def injections_into(
    survey: Survey, quiet: Set[int], count: int, seed: int, progress: Report | None = None
) -> list[PeriodExample]:
    """Examples of simulated spots in a survey's quiet light curves, and of these as they are.

    Missions and lengths (shorter and longer than `LONG_DAYS`) are drawn evenly; of long light curves pieces
    are taken.

    Parameters
    ----------
    survey, quiet, progress
        As in `labelled_of`.
    count
        How many.
    seed
        Of all draws.
    """
    rng = np.random.default_rng(seed)
    groups = _hosts(survey, quiet)
    found: list[PeriodExample] = []
    while groups and len(found) < count:
        rows = groups[int(rng.integers(len(groups)))]
        curve = survey.lightcurve(int(rng.choice(rows)))
        days = len(curve) * curve.cadence_days
        if days > LONG_DAYS:
            curve = piece_of(curve, float(np.exp(rng.uniform(np.log(SHORTEST_PIECE), np.log(days)))), rng)
        found.append(_injected(curve, rng))
        if progress:
            progress(len(found), count)
    return found


def _injected(curve: LightCurve, rng: np.random.Generator) -> PeriodExample:
    """A quiet light curve with a signal, or as it is."""
    if rng.random() > SIGNALS:
        return PeriodExample(candidates_of(curve), np.nan, 0.0, 1.0, curve.star_id, "injected")
    signal = inject(curve, rng)
    candidates = candidates_of(signal.curve)
    near = np.any(np.abs(candidates.periods / signal.prot - 1) < 0.1)
    prot = signal.prot if near or signal.size > UNSEEN else np.nan
    rotates = 1.0 if signal.size > SEEN else np.nan
    return PeriodExample(candidates, prot, rotates, weight_of(signal.prot), curve.star_id, "injected")


def weight_of(prot: float) -> float:
    """How much an injection of some period [d] counts: 0.15 for the rarest, 1.9 for the commonest."""
    off = (np.log10(prot) - FIELD[0]) / FIELD[1]
    return float(FLAT + 1.5 * np.exp(-0.5 * off**2) / (FIELD[1] * np.sqrt(2 * np.pi)))


def _hosts(survey: Survey, quiet: Set[int]) -> list[NDArray[np.int64]]:
    """Rows of quiet dwarfs' light curves, by mission and length."""
    prot, binary, numax = (survey.labels(name) for name in ("prot", "binary", "numax"))
    names = survey.stars.column("star_id").to_pylist()
    groups: dict[tuple[str, bool], list[int]] = {}
    for row, star in enumerate(survey.lightcurve_star.tolist()):
        known = np.isfinite(prot[star]) or np.isfinite(numax[star]) or binary[star] == 1
        if known or kic_of(names[star] or "") not in quiet:
            continue
        curve = survey.lightcurve(row)
        groups.setdefault((curve.mission, len(curve) * curve.cadence_days > LONG_DAYS), []).append(row)
    return [np.array(rows, dtype=np.int64) for _, rows in sorted(groups.items())]
