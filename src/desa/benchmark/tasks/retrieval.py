"""Task: finding a star's spectrum by its light curve."""

from __future__ import annotations

from desa.benchmark.base import CANDIDATES, TASKS, BenchmarkTask, Column, Material, TaskResult
from desa.benchmark.results import Results
from desa.evaluation.retrieval import retrieval

FORTH, BACK = "spectrum of light curve", "light curve of spectrum"


class Retrieval(BenchmarkTask):
    """A star's spectrum from its light curve; each embedded without the other."""

    def run(self, material: Material) -> TaskResult:
        """Recall and median rank, both ways."""
        first, second = material.array("match_spectrum"), material.array("match_lightcurve")
        return TaskResult(*retrieval(first, second, material.inputs.split, seed=material.seed))

    def finding(self, results: Results) -> str:
        """Whether the modalities were aligned at all: against chance and against the best baseline."""
        found = {
            candidate.name: results.means[key]
            for candidate in CANDIDATES
            if (key := (self.name, FORTH, "", "recall_10", candidate.name)) in results.means
        }
        own, linear = found.get(self.track.subject), found.get("canonical")
        kind = type(CANDIDATES[self.track.subject])
        others = [c for c in CANDIDATES if c.name in found and c.group == "model" and type(c) is not kind]
        if own is None or not others:
            return ""
        best = max(others, key=lambda candidate: found[candidate.name].value)
        other = found[best.name]
        text = (
            f"Retrieval, recall at 10: DESA {own.value:.3f} ± {own.error:.3f}, {best.title} "
            f"{other.value:.3f} ± {other.error:.3f}, "
            + (f"canonical correlations {linear.value:.3f} ± {linear.error:.3f}, " if linear else "")
            + f"chance {own.chance:.3f}."
        )
        if own.value - own.chance < 2 * own.error:
            text += (
                " DESA's halves are not aligned: in training each half sees the other modality by "
                "cross-attention, so its losses are met without anything being matched (`contrastive_alone` "
                "in the settings takes that way out)."
            )
        return text


TASKS.add(
    Retrieval(
        "retrieval",
        "Finding a star's spectrum by its light curve",
        "Cosine between embeddings made of one modality each, among all test stars.",
        70,
        groups=("model", "ablation"),
        caption="Recall: share of stars whose own spectrum is the first, or among the first ten.",
        columns=[
            Column("recall at 1", FORTH, "recall_1"),
            Column("recall at 10", FORTH, "recall_10"),
            Column("median rank / stars", FORTH, "median_rank"),
            Column(f"{BACK}, at 10", BACK, "recall_10"),
        ],
        tested={FORTH: "recall_10", BACK: "recall_10"},
    )
)
