"""Tasks on real stars find what was put in, and give chance for noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desa.benchmark.base import EMBEDDING, TASKS, Material, TaskResult
from desa.benchmark.candidates.lightcurve_numbers import lightcurve_features
from desa.benchmark.inputs import REAL_LIGHTCURVES, REAL_SPECTRA, Inputs, Track
from desa.benchmark.real_stars import LABELS, RealCandidate, labelled_spectra, quarters
from desa.benchmark.tasks.labelled_spectra import GOOD
from desa.benchmark.tasks.sim_to_real import stars_of_share
from desa.config import settings
from desa.evaluation.crossvalidation import KERNEL, LINEAR, TREES, Learner
from desa.survey.store import Survey
from helpers.zoo import zoo_survey


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return zoo_survey(tmp_path_factory.mktemp("zoo") / "survey", 60, 200)


@pytest.fixture(autouse=True)
def few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desa.evaluation.crossvalidation.held_out.__kwdefaults__", {"repeats": 1})
    monkeypatch.setattr("desa.benchmark.tasks.variable_classes.REPEATS", 2)


def inputs_of(survey: Survey, track: Track) -> Inputs:
    return Inputs(survey, settings("mini"), survey.path, None, track)


def made(track: Track, learner: Learner = LINEAR, core: bool = False) -> RealCandidate:
    return RealCandidate(name="made", title="made", text="", order=0, track=track, learner=learner, core=core)


def done(
    task: str,
    inputs: Inputs,
    folder: Path,
    learner: Learner = LINEAR,
    core: bool = False,
    **arrays: np.ndarray,
) -> TaskResult:
    """A task of what gives these arrays."""
    given = {name.replace("_", "/", 1): rows.astype(np.float32) for name, rows in arrays.items()}
    np.savez(folder / EMBEDDING, **given)
    return TASKS[task].run(Material(inputs, made(inputs.track, learner, core), folder, 0))


def scored(result: TaskResult, label: str, metric: str, part: str = ""):
    (found,) = (s for s in result.scores if (s.label, s.metric, s.part) == (label, metric, part))
    return found


@pytest.mark.parametrize("learner", [LINEAR, TREES])
def test_kinds_periods_and_classes_of_a_zoo(survey: Survey, tmp_path: Path, learner: Learner) -> None:
    inputs = inputs_of(survey, REAL_LIGHTCURVES)
    table = np.stack([lightcurve_features(curve) for curve in quarters(inputs).values()])
    kinds = done("kinds_of_lightcurve", inputs, tmp_path, learner, joint=table)
    for kind in ("eclipsing binary", "giant"):
        assert scored(kinds, kind, "auc").value > 0.95
    assert scored(kinds, "giant", "auc").n == 40, "eclipsing binaries take no part"
    numbers = done("numbers_of_lightcurve", inputs, tmp_path, learner, joint=table)
    assert scored(numbers, "prot", "r2").value > 0.5 and scored(numbers, "prot", "r2").n == 20
    classes = done("variable_classes", inputs, tmp_path, learner, joint=table)
    assert {score.part for score in classes.scores} == {"20 %", "50 %", "all but a fifth"}
    best = scored(classes, "variable_class", "balanced_accuracy", "all but a fifth")
    assert best.value > 0.95 and best.chance == 0.5 and best.n == 40
    assert (classes.arrays["truth"] == classes.arrays["called"]).mean() > 0.9


def test_noise_tells_nothing(survey: Survey, tmp_path: Path) -> None:
    inputs = inputs_of(survey, REAL_LIGHTCURVES)
    noise = np.random.default_rng(0).normal(size=(len(inputs.stars), 5))
    for task in ("kinds_of_lightcurve", "variable_classes"):
        for score in done(task, inputs, tmp_path, joint=noise).scores:
            assert abs(score.value - score.chance) < 4 * score.error + 0.05, score
    for score in done("lightcurve_landmarks", inputs, tmp_path, joint=noise).scores:
        assert abs(score.value - score.chance) < 0.25, score


def test_what_says_periods_is_scored_on_the_same_stars(survey: Survey, tmp_path: Path) -> None:
    inputs = inputs_of(survey, REAL_LIGHTCURVES)
    days = inputs.label("prot")[:, None].copy()
    right = done("numbers_of_lightcurve", inputs, tmp_path, said_prot=days)
    assert scored(right, "prot", "mae").value < 1e-5 and scored(right, "prot", "mae").n == 20
    nothing = done("numbers_of_lightcurve", inputs, tmp_path, said_prot=np.full_like(days, np.nan))
    mae = scored(nothing, "prot", "mae")
    assert mae.value == pytest.approx(mae.chance)


def test_few_labels_of_informative_and_of_random_features(survey: Survey, tmp_path: Path) -> None:
    inputs = inputs_of(survey, REAL_SPECTRA)
    labels = np.stack([inputs.label(name) for name in LABELS], axis=1)
    truth = (labels - labels.mean(0)) / labels.std(0)
    noise = np.random.default_rng(3).normal(size=truth.shape)
    told, blind = (done("few_real_labels", inputs, tmp_path, joint=rows) for rows in (truth, noise))
    for name in LABELS:
        assert scored(told, name, "r2", "20 %").value > 0.99
        assert scored(blind, name, "r2", "20 %").value < 0.1
    assert {score.part for score in told.scores} == {"1 %", "5 %", "20 %"}
    said = done("few_real_labels", inputs, tmp_path, said_teff=labels[:, :1] + 50)
    assert {score.part for score in said.scores} == {"0 %"}
    assert scored(said, "teff", "mae", "0 %").value == pytest.approx(50, abs=0.01)


@pytest.mark.parametrize("learner", [LINEAR, KERNEL])
def test_labels_out_of_fold_see_no_test_label(
    survey: Survey, tmp_path: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "desa.evaluation.crossvalidation.KERNEL_GRID", {"alpha": [1e-2], "gamma": [1e-2, 1e-1]}
    )
    inputs = inputs_of(survey, REAL_SPECTRA)
    labels = np.stack([inputs.label(name) for name in LABELS], axis=1)
    truth = (labels - labels.mean(0)) / labels.std(0)
    found = done("labelled_spectra", inputs, tmp_path, learner, joint=truth)
    for place, name in enumerate(LABELS):
        whole, good = scored(found, name, "mae"), scored(found, name, "mae", GOOD)
        assert whole.value < 0.35 * labels[:, place].std() and whole.n == 200
        assert good.n == (inputs.snr > 30).sum() < 200
    noise = np.random.default_rng(1).normal(size=truth.shape)
    blind = done("labelled_spectra", inputs, tmp_path, learner, joint=noise)
    assert scored(blind, "teff", "r2").value < 0.05


def test_hot_stars_and_those_without_a_label_are_left_out(survey: Survey) -> None:
    inputs = inputs_of(survey, REAL_SPECTRA)
    assert labelled_spectra(inputs).all()
    values = {name: inputs.label(name).copy() for name in LABELS}
    values["teff"][0], values["fe_h"][1] = 9000.0, np.nan

    class Changed(Inputs):
        def label(self, name: str) -> np.ndarray:
            return values[name]

    kept = labelled_spectra(Changed(survey, inputs.settings, survey.path, None, REAL_SPECTRA))
    assert kept.tolist() == [False, False, *[True] * 198]


def test_giants_keep_together_where_features_hold_gravity(survey: Survey, tmp_path: Path) -> None:
    inputs = inputs_of(survey, REAL_SPECTRA)
    told = done("spectrum_landmarks", inputs, tmp_path, joint=inputs.label("log_g")[:, None])
    (area,) = (score for score in told.scores if score.metric == "auc")
    assert area.value > 0.9 > area.chance
    hot = done("spectrum_landmarks", inputs, tmp_path, joint=inputs.label("teff")[:, None])
    assert scored(hot, "teff", "neighbour_mae").value < 0.2 * scored(hot, "teff", "neighbour_mae").chance


def test_shares_of_stars_are_nested() -> None:
    among = np.arange(60) % 5 > 0
    few, more, every = (stars_of_share(among, share, 0) for share in (0.2, 0.5, 1.0))
    assert few.sum() == 10 and more.sum() == 24 and (every == among).all()
    assert not (few & ~more).any() and not (more & ~among).any()


def test_figures_of_every_task_are_drawn(survey: Survey, tmp_path: Path) -> None:
    curves, observed = (inputs_of(survey, track) for track in (REAL_LIGHTCURVES, REAL_SPECTRA))
    rng = np.random.default_rng(0)
    wanted = {
        "few_real_labels": (observed, {"joint": rng.normal(size=(200, 4))}),
        "sim_to_real": (observed, {f"said_{name}": observed.label(name)[:, None] for name in LABELS}),
        "spectrum_landmarks": (observed, {"joint": rng.normal(size=(200, 4))}),
        "lightcurve_landmarks": (curves, {"joint": rng.normal(size=(60, 4))}),
        "numbers_of_lightcurve": (curves, {"said_prot": np.full((60, 1), 5.0)}),
    }
    for name, (inputs, arrays) in wanted.items():
        candidate = made(inputs.track, core=True)
        found = done(name, inputs, tmp_path, core=True, **arrays)
        (figure,) = TASKS[name].figures({candidate: found.arrays}, "Real stars")
        assert figure.caption.startswith("Real stars") and len(figure.png) > 5000, name


def test_a_models_own_head_needs_no_label(survey: Survey, tmp_path: Path) -> None:
    inputs = inputs_of(survey, REAL_SPECTRA)
    said = {f"said_{name}": inputs.label(name)[:, None] for name in LABELS}
    found = done("sim_to_real", inputs, tmp_path, **said)
    assert {score.part for score in found.scores} == {"0 %"}
    assert scored(found, "teff", "mae", "0 %").value < 0.01 and scored(found, "teff", "mae", "0 %").n == 40
    with pytest.raises(ValueError, match="does not give all"):
        done("sim_to_real", inputs, tmp_path, said_teff=said["said_teff"])
