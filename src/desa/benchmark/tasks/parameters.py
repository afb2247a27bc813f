"""Task: stellar parameters from spectra, by the spectrum encoder's own head."""

from __future__ import annotations

import numpy as np

from desa.benchmark.base import TASKS, BenchmarkTask, Column, Drawn, Material, Published, TaskResult
from desa.evaluation.parameters import parameters as score_parameters
from desa.inference.encode import split_quantiles
from desa.report.benchmark_figures import error_against_snr
from desa.report.page import Figure

LABELS = ("teff", "log_g", "fe_h")
SNR_PARTS = ("S/N < 20", "S/N 20-40", "S/N 40-80", "S/N > 160")
TEFF_PARTS = ("Teff < 4500", "Teff 4500-5250", "Teff 5250-6000", "Teff 6000-7000")


class Parameters(BenchmarkTask):
    """Teff, log g, [Fe/H] of every test spectrum; the same for every candidate, so done for one."""

    def run(self, material: Material) -> TaskResult:
        """Teff, log g, [Fe/H] of every test spectrum: errors overall and by S/N, coverage by S/N and Teff."""
        model, survey = material.inputs.spectrum_model, material.inputs.survey
        star, objective = survey.spectrum_star, model.settings.objective_spectrum
        parts = [split_quantiles(model, survey, "spectrum", split) for split in ("calibration", "test")]
        rows = [np.flatnonzero(survey.split[star] == split) for split in ("calibration", "test")]
        train = np.flatnonzero(survey.split[star] == "train")
        order = np.concatenate([*rows, train])
        labels = np.stack([survey.labels(name)[star[order]] for name in objective.labels], axis=1)
        found = np.concatenate([part[0] for part in parts])
        unseen = np.zeros((len(train), *found.shape[1:]))  # training spectra give their labels' spread only
        scores, arrays = score_parameters(
            np.concatenate([found, unseen]),
            objective.quantiles,
            labels,
            objective.labels,
            survey.split[star[order]],
            survey.spectrum_column("snr_g")[order].astype(np.float64),
            survey.labels("teff")[star[order]],
            seed=material.seed,
        )
        return TaskResult(scores, arrays)

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """Error of Teff, log g, [Fe/H] against S/N (Fig. 5)."""
        found = next(iter(arrays.values()), {})
        labels = [key.partition("/")[0] for key in found if key.endswith("/truth")]
        panels = {
            name: (found[f"{name}/truth"], found[f"{name}/predicted"])
            for name in labels
            if np.isfinite(found[f"{name}/truth"].astype(np.float64)).any()
        }
        if not panels:
            return []
        caption = f"{data}, test spectra: median absolute error in bins of S/N in g with equal numbers."
        return [Figure(error_against_snr(found["snr"], panels), caption, "errors against S/N")]


DIFFERS = (
    "paper: 6.5 million LAMOST spectra, 523 M parameters, labels of APOGEE; here the survey's own labels"
)

TASKS.add(
    Parameters(
        "parameters",
        "Spectrum encoder: stellar parameters (Table 1, Fig. 5)",
        "The encoder's own head on every test spectrum; intervals calibrated on stars of their own.",
        90,
        only=("only_spectrum",),
        caption="MAE, and coverage of the 68 % intervals.",
        columns=[
            *(Column(f"{name} MAE", name, "mae") for name in LABELS),
            *(Column(f"{name} coverage", name, "coverage_68") for name in LABELS),
        ],
        tables=[
            (
                "Coverage of the 68 % interval of Teff by S/N and Teff.",
                [Column(part, "teff", "coverage_68", part) for part in (*SNR_PARTS, *TEFF_PARTS)],
            )
        ],
        paper=[
            Published("teff", "mae", "only_spectrum", 91.56, "Table 1", DIFFERS, "K"),
            Published("log_g", "mae", "only_spectrum", 0.168, "Table 1", DIFFERS, "dex"),
            Published("fe_h", "mae", "only_spectrum", 0.069, "Table 1", DIFFERS, "dex"),
        ],
    )
)
