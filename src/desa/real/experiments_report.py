"""The real experiments as figures and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from desa.evaluation.score import Score
from desa.real.data import LABELS
from desa.report.figures import LABEL_TEXT
from desa.report.maps import save_figure
from desa.report.markdown import write_with_text
from desa.report.page import Figure, Page, Part, Table

Array = NDArray[np.float64]

DATA = "real stars"
OWN_HEAD = "own head, no real label"


@dataclass(frozen=True)
class Row:
    """A score with what it is of.

    Parameters
    ----------
    features, learner
        What was learnt from, and by what.
    score
        The number.
    """

    features: str
    learner: str
    score: Score

    def tidy(self) -> dict[str, Any]:
        """One line of the table."""
        return {"data": DATA, "features": self.features, "learner": self.learner, **asdict(self.score)}


FEW, KINDS, NUMBERS = "few labels", "kinds of light curve", "numbers of light curves"
UNITS = {"teff": "K", "log_g": "dex", "fe_h": "dex", "prot": "d", "numax": "uHz"}


def _cell(row: Row) -> str:
    digits = 0 if row.score.value >= 100 else 1 if row.score.value >= 10 else 3
    return f"{row.score.value:.{digits}f} ± {row.score.error:.{digits}f}"


def _named(row: Row) -> str:
    return row.features if row.learner == "no learning" else f"{row.features}, {row.learner}"


def _pick(rows: Sequence[Row], task: str, label: str, metric: str) -> dict[str, dict[str, Row]]:
    """Name -> part -> row."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if (row.score.task, row.score.label, row.score.metric) == (task, label, metric):
            found.setdefault(_named(row), {})[row.score.part] = row
    return found


def _share(part: str) -> float:
    """5 of ``"5 %"``."""
    return float(part.split()[0])


def few_label_table(rows: Sequence[Row], label: str) -> Table:
    """MAE against the share of labels, a line a feature set."""
    found = _pick(rows, FEW, label, "mae")
    parts = sorted({part for by_part in found.values() for part in by_part}, key=_share)
    lines = [
        [name, *(_cell(by_part[part]) if part in by_part else "" for part in parts)]
        for name, by_part in found.items()
    ]
    chances = {part: row.score.chance for by_part in found.values() for part, row in by_part.items()}
    chance = ["median of the labels given (chance)", *(f"{chances[part]:.3g}" for part in parts)]
    caption = (
        f"Mean absolute error of {LABEL_TEXT[label]} on the stars whose label was not given, mean over draws "
        f"of the labels ± standard error. Real LAMOST spectra, labels of the survey's own pipeline."
    )
    return Table(["features", *(f"{part} of labels" for part in parts)], [*lines, chance], caption)


def few_label_figure(rows: Sequence[Row]) -> Canvas:
    """MAE against the share of labels, a panel a label."""
    canvas = Canvas(figsize=(12.5, 4.6), layout="constrained")
    axes = canvas.subplots(1, len(LABELS))
    handles: dict[str, Any] = {}
    for axis, label in zip(axes, LABELS, strict=True):
        for place, (name, by_part) in enumerate(_pick(rows, FEW, label, "mae").items()):
            x = [_share(part) for part in by_part]
            y = [row.score.value for row in by_part.values()]
            if OWN_HEAD in name:
                handles[name] = axis.axhline(y[0], color="0.4", ls=":")
                continue
            style = "--" if name.startswith(("line", "components", "untrained")) else "-"
            handles[name] = axis.errorbar(
                x,
                y,
                [row.score.error for row in by_part.values()],
                marker="o",
                ms=3,
                capsize=2,
                ls=style,
                color=f"C{place}",
            )
            axis.set_xscale("log")
            axis.set_xticks(x, [f"{value:g}" for value in x])
        axis.set(yscale="log", xlabel="share of labels given [%]")
        axis.set(ylabel=f"mean absolute error, {LABEL_TEXT[label]}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_locator(NullLocator())
    canvas.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    canvas.suptitle("Real LAMOST spectra: few labels")
    return canvas


def kinds_table(rows: Sequence[Row]) -> Table:
    """AUC and average precision of each kind."""
    labels = list(dict.fromkeys(row.score.label for row in rows if row.score.task == KINDS))
    columns = ["features"]
    lines: dict[str, list[str]] = {}
    chances = ["chance"]
    for label in labels:
        for metric, title in (("auc", "AUC"), ("average_precision", "average precision")):
            found = _pick(rows, KINDS, label, metric)
            columns.append(f"{label}: {title}")
            for name, by_part in found.items():
                lines.setdefault(name, []).append(_cell(by_part[""]))
            chances.append(f"{next(iter(found.values()))[''].score.chance:.3f}")
    caption = (
        "Out of fold (5 folds by star, stratified, repeated), ± standard error. Real Kepler light curves of "
        "one quarter; eclipsing binaries of Kirk et al. (2016), giants with numax of Yu et al. (2018) or "
        "log g below 3.5 in Huber et al. (2014); eclipsing binaries are left out of the giants' test."
    )
    return Table(columns, [*([name, *cells] for name, cells in lines.items()), chances], caption)


def numbers_table(rows: Sequence[Row], label: str) -> Table:
    """MAE, share within 10 % and R2 of a number."""
    metrics = {"mae": f"MAE [{UNITS[label]}]", "within_10": "within 10 %", "r2": "R2"}
    found = {metric: _pick(rows, NUMBERS, label, metric) for metric in metrics}
    names = list(found["mae"])
    lines = [[name, *(_cell(found[metric][name][""]) for metric in metrics)] for name in names]
    first = names[0]
    chance = ["chance", *(f"{found[metric][first][''].score.chance:.3f}" for metric in metrics)]
    count = found["mae"][first][""].score.n
    caption = (
        f"{LABEL_TEXT.get(label, label)} of {count} real stars, out of fold, ± standard error over stars and "
        "folds. So few stars leave wide errors: most differences in this table are none."
    )
    return Table(["features", *metrics.values()], [*lines, chance], caption)


def numbers_figure(arrays: Mapping[str, Array], label: str) -> Canvas:
    """Predicted against catalogue, a panel a method."""
    truth = arrays[f"{label}/truth"]
    methods = [name for name in arrays if name.startswith(f"{label}/") and not name.endswith("/truth")]
    columns = min(4, len(methods))
    lines = -(-len(methods) // columns)
    canvas = Canvas(figsize=(3.1 * columns, 3.1 * lines + 0.3), layout="constrained")
    axes = canvas.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    unit, low, high = UNITS[label], 0.4 * truth.min(), 2.5 * truth.max()
    for axis, name in zip(axes.flat, methods, strict=False):
        axis.plot([low, high], [low, high], color="0.6", lw=1)
        axis.scatter(truth, np.clip(arrays[name], low, high), s=12, alpha=0.8, linewidths=0)
        axis.set(xscale="log", yscale="log", xlim=(0.9 * low, 1.1 * high), ylim=(0.9 * low, 1.1 * high))
        axis.set_title(name.split("/", 1)[1].replace(", ", ",\n", 1), fontsize="small")
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            scale.set_minor_locator(NullLocator())
    for axis in axes.flat[len(methods) :]:
        axis.set_axis_off()
    canvas.supxlabel(f"catalogue {label} [{unit}]")
    canvas.supylabel(f"predicted {label} [{unit}]")
    canvas.suptitle(f"{len(truth)} real Kepler stars: {label}")
    return canvas


def _picture(out: Path, name: str, canvas: Canvas, caption: str, alt: str) -> Figure:
    save_figure(canvas, out / name)
    return Figure((out / name).read_bytes(), caption, alt)


def write_report(
    out: Path, rows: Sequence[Row], arrays: Mapping[str, Array], facts: Mapping[str, Any]
) -> None:
    """Figures as PNG files, ``report.html``, and its tables as ``report.md``.

    Parameters
    ----------
    out
        The folder.
    rows, arrays
        What was found.
    facts
        ``counts`` and ``provenance``.
    """
    parts = []
    if any(row.score.task == FEW for row in rows):
        picture = _picture(
            out,
            "few_labels.png",
            few_label_figure(rows),
            "Error on stars whose label was not given. Broken lines: controls that learn nothing beforehand.",
            "errors that fall with the share of labels",
        )
        parts.append(
            Part(
                "Spectra: few labels",
                f"{facts['counts']['spectra']} real LAMOST spectra, one a star. A share of the labels is "
                "given to a ridge regression (or boosted trees) on fixed features; the other stars are "
                "predicted. Encoders of the mock survey saw mock labels; those that filled masks saw the "
                "real pixels of all these stars, and no real label.",
                [picture, *(few_label_table(rows, label) for label in LABELS)],
            )
        )
    if any(row.score.task == KINDS for row in rows):
        parts.append(
            Part(
                "Light curves: kinds of star",
                f"{facts['counts']['light curves']} real Kepler light curves of at most one quarter.",
                [kinds_table(rows)],
            )
        )
    for label in ("prot", "numax"):
        if f"{label}/truth" not in arrays:
            continue
        name = {"prot": "rotation period", "numax": "numax of giants"}[label]
        text = "Learnt on log10 by ridge regression (or boosted trees), cross-validated by star."
        if label == "prot":
            text += " ACF and Lomb-Scargle peaks learn nothing. Periods beyond half a quarter can't be seen."
        picture = _picture(
            out,
            f"{label}.png",
            numbers_figure(arrays, label),
            "Median over the repeats of the cross-validation; points beyond the frame are on it. Real stars.",
            "predicted against catalogue",
        )
        parts.append(Part(f"Light curves: {name}", text, [picture, numbers_table(rows, label)]))
    title = "What few real labels say of the encoders"
    lead = (
        "Encoders trained on a mock survey (and on unlabelled real spectra) are frozen; their features of "
        "real stars are compared with features made by hand and with untrained encoders. No star here has "
        "both a light curve and a spectrum, so the joint embedding is not tested."
    )
    write_with_text(out / "report.html", Page(title, lead, DATA, parts, facts["provenance"]))
