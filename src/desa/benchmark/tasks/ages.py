"""Task: ages by fine-tuned heads. Medians and conformal intervals, overall and by effective temperature."""

from __future__ import annotations

import numpy as np

from desa.benchmark.base import TASKS, Column, Drawn, Material, Published, TaskResult
from desa.benchmark.heads import KINDS, LIGHT, HeadTask
from desa.evaluation.metrics import bins, coverage_scores, regression_scores
from desa.evaluation.score import Score
from desa.report.benchmark_figures import scatter_panels
from desa.report.page import Figure

LABEL = "age"
TEFF_EDGES = (0.0, 4500.0, 5500.0, 6500.0, np.inf)
"""Bins of Teff [K]: K and cooler, cool G, warm G and F, hotter."""

YOUNGEST = 1e-3
"""Label ages [Gyr] below this count as this."""


class Ages(HeadTask):
    """Age in Gyr with conformal intervals, by one kind of head."""

    def run(self, material: Material) -> TaskResult:
        """MAE, RMSE, R2, share within 10 %, coverage and half-width; for all stars and by Teff.

        Heads are trained on log10 of the age. Quantiles and intervals pass through the logarithm unchanged; a
        relative error, which ages have, becomes an even one.
        """
        inputs, seed, age = material.inputs, material.seed, material.inputs.label("age")
        log_age = np.log10(np.where(age < YOUNGEST, YOUNGEST, age))
        train = 10 ** log_age[(inputs.split == "train") & np.isfinite(log_age)]
        found = self.tuned(material, log_age, LABEL)
        truth, median = 10**found.truth, 10**found.median
        ends = {nominal: (10**low, 10**high) for nominal, (low, high) in found.intervals.items()}
        scores, parts = list[Score](), {"": np.ones(len(truth), dtype=bool)}
        for part, rows in (parts | bins(inputs.label("teff")[found.test], TEFF_EDGES, "Teff")).items():
            pair, of = (truth[rows], median[rows]), {n: (a[rows], b[rows]) for n, (a, b) in ends.items()}
            scores += regression_scores(self.name, LABEL, *pair, train, seed=seed, part=part)
            scores += coverage_scores(self.name, LABEL, truth[rows], of, part=part)
        arrays = {"truth": truth, "predicted": median, "row": found.test}
        for nominal, (low, high) in ends.items():
            arrays |= {f"low_{100 * nominal:.0f}": low, f"high_{100 * nominal:.0f}": high}
        return TaskResult(scores, {f"{LABEL}/{name}": values for name, values in arrays.items()})

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """Predicted against catalogue ages of DESA and what it is compared with."""
        panels = {c.title: (a["age/truth"], a["age/predicted"]) for c, a in arrays.items() if c.core}
        if self.kind is not LIGHT or not panels:
            return []
        caption = f"{data}, test stars, seed 0: age by the head against the catalogue's age, in Gyr."
        return [Figure(scatter_panels(panels, "catalogue age [Gyr]", "predicted"), caption, "ages")]


DIFFERS = "paper: gyrochronal ages of real stars, prior with Prot in the features; here no prior"
PAPER = [
    Published(LABEL, metric, model, value, "Table 3", DIFFERS, "Gyr")
    for model, values in (
        ("desa", (0.61, 0.94)),
        ("moco", (0.81, 1.28)),
        ("moco_clean", (0.78, 1.23)),
        ("simsiam", (1.24, 1.81)),
        ("vicreg", (0.78, 1.23)),
        ("only_spectrum", (1.30, 1.70)),
        ("only_lightcurve", (0.80, 1.25)),
    )
    for metric, value in zip(("mae", "rmse"), values, strict=True)
]
BY_TEFF = [
    Column(f"MAE, {part}", LABEL, "mae", f"Teff {part}")
    for part in ("< 4500", "4500-5500", "5500-6500", "> 6500")
]
ERRORS = [
    Column("age [Gyr] MAE", LABEL, "mae"),
    Column("age [Gyr] RMSE", LABEL, "rmse"),
    Column("R2", LABEL, "r2"),
]

for place, kind in enumerate(KINDS):
    TASKS.add(
        Ages(
            f"ages{kind.suffix}",
            f"Ages{kind.title} (Table 3)",
            "Ages of a catalogue: gyrochronology where a rotation period is known, asteroseismology of "
            f"giants, with their errors; so both modalities are needed. {kind.text} Intervals are conformal, "
            "calibrated on stars of their own.",
            20 + place,
            caption="Gyr; chance: the training stars' median. Coverage should be the nominal share.",
            columns=[
                *ERRORS,
                Column("coverage of 68 %", LABEL, "coverage_68"),
                Column("coverage of 90 %", LABEL, "coverage_90"),
            ],
            tables=[("MAE in Gyr by effective temperature in K.", BY_TEFF)] if kind is LIGHT else [],
            tested={LABEL: "mae"},
            paper=PAPER if kind is LIGHT else [],
            kind=kind,
        )
    )
