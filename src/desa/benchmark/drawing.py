"""Figures of the report, drawn from the arrays that cells keep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.collect import predictions
from desa.benchmark.jobs import Place
from desa.benchmark.plan import Plan
from desa.benchmark.registry import SPECS
from desa.benchmark.results import Results
from desa.report import benchmark_figures as figures
from desa.report.page import Figure

SHOWN = (
    "desa",
    "desa_labels",
    "concatenation",
    "only_spectrum",
    "only_lightcurve",
    "moco_clean",
    "vicreg",
    "simsiam",
    "clip",
)
"""Models whose curves are drawn, in this order."""

SIDE_BY_SIDE = (*SHOWN[:5], "moco", *SHOWN[5:], "desa_published")
"""Models of the UMAP panels."""


def _first(
    place: Place, plan: Plan, task: str, names: tuple[str, ...]
) -> dict[str, dict[str, NDArray[np.generic]]]:
    """Arrays of seed 0 by the models' titles; models without are left out."""
    found = {SPECS[name].title: predictions(place, task, name, 0) for name in names if name in plan.models}
    return {title: arrays for title, arrays in found.items() if arrays}


def _data(place: Place) -> str:
    data = place.inputs().data
    return data[0].upper() + data[1:]


def roc_curves(place: Place, plan: Plan, results: Results, task: str) -> list[Figure]:
    """ROC and precision-recall curves of binaries (Fig. 2)."""
    found = _first(place, plan, task, SHOWN)
    curves = {title: (a["binary/truth"], a["binary/predicted"]) for title, a in found.items()}
    if not curves:
        return []
    caption = f"{_data(place)}, test stars, seed 0. Dotted: chance. In the legend: area under the curve."
    return [Figure(figures.roc_and_precision(curves), caption, "ROC and precision-recall curves")]


def age_scatter(place: Place, plan: Plan, results: Results, task: str) -> list[Figure]:
    """Predicted against catalogue ages of DESA and what it is compared with."""
    found = _first(place, plan, task, ("desa", "concatenation", "only_spectrum", "only_lightcurve"))
    panels = {title: (a["age/truth"], a["age/predicted"]) for title, a in found.items()}
    if not panels:
        return []
    caption = f"{_data(place)}, test stars, seed 0: age by the head against the catalogue's age, in Gyr."
    return [Figure(figures.scatter_panels(panels, "catalogue age [Gyr]", "predicted"), caption, "ages")]


def umap_panels(place: Place, plan: Plan, results: Results, task: str) -> list[Figure]:
    """UMAP of every model side by side, coloured by class (Fig. 6)."""
    found = _first(place, plan, task, SIDE_BY_SIDE)
    panels = {
        title: (a["map"], a["names"][a["truth"].astype(np.int64)]) for title, a in found.items() if "map" in a
    }
    if not panels:
        return []
    caption = f"{_data(place)}: UMAP coordinates (no unit) of each embedding, seed 0, coloured by CMD class."
    return [Figure(figures.class_maps(panels), caption, "maps of the embeddings")]


def recovered_diagrams(place: Place, plan: Plan, results: Results, task: str) -> list[Figure]:
    """The CMD and the HR diagram as recovered from the embedding (Fig. 7)."""
    found = _first(place, plan, task, ("desa", "desa_labels", "concatenation"))
    needed = ("bp_rp", "m_g", "teff", "log_l")
    panels = {
        title: {name: (a[f"{name}/truth"], a[f"{name}/predicted"]) for name in needed}
        for title, a in found.items()
        if all(f"{name}/truth" in a for name in needed)
    }
    if not panels:
        return []
    caption = (
        f"{_data(place)}: diagrams of test stars from their labels (left) and as ridge regressions predict "
        "them with 20 % of the test stars' labels, for the other test stars. Colour and magnitude in mag, "
        "temperature in K."
    )
    return [Figure(figures.diagrams(panels), caption, "colour-magnitude and HR diagrams")]


def efficiency_curves(place: Place, plan: Plan, results: Results, task: str) -> list[Figure]:
    """R2 against the number of labels."""
    found = _first(place, plan, task, SHOWN)
    curves: dict[str, dict[str, tuple[NDArray[np.generic], ...]]] = {}
    for title, arrays in found.items():
        for key in arrays:
            label, _, column = key.partition("/")
            if column == "labels":
                three = tuple(arrays[f"{label}/{name}"] for name in ("labels", "r2", "r2_error"))
                curves.setdefault(label, {})[title] = three
    if not curves:
        return []
    caption = f"{_data(place)}, test stars, seed 0. Shaded: standard error of DESA."
    return [Figure(figures.curves_by_label(curves), caption, "R2 against number of labels")]


def errors_by_snr(place: Place, plan: Plan, results: Results, task: str) -> list[Figure]:
    """Error of Teff, log g, [Fe/H] against S/N (Fig. 5)."""
    arrays = predictions(place, task, "only_spectrum", 0)
    if not arrays:
        return []
    labels = [key.partition("/")[0] for key in arrays if key.endswith("/truth")]
    panels = {name: (arrays[f"{name}/truth"], arrays[f"{name}/predicted"]) for name in labels}
    caption = f"{_data(place)}, test spectra: median absolute error in bins of S/N in g with equal numbers."
    return [Figure(figures.error_against_snr(arrays["snr"], panels), caption, "errors against S/N")]
