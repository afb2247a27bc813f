"""The benchmark's tasks: each takes what a model made of the stars and gives scores and arrays to draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from desa.benchmark.embed import joint_embedding
from desa.benchmark.material import Material
from desa.benchmark.outcome import Arrays, Outcome
from desa.benchmark.registry import REFERENCE_LABELS, Group, ModelSpec
from desa.benchmark.tasks import encoders as encoder_tasks
from desa.benchmark.tasks import head_settings as heads
from desa.evaluation.cmd_classes import cmd_classes
from desa.evaluation.few_shot import few_shot, label_efficiency
from desa.evaluation.probe import linear_probe
from desa.evaluation.retrieval import retrieval
from desa.evaluation.robustness import robustness
from desa.evaluation.score import Score

MOST_STARS = 1500
"""Stars that the CMD task clusters: UMAP of more takes long."""

SHORTER = (0.5, 0.25)
"""Shares of the light-curve crop that is left."""

FEW_LABELS = ("bp_rp", "m_g", "teff", "log_l")
PROBE_LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "m_g", "age")
LESS = (
    "teff/spectrum only",
    "fe_h/spectrum only",
    "log_g/light curve only",
    "log_prot/light curve only",
    "log_prot/light curve x 0.25",
)
"""Labels and conditions by which models with less data are tested against each other."""

EVERYBODY: tuple[Group, ...] = ("model", "control", "ablation")


@dataclass(frozen=True)
class TaskSpec:
    """A task.

    Parameters
    ----------
    name, title
        In files and in the report.
    run
        The work.
    tested
        Label -> metric by which DESA is tested against the others, where cells keep predictions.
    groups, only, also
        Whom it is done for: groups, or single models; and single models beside the groups.
    """

    name: str
    title: str
    run: Callable[[Material], Outcome]
    tested: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[Group, ...] = EVERYBODY
    only: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()

    def wants(self, spec: ModelSpec) -> bool:
        """Whether the task is done for a model."""
        return spec.name in self.also or (spec.name in self.only if self.only else spec.group in self.groups)


def probe(material: Material) -> Outcome:
    """Ridge regressions on the fixed embedding; not of labels that a photometric prior holds."""
    scores, arrays = list[Score](), Arrays()
    for label in PROBE_LABELS:
        if label in material.given:
            continue
        values = material.inputs.label(label)
        try:
            found = linear_probe(material.joint, values, material.inputs.split, seed=material.seed)
        except ValueError:
            continue
        scores.append(Score("probe", label, "r2", found.r2, found.r2_error, 0.0, found.n_test))
        spread = float(np.abs(found.truth - np.median(found.truth)).mean())
        error = float(np.abs(found.truth - found.predicted).std(ddof=1) / np.sqrt(found.n_test))
        scores.append(Score("probe", label, "mae", found.mae, error, spread, found.n_test))
        arrays |= {f"{label}/truth": found.truth, f"{label}/predicted": found.predicted}
    return Outcome(scores, arrays)


def zero_shot(material: Material) -> Outcome:
    """Clusters of the embedding as classes of the colour-magnitude diagram."""
    inputs = material.inputs
    scores, arrays = cmd_classes(
        material.joint, inputs.text_label("cmd_class"), inputs.split, seed=material.seed, most=MOST_STARS
    )
    return Outcome(scores, arrays)


def few(material: Material) -> Outcome:
    """Linear regression on 1, 5 and 20 % of the test stars."""
    inputs = material.inputs
    labels = {name: inputs.label(name) for name in FEW_LABELS}
    return Outcome(*few_shot(material.joint, labels, inputs.split, seed=material.seed))


def efficiency(material: Material) -> Outcome:
    """Linear regression against the number of labels."""
    inputs = material.inputs
    labels = {name: inputs.label(name) for name in ("age", "log_prot", "fe_h")}
    return Outcome(*label_efficiency(material.joint, labels, inputs.split, seed=material.seed, draws=10))


def retrieve(material: Material) -> Outcome:
    """A star's spectrum from its light curve; each embedded without the other."""
    first, second = material.array("match_spectrum"), material.array("match_lightcurve")
    scores, arrays = retrieval(first, second, material.inputs.split, seed=material.seed)
    return Outcome(scores, arrays)


def robust(material: Material) -> Outcome:
    """Ridge regressions fitted on whole data, given less: one modality, a shorter light curve, low S/N."""
    inputs = material.inputs
    labels = {name: inputs.label(name) for name in PROBE_LABELS}
    conditions, test = {}, inputs.split == "test"
    for part, name in (("spectrum only", "joint_spectrum"), ("light curve only", "joint_lightcurve")):
        if material.array(name).shape[1]:
            conditions[part] = material.array(name)
    aligner = material.aligner()
    if aligner is not None:
        for share in SHORTER:
            rows = np.full_like(material.joint, np.nan)
            prior = None if material.prior is None else material.prior[torch.from_numpy(test)]
            rows[test] = joint_embedding(
                aligner, inputs.star_spectrum[test], inputs.shortened(share)[test], prior
            )
            conditions[f"light curve x {share:g}"] = rows
    scores, arrays = robustness(
        material.joint, conditions, labels, inputs.split, snr=inputs.snr, seed=material.seed
    )
    return Outcome(scores, arrays)


MODELS: tuple[Group, ...] = ("model", "control")
SPECTRA, CURVES = frozenset({"only_spectrum"}), frozenset({"only_lightcurve"})
BOTH = frozenset({"concatenation"})
UNFROZEN = frozenset({"desa", "clip"})
TRANSFORMER = frozenset({*UNFROZEN, "concatenation", "only_spectrum", "only_lightcurve"})
"""Models that the slowest heads are trained on: not all, to keep within the time."""

LIMITS = frozenset(
    {"desa", "concatenation", "only_spectrum", "only_lightcurve", "components", *REFERENCE_LABELS}
)


def _heads() -> list[TaskSpec]:
    """Binaries and ages, by three kinds of head."""
    found = []
    for name, title, work, label, metric in (
        ("binaries", "Binaries", heads.binaries, "binary", "auc"),
        ("ages", "Ages", heads.ages, "age", "mae"),
    ):
        tested = {label: metric}
        found += [
            TaskSpec(name, title, work, tested),
            TaskSpec(
                f"{name}_transformer",
                f"{title}, transformer head",
                partial(work, head="transformer"),
                tested,
                only=TRANSFORMER,
            ),
            TaskSpec(
                f"{name}_unfrozen",
                f"{title}, model trained along",
                partial(work, head="perceptron", unfreeze=True),
                tested,
                only=UNFROZEN,
            ),
        ]
    return found


TASKS: dict[str, TaskSpec] = {
    task.name: task
    for task in (
        TaskSpec(
            "probe",
            "What a linear probe reads off the embedding",
            probe,
            dict.fromkeys(PROBE_LABELS, "r2"),
        ),
        *_heads(),
        TaskSpec(
            "age_limits", "What there is to be had of ages", heads.age_limits, {"age": "mae"}, only=LIMITS
        ),
        TaskSpec(
            "cmd_classes",
            "Zero-shot CMD classes",
            zero_shot,
            {"umap+gmm": "balanced_accuracy"},
            groups=MODELS,
        ),
        TaskSpec("few_shot", "Few-shot regression", few, dict.fromkeys(FEW_LABELS, "r2"), groups=MODELS),
        TaskSpec("label_efficiency", "Labels needed", efficiency, groups=MODELS),
        TaskSpec(
            "retrieval",
            "Cross-modal retrieval",
            retrieve,
            {"spectrum of light curve": "recall_10", "light curve of spectrum": "recall_10"},
            groups=("model", "ablation"),
            also=frozenset({"canonical"}),
        ),
        TaskSpec("robustness", "With less data", robust, dict.fromkeys(LESS, "r2"), groups=MODELS),
        TaskSpec("parameters", "Spectrum encoder", encoder_tasks.parameters, only=SPECTRA),
        TaskSpec("rotation", "Light-curve encoder", encoder_tasks.rotation, only=CURVES),
        TaskSpec("encoders", "Objective of the encoders", encoder_tasks.objectives, only=BOTH),
    )
}
