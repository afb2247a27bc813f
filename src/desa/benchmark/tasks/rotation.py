"""Task: rotation periods from light curves, by the light-curve encoder's own head and by two periodograms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import TASKS, BenchmarkTask, Column, Material, Published, TaskResult
from desa.benchmark.inputs import Inputs
from desa.evaluation.rotation import measured
from desa.evaluation.rotation import rotation as score_rotation
from desa.inference.encode import split_quantiles
from desa.inference.labels import periods_of
from desa.types import KEPLER_CADENCE_DAYS


def _crops(inputs: Inputs, rows: NDArray[np.int64]) -> list[NDArray[np.floating]]:
    """The best crops of some light curves, as the encoder reads them."""
    data = inputs.crops()
    return [data.fetch(np.array([row])).flux[0, 0].numpy() for row in rows.tolist()]


class Rotation(BenchmarkTask):
    """Periods of every test light curve with one in the catalogue; the same for every candidate."""

    def run(self, material: Material) -> TaskResult:
        """Rotation periods of test light curves: the encoder's head, ACF and Lomb-Scargle on the same crops.

        Raises
        ------
        ValueError
            If the encoder's head gives no rotation period.
        """
        model, survey = material.inputs.lightcurve_model, material.inputs.survey
        split = survey.split[survey.lightcurve_star]
        objective = model.settings.objective_lightcurve
        medians = split_quantiles(model, survey, "lightcurve", "test")[0][..., objective.quantiles.index(0.5)]
        found = periods_of(medians, objective.labels)
        if found is None:
            raise ValueError(f"the light-curve encoder was taught {', '.join(objective.labels)}, no rotation")
        encoder = np.full(len(split), np.nan)
        encoder[split == "test"] = found
        prot = survey.labels("prot")[survey.lightcurve_star]
        wanted = np.flatnonzero((split == "test") & np.isfinite(prot))
        periods = {"encoder": encoder}
        for name, values in measured(_crops(material.inputs, wanted), KEPLER_CADENCE_DAYS).items():
            periods[name] = np.full(len(split), np.nan)
            periods[name][wanted] = values
        return TaskResult(*score_rotation(periods, prot, split, seed=material.seed))


DIFFERS = "paper: 720 d crops of 200 000 Kepler stars"

TASKS.add(
    Rotation(
        "rotation",
        "Light-curve encoder: rotation periods",
        "The encoder's own head on every test light curve with a catalogue period, beside the highest "
        "peaks of the autocorrelation and of the Lomb-Scargle periodogram of the same crops.",
        100,
        only=("only_lightcurve",),
        caption="RMSE and MAE in days, and the share within 10 %.",
        columns=[
            Column(f"{name} {metric.replace('_', ' ')}", name, metric)
            for name in ("encoder", "ACF", "Lomb-Scargle")
            for metric in ("rmse", "mae", "within_10")
        ],
        paper=[Published("encoder", "rmse", "only_lightcurve", 2.61, "Sect. 4", DIFFERS, "d")],
    )
)
