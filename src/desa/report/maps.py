"""Maps of features in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from sklearn.manifold import TSNE

from desa.evaluation.few_shot import standardised

Array = NDArray[np.float64]

PERPLEXITY = 30.0

COLOURS = ("#c0392b", "#2471a3", "#d68910", "#6c3483")


def coordinates(features: ArrayLike, seed: int = 0) -> Array:
    """(N, 2) t-SNE of standardised features, started from their principal components."""
    values = standardised(np.asarray(features))
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(values))


def kinds_map(place: NDArray[Any], kinds: Mapping[str, NDArray[np.bool_]], title: str) -> Figure:
    """Every star in grey, the members of each kind in its colour."""
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axis = figure.subplots()
    rest = ~np.any(list(kinds.values()), axis=0)
    axis.scatter(
        place[rest, 0], place[rest, 1], s=14, color="0.75", linewidths=0, label=f"other ({rest.sum()})"
    )
    for colour, (name, member) in zip(COLOURS, kinds.items(), strict=False):
        axis.scatter(
            place[member, 0],
            place[member, 1],
            s=18,
            color=colour,
            linewidths=0,
            label=f"{name} ({member.sum()})",
        )
    axis.set(title=title, xticks=[], yticks=[])
    axis.legend(frameon=False, fontsize="small")
    return figure


def values_map(place: NDArray[Any], labels: Mapping[str, NDArray[Any]], title: str) -> Figure:
    """A panel a label, coloured by it; objects without it in grey."""
    figure = Figure(figsize=(5.2 * len(labels), 4.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(labels)))
    for axis, (name, values) in zip(axes, labels.items(), strict=True):
        known = np.isfinite(values)
        axis.scatter(place[~known, 0], place[~known, 1], s=5, color="0.8", linewidths=0)
        low, high = np.percentile(values[known], [1, 99])
        drawn = axis.scatter(
            place[known, 0], place[known, 1], s=6, c=values[known], vmin=low, vmax=high, linewidths=0
        )
        figure.colorbar(drawn, ax=axis, label=name)
        axis.set(xticks=[], yticks=[])
    figure.suptitle(title)
    return figure
