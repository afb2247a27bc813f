"""Task: what is left where stars have less data."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from desa.benchmark.base import MODELS, TASKS, BenchmarkTask, Column, Material, TaskResult
from desa.benchmark.embed import embed
from desa.benchmark.inputs import Inputs
from desa.benchmark.tasks.parameters import SNR_PARTS
from desa.benchmark.tasks.probe import LABELS
from desa.evaluation.robustness import robustness

SHORTER = (0.5, 0.25)
"""Shares of the light-curve crop that is left."""


def shorter(inputs: Inputs, share: float) -> NDArray[np.float32]:
    """(N, F2) features with the first `share` of the crops; NaN but for test stars."""
    data, model = inputs.crops(), inputs.lightcurve_model
    length = model.settings.preprocess_lightcurve.length
    rows = np.full(inputs.star_lightcurve.shape, np.nan, dtype=np.float32)
    test = np.flatnonzero(inputs.split == "test")
    for start in range(0, len(test), 32):
        part = test[start : start + 32]
        batch = data.fetch(inputs.stars.lightcurve[part])
        flux = batch.flux[:, 0]
        flux[:, round(share * length) :] = float("nan")
        with torch.inference_mode():
            rows[part] = model.lightcurve_features(flux, batch.count_rate).numpy()
    return rows


def shortened(inputs: Inputs, share: float) -> NDArray[np.float32]:
    """The same, kept in the folder."""
    return inputs.kept(f"shorter-{share:g}", lambda: shorter(inputs, share))


class Robustness(BenchmarkTask):
    """Ridge regressions fitted on whole data, given less: one modality, a shorter light curve, low S/N."""

    def prepare(self, inputs: Inputs) -> None:
        """Features of shorter light curves."""
        for share in SHORTER:
            shortened(inputs, share)

    def run(self, material: Material) -> TaskResult:
        """R2 and MAE of each label under each condition."""
        inputs, candidate = material.inputs, material.candidate
        conditions, test = {}, inputs.split == "test"
        for part, name in (("spectrum only", "joint_spectrum"), ("light curve only", "joint_lightcurve")):
            if material.array(name).shape[1]:
                conditions[part] = material.array(name)
        aligner, prior = candidate.aligner(inputs, material.folder), candidate.prior(inputs)
        if aligner is not None:
            given = None if prior is None else prior[torch.from_numpy(test)]
            for share in SHORTER:
                rows = np.full_like(material.joint, np.nan)
                curves = shortened(inputs, share)[test]
                rows[test] = embed(aligner, inputs.star_spectrum[test], curves, given)["joint"]
                conditions[f"light curve x {share:g}"] = rows
        labels = {name: inputs.label(name) for name in LABELS}
        return TaskResult(
            *robustness(material.joint, conditions, labels, inputs.split, snr=inputs.snr, seed=material.seed)
        )


TASKS.add(
    Robustness(
        "robustness",
        "With less data",
        "Ridge regressions fitted on stars with whole data, applied to test stars with less: a modality "
        "missing (the mean star's features stand for it), a light curve cut to a half or a quarter, spectra "
        "of low S/N.",
        80,
        groups=MODELS,
        caption="R2; below 0 is worse than the training stars' mean.",
        columns=[
            Column(f"{name}, {part}", name, "r2", part)
            for part, names in (
                ("spectrum only", ("teff", "fe_h", "age")),
                ("light curve only", ("log_g", "log_prot")),
            )
            for name in names
        ],
        tables=[
            (
                "R2 of log Prot by length of the light curve, and of [Fe/H] by S/N.",
                [
                    *(
                        Column(f"log_prot, {part}", "log_prot", "r2", part)
                        for part in ("whole", *(f"light curve x {share:g}" for share in SHORTER))
                    ),
                    *(Column(f"fe_h, {part}", "fe_h", "r2", part) for part in SNR_PARTS),
                ],
            )
        ],
        tested=dict.fromkeys(
            (
                "teff/spectrum only",
                "fe_h/spectrum only",
                "log_g/light curve only",
                "log_prot/light curve only",
                "log_prot/light curve x 0.25",
            ),
            "r2",
        ),
    )
)
