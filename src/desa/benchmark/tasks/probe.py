"""Task: what a linear probe reads off the embedding, and what alignment adds to it."""

from __future__ import annotations

import numpy as np

from desa.benchmark.base import TASKS, Arrays, BenchmarkTask, Column, Material, TaskResult
from desa.benchmark.results import Results
from desa.evaluation.probe import linear_probe
from desa.evaluation.score import Score

LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "m_g", "age")

LOSS = 0.01
"""R2 that the joint embedding may fall short of concatenation by."""


class Probe(BenchmarkTask):
    """Ridge regressions on the fixed embedding; not of labels that a photometric prior holds."""

    def run(self, material: Material) -> TaskResult:
        """R2 and MAE of each label."""
        scores, arrays = list[Score](), Arrays()
        given = material.candidate.given(material.inputs)
        for label in (label for label in LABELS if label not in given):
            values = material.inputs.label(label)
            try:
                found = linear_probe(material.joint, values, material.inputs.split, seed=material.seed)
            except ValueError:
                continue
            scores.append(Score(self.name, label, "r2", found.r2, found.r2_error, 0.0, found.n_test))
            spread = float(np.abs(found.truth - np.median(found.truth)).mean())
            error = float(np.abs(found.truth - found.predicted).std(ddof=1) / np.sqrt(found.n_test))
            scores.append(Score(self.name, label, "mae", found.mae, error, spread, found.n_test))
            arrays |= {f"{label}/truth": found.truth, f"{label}/predicted": found.predicted}
        return TaskResult(scores, arrays)

    def finding(self, results: Results) -> str:
        """What the joint embedding loses and gains against concatenation, and what training changed."""
        said = []
        tests = {test["label"]: test for test in results.tests_of(self.name, "concatenation")}
        if tests:
            lost = [label for label, test in tests.items() if test["value"] < -LOSS]
            gained = [label for label, test in tests.items() if test["value"] > 0 and test["p"] < 0.05]
            worst = min(tests.values(), key=lambda test: float(test["value"]))
            said.append(
                f"Against concatenation the joint embedding loses more than {LOSS} in R2 on "
                f"{', '.join(lost) if lost else 'no label'} (worst: {worst['label']} {worst['value']:+.3f} ± "
                f"{worst['error']:.3f}) and gains significantly on "
                f"{', '.join(gained) if gained else 'none'}."
            )
        before = results.tests_of(self.name, "before_alignment")
        if before:
            most = max(before, key=lambda test: abs(float(test["value"])))
            said.append(
                f"Training the alignment moved no probe by more than {abs(most['value']):.3f} in R2 "
                f"({most['label']}). The encoders are frozen and the joint embedding is a function of their "
                "features, so it holds nothing that both encoders' features side by side do not: a gain can "
                "only be one of form (fewer labels needed, simpler heads, a modality missing, retrieval), "
                "never of information."
            )
        return " ".join(said)


TASKS.add(
    Probe(
        "probe",
        "Does alignment add anything?",
        "A ridge regression reads each label off the fixed embedding. An alignment that adds something "
        "must lose nothing against both encoders' features side by side, and gain where both modalities are "
        "needed. The encoders saw Teff, log g, [Fe/H] and Prot of training stars; BP-RP, M_G and age never.",
        0,
        caption="R2 of linear probes on test stars. Chance is 0 (the training stars' mean).",
        columns=[Column(label, label, "r2") for label in LABELS],
        tested=dict.fromkeys(LABELS, "r2"),
        ablations=(
            "Ablations (Fig. 4)",
            "A prior of labels answers the questions that it holds: its row shows the leak, not a better "
            "model; of the photometric prior's labels no probe is shown.",
        ),
    )
)
