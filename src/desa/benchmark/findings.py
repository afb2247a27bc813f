"""What the numbers say, in sentences and a table that are made from the numbers."""

from __future__ import annotations

from desa.benchmark.plan import Plan
from desa.benchmark.registry import SPECS
from desa.benchmark.results import Results
from desa.report.page import Table

LOSS = 0.01
"""R2 that the joint embedding may fall short of concatenation by."""


def findings(results: Results, plan: Plan) -> str:
    """A paragraph: does alignment lose or add, what there is to be had, what has collapsed."""
    said = [
        _against_concatenation(results),
        _by_training(results),
        _limits(results),
        _prior(results),
        _retrieval(results),
        _collapsed(results),
    ]
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


def _by_training(results: Results) -> str:
    """What alignment changed, and why no probe or head can have more from it than from concatenation."""
    tests = [
        test for test in results.tests if test["task"] == "probe" and test["model"] == "before_alignment"
    ]
    if not tests:
        return ""
    most = max(tests, key=lambda test: abs(float(test["value"])))
    return (
        f"Training the alignment moved no probe by more than {abs(most['value']):.3f} in R2 "
        f"({most['label']}). The encoders are frozen and the joint embedding is a function of their "
        "features, so it holds nothing that both encoders' features side by side do not: a gain can only be "
        "one of form (fewer labels needed, simpler heads, a modality missing, retrieval), never of "
        "information."
    )


def _prior(results: Results) -> str:
    """What colour, absolute magnitude and RUWE add on binaries: what the two modalities do not hold."""
    for test in results.tests:
        own = (test["task"], test["model"]) == ("binaries", "prior_photometric")
        if own and test["value"] < 0 and test["p"] < 0.05:
            return (
                "With the photometric prior (BP-RP, M_G, RUWE) the AUC of binaries changes by "
                f"{-test['value']:+.3f} ± {test['error']:.3f}: that much of what tells binaries lies in "
                "photometry and astrometry, and in no embedding of normalised spectra and light curves."
            )
    return ""


def _retrieval(results: Results) -> str:
    """Whether the modalities were aligned at all: retrieval against chance and against the best baseline."""
    found = {
        model: mean
        for (task, label, _, metric, model), mean in results.means.items()
        if (task, label, metric) == ("retrieval", "spectrum of light curve", "recall_10")
        and (model == "desa" or SPECS[model].kind == "baseline")
    }
    own = found.pop("desa", None)
    if own is None or not found:
        return ""
    linear = results.means.get(("retrieval", "spectrum of light curve", "", "recall_10", "canonical"))
    best = max(found, key=lambda name: found[name].value)
    other = found[best]
    text = (
        f"Retrieval, recall at 10: DESA {own.value:.3f} ± {own.error:.3f}, {SPECS[best].title} "
        f"{other.value:.3f} ± {other.error:.3f}, "
        + (f"canonical correlations {linear.value:.3f} ± {linear.error:.3f}, " if linear else "")
        + f"chance {own.chance:.3f}."
    )
    if own.value - own.chance < 2 * own.error:
        text += (
            " DESA's halves are not aligned: in training each half sees the other modality by "
            "cross-attention, so its losses are met without anything being matched (`contrastive_alone` in "
            "the settings takes that way out)."
        )
    return text


def wins(results: Results) -> Table | None:
    """For each tested score but the probe's, the models that DESA beats and those that it does not."""
    rows = []
    for task in dict.fromkeys(test["task"] for test in results.tests if test["task"] != "probe"):
        for label in dict.fromkeys(t["label"] for t in results.tests if t["task"] == task):
            tests = [t for t in results.tests if (t["task"], t["label"]) == (task, label)]
            tests = [t for t in tests if SPECS[t["model"]].group not in ("ablation", "reference")]
            if not tests:
                continue
            told = [test for test in tests if test["p"] < 0.05 and test["value"] != 0]
            beaten = [SPECS[test["model"]].title for test in told if test["value"] > 0]
            lost = [SPECS[test["model"]].title for test in told if test["value"] < 0]
            names = [", ".join(found) or "none" for found in (beaten, lost)]
            score, metric = f"{task.replace('_', ' ')}: {label}", tests[0]["metric"].replace("_", " ")
            rows.append([score, metric, *names, f"{len(tests) - len(told)} of {len(tests)}"])
    if not rows:
        return None
    caption = (
        "DESA against models and controls, by the paired bootstrap over test stars and seeds, p < 0.05 each. "
        f"Not corrected for their number: among {len(rows)} rows of models some will differ by chance."
    )
    return Table(["score", "metric", "DESA beats", "loses to", "not told from"], rows, caption)


def _limits(results: Results) -> str:
    """What ages there are to be had: by the same trees from the labels, and from the truth, themselves."""
    found = {
        name: results.means.get(("age_limits", "age", "", "mae", name))
        for name in ("desa", "catalogue", "truth")
    }
    own, catalogue, truth = found["desa"], found["catalogue"], found["truth"]
    if own is None or catalogue is None:
        return ""
    text = (
        "Ages (MAE in Gyr) by boosted trees from the catalogue's Teff, log g, [Fe/H] and Prot themselves: "
        f"{catalogue.value:.3f} ± {catalogue.error:.3f}; DESA's embedding gives {own.value:.3f} ± "
        f"{own.error:.3f}"
    )
    if truth is not None:
        text += (
            f"; the true values of the simulation give {truth.value:.3f} ± {truth.error:.3f}, which is about "
            "all that there is to be had"
        )
    return text + "."


def _collapsed(results: Results) -> str:
    names = [SPECS[name].title for name, facts in results.training.items() if facts["collapsed"]]
    return f"Collapsed: {', '.join(names)}." if names else "No run collapsed (effective rank below 2)."
