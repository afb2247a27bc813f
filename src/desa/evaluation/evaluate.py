"""What an embedding knows, by linear probes, beside its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desa.evaluation.probe import Probe, linear_probe

LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "m_g")
"""Labels of the probe table; `log_prot` is log10 of the rotation period in days."""


@dataclass(frozen=True)
class ProbeTable:
    """Probes of several feature sets for several labels: ``scores[features][label]``."""

    scores: Mapping[str, Mapping[str, Probe]]
    labels: Sequence[str]

    def rows(self) -> list[list[str]]:
        """A row a feature set: R2 and its standard error, label by label."""
        return [
            [name, *(f"{probes[label].r2:.3f} ±{probes[label].r2_error:.3f}" for label in self.labels)]
            for name, probes in self.scores.items()
        ]

    def numbers(self) -> list[dict[str, str | float | int]]:
        """The same as a tidy list, for JSON."""
        return [
            {
                "features": name,
                "label": label,
                "r2": probe.r2,
                "r2_error": probe.r2_error,
                "mae": probe.mae,
                "n_train": probe.n_train,
                "n_test": probe.n_test,
            }
            for name, probes in self.scores.items()
            for label, probe in probes.items()
        ]


def probe_table(
    feature_sets: Mapping[str, NDArray[np.float32]],
    labels: Mapping[str, NDArray[np.float64]],
    split: NDArray[np.str_],
    *,
    seed: int = 0,
) -> ProbeTable:
    """Probe every feature set for every label.

    Parameters
    ----------
    feature_sets
        name -> (N, D), a row a star, the same stars in all.
    labels
        name -> (N,), NaN where missing.
    split
        (N,) split of each star.
    seed
        Of the bootstrap.

    Raises
    ------
    ValueError
        If a label has too few stars, or features are not finite.
    """
    scores = {
        name: {label: linear_probe(features, values, split, seed=seed) for label, values in labels.items()}
        for name, features in feature_sets.items()
    }
    return ProbeTable(scores, list(labels))
