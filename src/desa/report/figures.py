"""Figures as PNG bytes; every one says what data it shows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import ArrayLike, NDArray

LABEL_TEXT = {
    "teff": "Teff [K]",
    "log_g": "log g [dex]",
    "fe_h": "[Fe/H] [dex]",
    "log_prot": "log10 Prot [d]",
    "prot": "Prot [d]",
    "bp_rp": "BP - RP [mag]",
    "m_g": "M_G [mag]",
    "age": "age [Gyr]",
    "log_l": "log10 L [Sun]",
    "snr_g": "S/N in g",
}
"""Axis titles of the labels."""


def png(canvas: Canvas) -> bytes:
    """A figure as PNG."""
    stream = io.BytesIO()
    canvas.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def canvas_of(
    rows: int, columns: int, width: float = 3.3, height: float = 2.9
) -> tuple[Canvas, NDArray[Any]]:
    """A figure with rows x columns of axes, `width` x `height` inches each."""
    canvas = Canvas(figsize=(width * columns, height * rows), layout="constrained")
    return canvas, canvas.subplots(rows, columns, squeeze=False)


def training_curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> bytes:
    """Training loss (thin, with its running mean) and validation loss against step, a panel a stage.

    Parameters
    ----------
    histories
        Stage -> rows of metrics with ``step`` and ``loss`` or ``validation_loss``.
    """
    canvas, axes = canvas_of(1, len(histories))
    for axis, (stage, rows) in zip(axes[0], histories.items(), strict=True):
        train = np.array([(row["step"], row["loss"]) for row in rows if "loss" in row])
        valid = np.array([(row["step"], row["validation_loss"]) for row in rows if "validation_loss" in row])
        if len(train):
            axis.plot(train[:, 0], train[:, 1], color="0.8", lw=0.6)
            window = max(1, len(train) // 30)
            mean = np.convolve(train[:, 1], np.ones(window) / window, mode="valid")
            axis.plot(train[window - 1 :, 0], mean, color="C0", lw=1.4, label="training")
        if len(valid):
            axis.plot(valid[:, 0], valid[:, 1], "o-", color="C1", ms=3, lw=1.2, label="validation")
        axis.set(title=stage, xlabel="step", ylabel="loss")
        axis.legend(frameon=False)
    return png(canvas)


def embedding_map(coordinates: ArrayLike, labels: Mapping[str, ArrayLike]) -> bytes:
    """Two coordinates of every star, a panel a label, coloured by it; stars without the label in grey.

    Parameters
    ----------
    coordinates
        (N, 2).
    labels
        name -> (N,) values, NaN where missing.
    """
    xy = np.asarray(coordinates)
    columns = min(3, len(labels))
    canvas, axes = canvas_of(-(-len(labels) // columns), columns)
    for axis, (name, values) in zip(axes.flat, labels.items(), strict=False):
        colour = np.asarray(values, dtype=np.float64)
        known = np.isfinite(colour)
        axis.scatter(*xy[~known].T, s=3, color="0.85", linewidths=0)
        if known.any():
            low, high = np.nanpercentile(colour, [2, 98])
            drawn = axis.scatter(*xy[known].T, s=4, c=colour[known], vmin=low, vmax=high, linewidths=0)
            canvas.colorbar(drawn, ax=axis)
        axis.set(title=LABEL_TEXT.get(name, name), xticks=[], yticks=[])
    for axis in axes.flat[len(labels) :]:
        axis.set_axis_off()
    return png(canvas)


def predicted_against_true(results: Mapping[str, tuple[ArrayLike, ArrayLike, str]]) -> bytes:
    """Predicted against true label, a panel a label with the line of equality.

    Parameters
    ----------
    results
        name -> (truth (n,), predicted (n,), text for the panel's corner).
    """
    columns = min(3, len(results))
    canvas, axes = canvas_of(-(-len(results) // columns), columns)
    for axis, (name, (truth, predicted, text)) in zip(axes.flat, results.items(), strict=False):
        x, y = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
        low, high = np.percentile(np.concatenate([x, y]), [0.5, 99.5])
        axis.plot([low, high], [low, high], color="0.6", lw=1)
        axis.scatter(x, y, s=5, alpha=0.6, linewidths=0)
        title = LABEL_TEXT.get(name, name)
        axis.set(xlabel=f"true {title}", ylabel="predicted", xlim=(low, high), ylim=(low, high))
        axis.text(0.04, 0.96, text, transform=axis.transAxes, va="top")
    for axis in axes.flat[len(results) :]:
        axis.set_axis_off()
    return png(canvas)
