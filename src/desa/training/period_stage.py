"""The stage that trains a finder of rotation periods on surveys, and the table that says what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.catalogs.labels import read_labels
from desa.errors import DesaError
from desa.evaluation.metrics import auc, auc_error
from desa.files import written_whole
from desa.inference.quality import Limits
from desa.models.period_finder import PeriodFinder, write_finder
from desa.models.period_intervals import LEAST
from desa.progress import Report
from desa.provenance import provenance
from desa.report.markdown import table_text
from desa.report.page import Table
from desa.survey.store import Survey
from desa.training.period_calibration import HeldOut, held_out, period_calibration, rotation_calibration
from desa.training.period_examples import Labelled, injections_into, labelled_of
from desa.training.periods import STEPS, PeriodExample, train_scorer

Array = NDArray[np.float64]

INJECTIONS = 3000
LEAST_STARS = 20
"""Light curves of known period that there must be."""

PERIODS = (0.15, 3.0, 8.0, 15.0, 150.0)
"""Days; groups of the coverage table."""

BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
REPORT = "periods.md"

FLAGGED = Limits().rotation

K2 = "K2"
K2_NOTE = (
    " The known periods of the Hyades in K2 are Lomb-Scargle periods of these same light curves (Douglas et "
    "al. 2019): there Lomb-Scargle is compared with itself, and so in part is what chooses among its peaks."
)


def train_finder(
    surveys: Sequence[Survey],
    quiet: Sequence[str | Path],
    out: str | Path,
    *,
    injections: int = INJECTIONS,
    seed: int = 0,
    steps: int = STEPS,
    progress: Report | None = None,
) -> PeriodFinder:
    """Train a finder of periods, calibrate it by cross-validation, and write both finder and table.

    Parameters
    ----------
    surveys
        With known periods (``prot``). Real ones are cross-validated and calibrate; mock ones only train.
    quiet
        Tables of stars in which no rotation is seen, by KIC number: examples of none, and hosts of
        injections.
    out
        A model's folder, or a new one: gets ``periods.safetensors`` and ``periods.md``.
    injections
        Signals put into the quiet stars of each real survey.
    seed, steps
        Of everything random, and of each training.
    progress
        Called with (done, all) for each part of the reading.

    Raises
    ------
    DesaError
        If fewer than `LEAST_STARS` real light curves have a known period.
    """
    numbers = {
        int(kic)
        for path in quiet
        for kic in read_labels(path, keys_only=True).keys.get("kic", ())
        if kic is not None
    }
    real: list[Labelled] = []
    others: list[PeriodExample] = []
    for survey in surveys:
        found = labelled_of(survey, numbers, progress)
        if survey.kind == "mock":
            others += [one.example for one in found]
        else:
            real += found
            others += injections_into(survey, numbers, injections, seed, progress)
    real = [one for one in real if _useful(one.example)]
    others = [one for one in others if _useful(one)]
    known = sum(np.isfinite(one.example.prot) for one in real)
    if known < LEAST_STARS:
        raise DesaError(f"{known} real light curves show a known period; {LEAST_STARS} are needed")
    cross = held_out(real, others, seed=seed, steps=steps)
    everything = np.ones(len(real), dtype=bool)
    scorer = train_scorer([*(one.example for one in real), *others], seed=seed, steps=steps)
    facts = provenance(
        data=", ".join(f"{survey.kind} survey {survey.identity}" for survey in surveys),
        known_periods=int(known),
        injections=sum(one.kind == "injected" for one in others),
        mock=sum(one.kind == "mock" for one in others),
        seed=seed,
        steps=steps,
    )
    finder = PeriodFinder(
        scorer,
        period_calibration(cross, real, everything),
        rotation_calibration(cross, real, everything),
        {**facts, "stars": f"{known} real light curves of known period (held out in cross-validation)"},
    )
    write_finder(out, finder)
    text = report(real, cross, facts)
    with written_whole(Path(out) / REPORT) as scratch:
        scratch.write_text(text, encoding="utf-8")
    return finder


def _useful(example: PeriodExample) -> bool:
    told = np.isfinite(example.prot) or np.isfinite(example.rotates)
    return bool(told and len(example.candidates.periods))


def report(real: Sequence[Labelled], found: HeldOut, facts: Mapping[str, object]) -> str:
    """Tables of what the finder is worth on stars that it has not seen, as Markdown."""
    tables = [
        _periods(real, found),
        _wrong(real, found),
        _coverage(real, found),
        _rotation(real, found),
        _reliability(real, found),
    ]
    lead = (
        "Real light curves in five-fold cross-validation by star: no star is in training and test, nor is "
        "its noise with an injected signal in it. Known periods are the catalogues'; a light curve counts "
        "where it spans two of them or more. ACF and Lomb-Scargle periodogram, without learning, on the same "
        "light curves."
    )
    made = "\n".join(f"{name}: {value}" for name, value in facts.items())
    parts = [
        f"# Rotation periods\n\nData: **real stars**\n\n{lead}",
        *map(table_text, tables),
        f"```text\n{made}\n```\n",
    ]
    return "\n\n".join(parts)


def _share(right: NDArray[np.bool_]) -> str:
    share = float(right.mean())
    return f"{share:.3f} ± {np.sqrt(share * (1 - share) / len(right)):.3f}"


def _groups(real: Sequence[Labelled], rows: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
    names = np.array([one.example.candidates.kind for one in real])
    return {str(name): np.flatnonzero(rows & (names == name)) for name in np.unique(names[rows])}


def _periods(real: Sequence[Labelled], found: HeldOut) -> Table:
    truth = np.array([one.example.prot for one in real])
    methods = {
        "desa": 10**found.log_period,
        "ACF": np.array([one.acf for one in real]),
        "Lomb-Scargle": np.array([one.lomb_scargle for one in real]),
    }
    lines = []
    for name, rows in _groups(real, np.isfinite(truth)).items():
        for method, periods in methods.items():
            share = np.abs(periods[rows] / truth[rows] - 1)
            off = np.abs(np.log10(periods[rows] / truth[rows]))
            off = off[np.isfinite(off)]
            error = off.std(ddof=1) / np.sqrt(len(off)) if len(off) > 1 else np.nan
            dex = f"{off.mean():.3f} ± {error:.3f}"
            lines.append((name, method, str(len(rows)), _share(share <= 0.1), _share(share <= 0.05), dex))
    columns = ("light curves", "method", "N", "within 10 %", "within 5 %", "mean error, dex")
    note = "Periods; a method that finds none is wrong. Errors are standard errors."
    return Table(columns, lines, note + (K2_NOTE if any(line[0] == K2 for line in lines) else ""))


def _wrong(real: Sequence[Labelled], found: HeldOut) -> Table:
    truth = np.array([one.example.prot for one in real])
    nearest = np.array([_nearest(one.example) for one in real])
    ratio = 10**found.log_period / truth
    lines = []
    for name, rows in _groups(real, np.abs(ratio - 1) > 0.1).items():
        missed = nearest[rows] > 0.1
        near = {aim: ~missed & (np.abs(ratio[rows] / aim - 1) <= 0.1) for aim in (0.5, 2.0)}
        slight = ~missed & (np.abs(ratio[rows] - 1) <= 0.25)
        other = ~(missed | slight | near[0.5] | near[2.0])
        turns = np.median([real[row].example.candidates.span / truth[row] for row in rows])
        counts = [part.sum() for part in (missed, near[0.5], near[2.0], slight, other)]
        lines.append((name, str(len(rows)), *(str(int(count)) for count in counts), f"{turns:.1f}"))
    columns = ("light curves", "wrong", "no candidate", "half", "double", "by 10 to 25 %", "else", "turns")
    note = (
        "Periods that are wrong by more than 10 %: stars for which no candidate lies within 10 % of the "
        "truth, then what was chosen where one does; last the median number of turns of the wrong ones."
    )
    return Table(columns, lines, note)


def _nearest(example: PeriodExample) -> float:
    """Share by which the nearest candidate is off."""
    return float(np.min(np.abs(example.candidates.periods / example.prot - 1), initial=np.inf))


def _coverage(real: Sequence[Labelled], found: HeldOut) -> Table:
    truth = np.log10([one.example.prot for one in real])
    groups = _groups(real, np.isfinite(truth))
    for low, high in pairwise(PERIODS):
        told = np.isfinite(truth) & (10**found.log_period >= low) & (10**found.log_period < high)
        groups[f"period said to be {low:g} to {high:g} d"] = np.flatnonzero(told)
    groups["all"] = np.flatnonzero(np.isfinite(truth))
    lines = []
    for name, rows in groups.items():
        if not len(rows):
            continue
        cells = [name, str(len(rows))]
        for coverage in sorted(found.low):
            bottom, top = found.low[coverage][rows], found.high[coverage][rows]
            held = (bottom <= truth[rows]) & (truth[rows] <= top)
            cells += [_share(held), f"{np.nanmedian(top - bottom):.3f}"]
        lines.append(tuple(cells))
    columns = ["light curves", "N"]
    for coverage in sorted(found.low):
        columns += [f"in {coverage:.0%} interval", "median width, dex"]
    note = (
        "Intervals, each fold's calibrated on the other four, by mission and length where there are "
        f"{LEAST} stars (else by mission)."
    )
    return Table(tuple(columns), lines, note)


def _rotation(real: Sequence[Labelled], found: HeldOut) -> Table:
    told = np.array([one.example.rotates for one in real])
    lines = []
    for name, rows in _groups(real, np.isfinite(told)).items():
        truth = told[rows] == 1
        members, others = int(truth.sum()), int((~truth).sum())
        area = auc(truth, found.probability[rows])
        told_as = (
            f"{area:.3f} ± {auc_error(area, members, others):.3f}" if members and others else "one kind only"
        )
        flagged = found.probability[rows] < FLAGGED
        shares = (_share(flagged[kind]) if kind.any() else "" for kind in (truth, ~truth))
        lines.append((name, str(members), str(others), told_as, *shares))
    columns = ("light curves", "rotators", "quiet", "AUC", "rotators flagged", "quiet flagged")
    note = f"Is there a rotation signal? Flagged: its probability is below {FLAGGED:g}, as in `desa predict`."
    return Table(columns, lines, note)


def _reliability(real: Sequence[Labelled], found: HeldOut) -> Table:
    told = np.array([one.example.rotates for one in real])
    lines = []
    for low, high in pairwise(BINS):
        rows = np.isfinite(told) & (found.probability >= low) & (found.probability < high + (high == 1.0))
        if rows.any():
            lines.append(
                (
                    f"{low:g} to {high:g}",
                    str(int(rows.sum())),
                    f"{found.probability[rows].mean():.2f}",
                    _share(told[rows] == 1),
                )
            )
    columns = ("probability of rotation", "N", "mean", "share that rotates")
    return Table(columns, lines, "Calibration of that probability, each fold's on the other four.")
