from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from desa.benchmark.base import CANDIDATES, TASKS, Choice, Column, Material
from desa.benchmark.baseline import BaselineCandidate
from desa.benchmark.candidates.desa import Desa, DesaAligner
from desa.benchmark.candidates.labels import labels_as_features
from desa.benchmark.candidates.plain import PlainAligner
from desa.benchmark.design import BUDGETS, make_design, trials
from desa.benchmark.embed import embed
from desa.benchmark.energy import Meter
from desa.benchmark.results import Mean, Results, means_of
from desa.benchmark.tables import score_table
from desa.benchmark.training import trainable
from desa.benchmark.work import Place
from desa.config import with_changes
from desa.errors import SettingsError
from desa.evaluation.paired import METRICS, compared, minus_mae, paired_bootstrap, r2
from desa.models.dualformer import DualFormer
from desa.survey.store import Survey
from helpers.quick import quick_design

REFERENCES = ("canonical", "catalogue", "truth")
BASELINES = [candidate for candidate in CANDIDATES if isinstance(candidate, BaselineCandidate)]
ABLATIONS = [candidate for candidate in CANDIDATES if candidate.group == "ablation"]


def rows(count: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=count)
    return truth, truth + 0.3 * rng.normal(size=count), truth + 0.6 * rng.normal(size=count)


@pytest.mark.parametrize("metric", [r2, minus_mae])
def test_a_better_model_is_told_from_a_worse_one(metric) -> None:
    truth, good, bad = rows()
    found = paired_bootstrap(truth, [good], [bad], metric, draws=300)
    assert found.value > 3 * found.error > 0 and found.p < 0.05 and found.n == 200
    other = paired_bootstrap(truth, [bad], [good], metric, draws=300)
    assert other.value == -found.value and other.p < 0.05


def test_two_models_alike_are_not_told_apart() -> None:
    significant = 0
    for seed in range(20):
        rng = np.random.default_rng([seed, 1])
        truth = rng.normal(size=150)
        first, second = (truth + 0.5 * rng.normal(size=150) for _ in range(2))
        significant += paired_bootstrap(truth, [first], [second], r2, draws=200, seed=seed).p < 0.05
    assert significant <= 4


def test_seeds_that_differ_widen_the_error() -> None:
    truth, good, bad = rows()
    alone = paired_bootstrap(truth, [good], [good], r2, draws=200)
    mixed = paired_bootstrap(truth, [good, bad], [good, good], r2, draws=200)
    assert alone.value == alone.error == 0
    assert mixed.error > 0.02


def test_means_join_the_errors_over_stars_and_over_seeds() -> None:
    common = {"task": "t", "label": "x", "part": "", "metric": "r2", "model": "m", "chance": 0.0, "n": 9}
    rows = [{**common, "value": value, "error": 0.3, "prior": "none"} for value in (1.0, 2.0, 3.0)]
    mean = means_of(rows)[("t", "x", "", "r2", "m")]
    assert mean.value == 2.0 and mean.over_stars == 0.3
    assert mean.over_seeds == pytest.approx(1 / math.sqrt(3))
    assert mean.error == pytest.approx(math.hypot(0.3, 1 / math.sqrt(3)))


def test_trials_are_as_many_with_temperature_as_without() -> None:
    for budget in BUDGETS.values():
        with_heat, without = trials(budget, True), trials(budget, False)
        assert len(with_heat) == len(without) == len({*without})
        assert all(choice.temperature is None for choice in without)


def test_designs_name_what_they_do_not_know() -> None:
    with pytest.raises(SettingsError, match="no such task or model"):
        make_design("mini", 1, ["prob"])
    design = make_design("mini", 3, ["ages", "desa"])
    assert [task.name for task in design.tasks] == ["ages"]
    assert [candidate.name for candidate in design.candidates] == ["desa"]
    assert set(ABLATIONS) <= set(make_design("mini", 3, ["probe"]).candidates)
    assert set(make_design("mini", 3, ["ablations"]).candidates) == set(ABLATIONS)
    with pytest.raises(SettingsError):
        CANDIDATES["nothing"]


@pytest.mark.parametrize("candidate", BASELINES, ids=lambda candidate: candidate.name)
def test_baselines_have_no_fewer_parameters_than_desa(candidate, finished: Place) -> None:
    inputs, choice = finished.inputs(), Choice(1e-3, 0.1)
    sizes = [
        trainable(each.build(inputs, each.settings(inputs, choice), choice)[1])
        for each in (CANDIDATES["desa"], candidate)
    ]
    assert sizes[1] >= sizes[0]


@pytest.mark.parametrize("candidate", ABLATIONS, ids=lambda candidate: candidate.name)
def test_every_ablation_is_another_setting_and_builds(candidate, finished: Place) -> None:
    inputs, choice = finished.inputs(), Choice(1e-3, 0.1)
    settings, base = candidate.settings(inputs, choice), candidate.base.settings(inputs, choice)
    same = (settings.dualformer, settings.alignment) == (base.dualformer, base.alignment)
    assert same == (candidate.live or candidate.head == "p")
    candidate.build(inputs, settings, choice)


def test_retrieval_halves_have_not_seen_the_other_modality(finished: Place) -> None:
    inputs = finished.inputs()
    settings = with_changes(inputs.settings, {"dualformer": {"joint": "concat"}})
    dualformer = DualFormer(settings.dualformer, 5, 4)
    aligner = DesaAligner(dualformer, (torch.zeros(5), torch.zeros(4)))
    spectrum = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    lightcurve = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)
    found, other = embed(aligner, spectrum, lightcurve), embed(aligner, spectrum, lightcurve[::-1].copy())
    for name in ("match_spectrum", "joint_spectrum"):
        np.testing.assert_allclose(found[name], other[name], rtol=1e-5)
    assert not np.allclose(found["head_spectrum"], other["head_spectrum"]), "with both in, it has"


def test_plain_features_are_standardised_and_one_modality_can_be_left_out() -> None:
    means, scales = (torch.ones(3), torch.zeros(2)), (torch.full((3,), 2.0), torch.ones(2))
    both = embed(PlainAligner(means, scales, (True, True)), np.ones((4, 3)), np.ones((4, 2)))
    np.testing.assert_array_equal(both["joint"], [[0, 0, 0, 1, 1]] * 4)
    one = embed(PlainAligner(means, scales, (False, True)), np.ones((4, 3)), np.ones((4, 2)))
    assert one["joint"].shape == (4, 2) and "match_spectrum" not in one


def test_energy_is_measured() -> None:
    with Meter() as meter:
        sum(number * number for number in range(10**6))
    assert meter.kwh > 0 and "codecarbon" in meter.text


def test_a_design_keeps_ablations_to_fewer_seeds() -> None:
    design = quick_design(seeds=3)
    assert len(design.seeds_of(CANDIDATES["desa"])) == 3
    assert len(design.seeds_of(CANDIDATES["joint_sum"])) == design.budget.ablation_seeds


def test_labels_in_a_photometric_prior_are_not_asked_for(finished: Place) -> None:
    inputs = finished.inputs()
    for name, given in (
        ("prior_photometric", ("bp_rp", "m_g", "ruwe")),
        ("prior_published", ()),
        ("desa", ()),
    ):
        assert tuple(CANDIDATES[name].given(inputs)) == given


def test_the_encoders_objectives_stand_under_both_encoders() -> None:
    """The table's row is named after the model that the task belongs to: its probes read both encoders."""
    assert [c.name for c in CANDIDATES if TASKS["encoders"].wants(c)] == ["concatenation"]


def test_labels_as_features_mark_what_is_missing(finished: Place) -> None:
    inputs = finished.inputs()
    found = labels_as_features(inputs, ("teff", "no_such_column"), ("prot",))
    assert labels_as_features(inputs, ("no_such_column",), ())["head_spectrum"].shape[1] == 0
    assert found["head_spectrum"].shape[1] == 2 and found["head_lightcurve"].shape[1] == 2
    known = np.isfinite(inputs.label("prot"))
    assert 0 < known.sum() < len(known)
    scaled, missing = found["head_lightcurve"].T
    np.testing.assert_array_equal(missing, ~known)
    assert (scaled[~known] == 0).all()
    order = np.argsort(inputs.label("prot")[known])
    assert (np.diff(scaled[known][order]) >= 0).all()
    assert scaled[known & (inputs.split == "train")].mean() == pytest.approx(0, abs=1e-5)


def test_references_take_part_in_their_own_task_only() -> None:
    parts = {name: {task.name for task in TASKS if task.wants(CANDIDATES[name])} for name in REFERENCES}
    assert parts == {"canonical": {"retrieval"}, "catalogue": {"age_limits"}, "truth": {"age_limits"}}


def test_ranks_classes_and_predictions_are_compared_star_by_star() -> None:
    truth, called = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    classes = {"truth": truth, "test": np.array([True, True, True, True, False]), "gmm/called": called}
    found = compared(classes, "gmm", "balanced_accuracy")
    assert found is not None and METRICS["balanced_accuracy"](*found) == pytest.approx(0.75)
    found = compared({"there/rank": np.array([1.0, 10.0, 10.5, 400.0])}, "there", "recall_10")
    assert found is not None and METRICS["recall_10"](*found) == 0.5
    assert compared(classes, "umap+gmm", "balanced_accuracy") is None
    assert compared({}, "there", "recall_10") is None and compared({}, "age", "mae") is None


def test_stars_without_a_prediction_are_left_out() -> None:
    truth, good, bad = rows()
    holes = np.where(np.arange(len(truth)) % 3 == 0, np.nan, good)
    found = paired_bootstrap(truth, [holes, good], [bad, bad], r2, draws=200)
    assert found.value == pytest.approx(r2(truth, good) - r2(truth, bad), abs=0.03) and found.p < 0.05


@pytest.mark.parametrize("label", ["prot", "log_prot"])
def test_the_encoder_s_periods_are_in_days_whatever_its_head_gives(
    label: str, finished: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = replace(finished.inputs())
    model = inputs.lightcurve_model
    objective = model.settings.objective_lightcurve.model_copy(update={"labels": (label,)})
    model.settings = model.settings.model_copy(update={"objective_lightcurve": objective})

    def exact(model: object, survey: Survey, part: str, split: str) -> tuple[np.ndarray, np.ndarray]:
        values = survey.labels(label)[survey.lightcurve_star[survey.split[survey.lightcurve_star] == split]]
        return np.repeat(values[:, None, None], len(objective.quantiles), axis=2), values[:, None]

    monkeypatch.setattr("desa.benchmark.tasks.rotation.split_quantiles", exact)
    candidate = CANDIDATES["only_lightcurve"]
    folder = finished.model_folder("only_lightcurve", 0)
    result = TASKS["rotation"].run(Material(inputs, candidate, folder, 0))
    scores = {(score.label, score.metric): score.value for score in result.scores}
    assert scores["encoder", "within_10"] == 1.0 and scores["encoder", "mae"] < 1e-6
    assert scores["ACF", "mae"] > 1e-3


def test_a_score_that_no_model_has_gets_no_column() -> None:
    mean = Mean(0.5, 0.1, 0.0, 0.1, 0.0, 10, 1, "none")
    results = Results(pa.table({}), {("binaries", "binary", "sb1", "auc", "desa"): mean})
    columns = [Column(kind, "binary", "auc", kind) for kind in ("sb1", "ellipsoidal")]
    found = score_table(results, TASKS["binaries"], columns, [CANDIDATES["desa"], CANDIDATES["clip"]], "")
    assert found is not None and list(found.columns) == ["model", "prior", "sb1"] and len(found.rows) == 2


def test_heads_read_z_but_p_as_published(finished: Place) -> None:
    inputs = finished.inputs()
    first, second = torch.from_numpy(inputs.star_spectrum[:4]), torch.from_numpy(inputs.star_lightcurve[:4])
    for name, read in (("desa", "z"), ("desa_published", "p"), ("head_p", "p")):
        candidate = CANDIDATES[name]
        assert isinstance(candidate, Desa)
        aligner, _ = candidate.build(inputs, candidate.settings(inputs), None)
        assert isinstance(aligner, DesaAligner)
        aligner.eval()
        output, found = aligner.dualformer(first, second), aligner.views(first, second)
        for half, kind in zip(aligner.pair(first, second), ("spectrum", "lightcurve"), strict=True):
            torch.testing.assert_close(half, getattr(output, f"{read}_{kind}"))
            torch.testing.assert_close(found[f"head_{kind}"], half)
