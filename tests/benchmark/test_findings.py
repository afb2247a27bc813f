from __future__ import annotations

from typing import Any

import pyarrow as pa

from desa.benchmark.base import TASKS
from desa.benchmark.design import make_design
from desa.benchmark.page import came_out
from desa.benchmark.results import Mean, Results
from desa.benchmark.tables import wins

LIMITS = {"desa": 1.85, "catalogue": 1.84, "truth": 1.47}


def difference(
    model: str, value: float, p: float, task: str = "probe", label: str = "teff"
) -> dict[str, Any]:
    common = {"task": task, "label": label, "metric": "r2", "error": 0.01, "n": 100}
    return {**common, "model": model, "value": value, "p": p}


def recall(value: float) -> Mean:
    return Mean(value, 0.01, 0.0, 0.01, 0.02, 500, 3, "none")


def said(tests: list[dict[str, Any]], recalls: dict[str, float], collapsed: float = 0.0) -> str:
    means = {
        ("retrieval", "spectrum of light curve", "", "recall_10", name): recall(value)
        for name, value in recalls.items()
    }
    training = {"desa": {"collapsed": collapsed}}
    return sentences(Results(pa.table({}), means, tests, training=training))


def sentences(results: Results) -> str:
    return came_out(make_design("mini", 1), results).text


def test_losses_and_gains_against_concatenation_are_told_apart() -> None:
    text = said(
        [difference("concatenation", -0.05, 0.001), difference("concatenation", 0.1, 0.01, label="age")], {}
    )
    assert "more than 0.01 in R2 on teff" in text and "gains significantly on age" in text
    text = said([difference("concatenation", 0.1, 0.3)], {})
    assert "on no label" in text and "significantly on none" in text


def table(tests: list[dict[str, Any]]) -> list[list[str]]:
    found = wins(Results(pa.table({}), tests=tests), list(TASKS))
    return [] if found is None else [list(row) for row in found.rows]


def test_who_is_beaten() -> None:
    tests = [difference("clip", -0.1, 0.01, "ages", "age"), difference("moco", 0.1, 0.01, "ages", "age")]
    tests += [difference("vicreg", 0.1, 0.4, "ages", "age"), difference("moco", 0.1, 0.01)]
    probe = ["probe: teff", "r2", "MoCo", "none", "0 of 1"]
    assert table(tests) == [probe, ["ages: age", "mae", "MoCo", "CLIP", "1 of 3"]]
    assert table([]) == []


def test_halves_that_are_not_aligned_are_called_so() -> None:
    assert "not aligned" in said([], {"desa": 0.025, "clip": 0.1})
    text = said([], {"desa": 0.09, "clip": 0.1, "desa_labels": 0.2})
    assert "not aligned" not in text and "CLIP 0.100" in text


def test_collapse_is_reported() -> None:
    assert "Collapsed: DESA" in said([], {}, collapsed=1.0)
    assert "No run collapsed" in said([], {})


def test_what_the_photometric_prior_adds_is_said() -> None:
    found = difference("prior_photometric", -0.17, 0.002, "binaries", "binary")
    assert "AUC of binaries changes by +0.170" in said([found], {})
    assert "AUC of binaries changes" not in said([{**found, "p": 0.4}], {})


def test_ages_are_set_against_what_labels_and_truth_give() -> None:
    ages = {name: Mean(value, 0.1, 0.0, 0.1, 3.0, 100, 3, "none") for name, value in LIMITS.items()}
    means = {("age_limits", "age", "", "mae", name): mean for name, mean in ages.items()}
    text = sentences(Results(pa.table({}), means))
    assert "themselves: 1.840" in text and "embedding gives 1.850" in text and "simulation give 1.470" in text
    del means["age_limits", "age", "", "mae", "truth"]
    text = sentences(Results(pa.table({}), means))
    assert "embedding gives 1.850" in text and "simulation" not in text


def test_references_are_no_rivals() -> None:
    tests = [difference(name, -0.3, 0.001, "age_limits", "age") for name in ("truth", "concatenation")]
    assert table(tests) == [["age limits: age", "mae", "none", "Concatenation", "0 of 1"]]
