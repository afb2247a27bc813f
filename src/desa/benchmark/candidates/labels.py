"""Labels in place of data: what there is to be had from the catalogue, and from the simulation's truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from desa.benchmark.base import CANDIDATES, Candidate, Embedding
from desa.benchmark.inputs import Inputs


def labels_as_features(inputs: Inputs, spectrum: Sequence[str], lightcurve: Sequence[str]) -> Embedding:
    """Columns of the survey in place of either half of an embedding: none where the survey has none of them.

    Periods are logarithms, all are standardised; a missing value is 0, and marked by a 1 of its own.
    """
    halves, train = [], inputs.split == "train"
    for names in (spectrum, lightcurve):
        columns = [np.zeros((len(inputs.stars), 0))]
        for name in (name for name in names if name in inputs.survey.stars.column_names):
            values = inputs.label(name)
            values = np.log10(values) if name.startswith("prot") else values
            known = np.isfinite(values)
            if (known & train).sum() < 2:
                continue
            mean, deviation = values[known & train].mean(), values[known & train].std()
            columns.append(np.stack([np.where(known, (values - mean) / deviation, 0.0), ~known], axis=1))
        halves.append(np.concatenate(columns, axis=1).astype(np.float32))
    return {"head_spectrum": halves[0], "head_lightcurve": halves[1]}


@dataclass(frozen=True, eq=False, kw_only=True)
class Labels(Candidate):
    """Columns of the survey in place of features.

    Parameters
    ----------
    spectrum, lightcurve
        Names of the columns in place of a spectrum's and of a light curve's features.
    """

    spectrum: Sequence[str]
    lightcurve: Sequence[str]

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """What heads read, and nothing else."""
        return labels_as_features(inputs, self.spectrum, self.lightcurve)


CANDIDATES.add(
    Labels(
        "catalogue",
        "Catalogue labels, no data",
        "Teff, log g, [Fe/H] and Prot as the catalogue has them: all that the encoders were taught; for ages",
        15,
        group="reference",
        also=("age_limits",),
        spectrum=("teff", "log_g", "fe_h"),
        lightcurve=("prot",),
    )
)

CANDIDATES.add(
    Labels(
        "truth",
        "True parameters (mock only)",
        "Teff, log g, [Fe/H], [alpha/Fe] and Prot as the simulation drew them: the limit; for ages",
        16,
        group="reference",
        also=("age_limits",),
        spectrum=("teff_true", "log_g_true", "fe_h_true", "alpha_fe_true"),
        lightcurve=("prot_true",),
    )
)
