"""What the numbers say, in sentences that are made from the numbers."""

from __future__ import annotations

from desa.benchmark.plan import Plan
from desa.benchmark.registry import SPECS
from desa.benchmark.results import Results

LOSS = 0.01
"""R2 that the joint embedding may fall short of concatenation by."""


def findings(results: Results, plan: Plan) -> str:
    """A paragraph: does alignment lose or add, who wins where, what has collapsed."""
    said = [_against_concatenation(results), *_wins(results), _collapsed(results)]
    return " ".join(sentence for sentence in said if sentence)


def _against_concatenation(results: Results) -> str:
    tests = {
        test["label"]: test
        for test in results.tests
        if test["task"] == "probe" and test["model"] == "concatenation"
    }
    if not tests:
        return ""
    lost = [label for label, test in tests.items() if test["value"] < -LOSS]
    gained = [label for label, test in tests.items() if test["value"] > 0 and test["p"] < 0.05]
    worst = min(tests.values(), key=lambda test: float(test["value"]))
    return (
        f"Against concatenation the joint embedding loses more than {LOSS} in R2 on "
        f"{', '.join(lost) if lost else 'no label'} (worst: {worst['label']} {worst['value']:+.3f} ± "
        f"{worst['error']:.3f}) and gains significantly on {', '.join(gained) if gained else 'none'}."
    )


def _wins(results: Results) -> list[str]:
    """For each tested task but the probe, the models that DESA beats and those that it does not."""
    said = []
    for task in dict.fromkeys(test["task"] for test in results.tests if test["task"] != "probe"):
        for label in dict.fromkeys(t["label"] for t in results.tests if t["task"] == task):
            tests = [t for t in results.tests if (t["task"], t["label"]) == (task, label)]
            tests = [t for t in tests if SPECS[t["model"]].group != "ablation"]
            beaten = [SPECS[t["model"]].title for t in tests if t["value"] > 0 and t["p"] < 0.05]
            lost = [SPECS[t["model"]].title for t in tests if t["value"] < 0 and t["p"] < 0.05]
            rest = len(tests) - len(beaten) - len(lost)
            said.append(
                f"{task} ({label}, {tests[0]['metric']}): DESA beats {', '.join(beaten) or 'none'}, loses to "
                f"{', '.join(lost) or 'none'}, and is not told from {rest} others."
            )
    return said


def _collapsed(results: Results) -> str:
    names = [SPECS[name].title for name, facts in results.training.items() if facts["collapsed"]]
    return f"Collapsed: {', '.join(names)}." if names else "No run collapsed (effective rank below 2)."
