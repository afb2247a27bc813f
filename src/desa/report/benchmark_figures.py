"""Figures of the benchmark's page, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from desa.evaluation.metrics import auc, average_precision
from desa.report.figures import LABEL_TEXT, canvas_of, png

Rows = NDArray[Any]
Pair = tuple[Rows, Rows]


def roc_and_precision(curves: Mapping[str, Pair]) -> bytes:
    """ROC (left) and precision-recall curves (right).

    Parameters
    ----------
    curves
        Model -> (truth (n,) of 0 and 1, score (n,)).
    """
    canvas, axes = canvas_of(1, 2, 5.2, 4.2)
    for title, (truth, score) in curves.items():
        strong = {"lw": 2.2 if title == "DESA" else 1.1, "alpha": 1.0 if title == "DESA" else 0.8}
        false, true, _ = roc_curve(truth, score)
        axes[0, 0].plot(false, true, label=f"{title} {auc(truth, score):.2f}", **strong)
        precision, recall, _ = precision_recall_curve(truth, score)
        area = average_precision(truth, score)
        axes[0, 1].plot(recall, precision, label=f"{title} {area:.2f}", **strong)
    share = float(np.mean(next(iter(curves.values()))[0]))
    axes[0, 0].plot([0, 1], [0, 1], ":", color="0.5")
    axes[0, 1].axhline(share, ls=":", color="0.5")
    axes[0, 0].set(xlabel="false positive rate", ylabel="true positive rate")
    axes[0, 1].set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    for axis in axes.flat:
        axis.legend(frameon=False, fontsize=7)
    return png(canvas)


def scatter_panels(panels: Mapping[str, Pair], x_title: str, y_title: str) -> bytes:
    """Predicted against true, a panel a model, the same axes."""
    canvas, axes = canvas_of(1, len(panels), 2.8, 2.8)
    everything = np.concatenate([np.concatenate(pair) for pair in panels.values()])
    low, high = np.nanpercentile(everything, [0.5, 99.5])
    for axis, (title, (truth, predicted)) in zip(axes[0], panels.items(), strict=True):
        axis.plot([low, high], [low, high], color="0.6", lw=1)
        axis.scatter(truth, predicted, s=5, alpha=0.6, linewidths=0)
        axis.set(title=title, xlabel=x_title, ylabel=y_title, xlim=(low, high), ylim=(low, high))
    return png(canvas)


def errors_by_labels(panels: Mapping[str, Mapping[str, Sequence[Rows]]]) -> bytes:
    """Mean absolute error against the number of labels, a panel a label, a line a model.

    Parameters
    ----------
    panels
        Label -> model -> numbers of labels, errors and their standard errors, (n,) each. A model that was
        given no label is a broken line.
    """
    canvas, axes = canvas_of(1, len(panels), 4.0, 4.2)
    for axis, (label, lines) in zip(axes[0], panels.items(), strict=True):
        for place, (title, (count, value, error)) in enumerate(lines.items()):
            if (count == 0).all():
                axis.axhline(float(value[0]), color="0.4", ls=":", label=title)
            else:
                style = {"marker": "o", "ms": 3, "capsize": 2, "color": f"C{place}"}
                axis.errorbar(count, value, error, label=title, **style)
        axis.set(xscale="log", yscale="log", xlabel="labels given")
        axis.set_ylabel(f"mean |error|, {LABEL_TEXT[label]}")
    axes[0, 0].legend(frameon=False, fontsize=6)
    return png(canvas)


def class_maps(panels: Mapping[str, Pair]) -> bytes:
    """Maps side by side, coloured by class.

    Parameters
    ----------
    panels
        Model -> (coordinates (N, 2), class names (N,)).
    """
    columns = min(5, len(panels))
    canvas, axes = canvas_of(-(-len(panels) // columns), columns, 2.4, 2.4)
    names = sorted({name for _, classes in panels.values() for name in classes.tolist()})
    for axis, (title, (xy, classes)) in zip(axes.flat, panels.items(), strict=False):
        for number, name in enumerate(names):
            axis.scatter(*xy[classes == name].T, s=3, color=f"C{number}", linewidths=0, alpha=0.7)
        axis.set(title=title, xticks=[], yticks=[])
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    _legend(canvas, names)
    return png(canvas)


def _legend(canvas: Canvas, names: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", ls="", color=f"C{number}", label=name.replace("_", " "))
        for number, name in enumerate(names)
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=len(names), frameon=False)


def diagrams(panels: Mapping[str, Mapping[str, Pair]]) -> bytes:
    """CMD (above) and HR diagram (below): as labelled, and as each model recovers them.

    Parameters
    ----------
    panels
        Model -> label -> (truth (n,), predicted (n,)) for bp_rp, m_g, teff, log_l.
    """
    canvas, axes = canvas_of(2, 1 + len(panels), 2.6, 2.7)
    first = next(iter(panels.values()))
    for row, (x, y, colour, turned) in enumerate(
        (("bp_rp", "m_g", "teff", (False, True)), ("teff", "log_l", "bp_rp", (True, False)))
    ):
        limits = [np.nanpercentile(first[name][0], [0.3, 99.7]) for name in (x, y)]
        shades = np.nanpercentile(first[colour][0], [3, 97])
        for column, (title, own) in enumerate((("labels", first), *panels.items())):
            which = 0 if column == 0 else 1
            axis = axes[row, column]
            axis.scatter(
                own[x][which],
                own[y][which],
                c=own[colour][0],
                vmin=shades[0],
                vmax=shades[1],
                s=5,
                linewidths=0,
                cmap="RdYlBu" if colour == "teff" else "RdYlBu_r",
            )
            axis.set(title=title, xlabel=LABEL_TEXT.get(x, x), ylabel=LABEL_TEXT.get(y, y))
            axis.set(xlim=limits[0][:: -1 if turned[0] else 1], ylim=limits[1][:: -1 if turned[1] else 1])
    return png(canvas)


def curves_by_label(curves: Mapping[str, Mapping[str, tuple[Rows, ...]]]) -> bytes:
    """R2 against number of labels, a panel a label.

    Parameters
    ----------
    curves
        Label -> model -> (numbers, R2, its standard error).
    """
    canvas, axes = canvas_of(1, len(curves), 3.6, 3.2)
    for axis, (label, models) in zip(axes[0], curves.items(), strict=True):
        for title, (count, value, error) in models.items():
            line = axis.plot(count, value, "o-", ms=3, lw=2.0 if title == "DESA" else 1.0, label=title)
            if title == "DESA":
                axis.fill_between(count, value - error, value + error, color=line[0].get_color(), alpha=0.2)
        axis.set(xscale="log", xlabel="labels", ylabel="R2", title=LABEL_TEXT.get(label, label))
        axis.set_ylim(bottom=max(-0.2, axis.get_ylim()[0]))
    axes[0, -1].legend(frameon=False, fontsize=7)
    return png(canvas)


def error_against_snr(snr: Rows, panels: Mapping[str, Pair], bins: int = 6) -> bytes:
    """Median absolute error in bins of S/N with equal numbers of spectra, with its standard error."""
    canvas, axes = canvas_of(1, len(panels))
    for axis, (label, (truth, predicted)) in zip(axes[0], panels.items(), strict=True):
        known = np.isfinite(truth) & np.isfinite(snr)
        x, error = snr[known], np.abs(truth - predicted)[known]
        edges = np.unique(np.percentile(x, np.linspace(0, 100, bins + 1)))
        place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
        groups = [error[place == number] for number in range(len(edges) - 1)]
        middle = [float(np.median(x[place == number])) for number in range(len(edges) - 1)]
        spread = [1.25 * float(group.std()) / np.sqrt(max(1, len(group))) for group in groups]
        axis.errorbar(middle, [float(np.median(group)) for group in groups], spread, fmt="o-", ms=4)
        axis.set(xlabel="S/N in g", ylabel=f"|error| {LABEL_TEXT.get(label, label)}")
        axis.set_ylim(bottom=0)
    return png(canvas)
