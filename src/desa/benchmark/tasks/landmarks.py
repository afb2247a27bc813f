"""Where known kinds of star fall among real light curves and spectra: neighbours in features, and maps."""

from __future__ import annotations

import numpy as np

from desa.benchmark.base import TASKS, Arrays, BenchmarkTask, Column, Drawn, Material, TaskResult
from desa.benchmark.inputs import REAL_LIGHTCURVES, REAL_SPECTRA
from desa.benchmark.real_stars import (
    GIANT_LOG_G,
    eclipsing,
    giant,
    labelled_spectra,
    rotation_period,
    usable_curves,
)
from desa.evaluation.neighbours import neighbour_error, separation
from desa.evaluation.score import Score
from desa.report.figures import png
from desa.report.maps import coordinates, kinds_map, values_map
from desa.report.page import Figure

LEAST_MEMBERS = 5
"""Kinds with fewer members are not measured."""

GIANT = f"giant (log g < {GIANT_LOG_G})"
TEXT = (
    "Of every star the share of the kind among its 10 nearest neighbours in standardised features; the area "
    "under the ROC curve says how well that tells the kind. Nothing is learned. Chance: the kinds permuted; "
    "below 0.5, since a star is none of its own neighbours."
)


class LightCurveLandmarks(BenchmarkTask):
    """Eclipsing binaries, rotators, red giants, delta Scuti stars among Kepler's light curves."""

    def run(self, material: Material) -> TaskResult:
        """AUC of each kind, and coordinates of a map."""
        inputs, rows = material.inputs, material.joint
        members = usable_curves(inputs, "Kepler") & np.isfinite(rows).all(axis=1)
        if not rows.shape[1] or not members.any():
            return TaskResult([], reason="no light curve of Kepler's own")
        binary = eclipsing(inputs)
        kinds = {
            "eclipsing binary": binary,
            "rotator": np.isfinite(rotation_period(inputs)),
            "red giant": (giant(inputs) == 1) & ~binary,
            "delta Scuti": inputs.text_label("variable_class") == "DSCT_BCEP",
        }
        scores, arrays = list[Score](), Arrays()
        for kind, member in kinds.items():
            if member[members].sum() >= LEAST_MEMBERS:
                scores += separation(rows[members], member[members], self.name, kind, material.seed)
                arrays[kind] = member[members]
        if material.candidate.core:
            arrays["map"] = coordinates(rows[members], material.seed)
        return TaskResult(scores, arrays)

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """A map of the encoder's features, kinds in colours."""
        found = []
        for candidate, own in arrays.items():
            if "map" in own:
                kinds = {name: values.astype(bool) for name, values in own.items() if name != "map"}
                title = f"{len(own['map'])} light curves, {candidate.title}"
                caption = f"{data}: t-SNE of the features (no unit)."
                found.append(Figure(png(kinds_map(own["map"], kinds, title)), caption, title))
        return found


class SpectrumLandmarks(BenchmarkTask):
    """Giants among real spectra, and how alike neighbours are in Teff."""

    def run(self, material: Material) -> TaskResult:
        """AUC of giants, the neighbours' error of Teff, and coordinates of a map."""
        inputs, rows = material.inputs, material.joint
        members = labelled_spectra(inputs)
        if not rows.shape[1] or members.sum() <= LEAST_MEMBERS:
            return TaskResult([], reason="no labelled spectra")
        x, teff, gravity = rows[members], inputs.label("teff")[members], inputs.label("log_g")[members]
        cool = gravity < GIANT_LOG_G
        scores = separation(x, cool, self.name, GIANT, material.seed) if cool.sum() >= LEAST_MEMBERS else []
        value, error = neighbour_error(x, teff)
        chance = float(np.abs(teff - teff.mean()).mean())
        scores.append(Score(self.name, "teff", "neighbour_mae", value, error, chance, len(x)))
        arrays: Arrays = {"teff": teff, "log_g": gravity}
        if material.candidate.core:
            arrays["map"] = coordinates(x, material.seed)
        return TaskResult(scores, arrays)

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """Maps of the encoder's features, coloured by Teff and log g."""
        found = []
        for candidate, own in arrays.items():
            if "map" in own:
                labels = {"Teff [K]": own["teff"], "log g [dex]": own["log_g"]}
                title = f"{len(own['map'])} spectra, {candidate.title}"
                caption = f"{data}: t-SNE of the features (no unit)."
                found.append(Figure(png(values_map(own["map"], labels, title)), caption, title))
        return found


TASKS.add(
    LightCurveLandmarks(
        name="lightcurve_landmarks",
        title="Light curves: where known kinds fall",
        text=TEXT,
        order=104,
        track=REAL_LIGHTCURVES,
        caption="AUC of each kind, Kepler.",
        columns=[
            Column(kind, kind, "auc") for kind in ("eclipsing binary", "rotator", "red giant", "delta Scuti")
        ],
    )
)
TASKS.add(
    SpectrumLandmarks(
        name="spectrum_landmarks",
        title="Spectra: where giants fall",
        text=TEXT,
        order=105,
        track=REAL_SPECTRA,
        caption="AUC of giants; mean difference in Teff [K] between a star and its neighbours' mean.",
        columns=[Column(GIANT, GIANT, "auc"), Column("Teff [K]", "teff", "neighbour_mae", digits=0)],
    )
)
