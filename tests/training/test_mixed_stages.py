"""Stages on several surveys, from another model's weights, and without labels."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from desa.errors import ModelError, SurveyError
from desa.models.network import Network
from desa.survey.store import Survey, SurveyWriter
from desa.training.pairs import split_pairs
from desa.training.stages import align, pretrain_lightcurve, pretrain_spectrum
from desa.training.tracking import read_metrics
from helpers.runs import two_processes
from helpers.stars import dwarf, spectrum, tiny_survey
from helpers.tiny import Trained, tiny_settings

SHORT = {"steps": 4, "validate_every": 2}
BRIEF = tiny_settings(train_spectrum=SHORT, train_lightcurve=SHORT, train_align=SHORT)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("real"), 60, "real", 7000)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Spectra alone, without a label."""
    writer = SurveyWriter(tmp_path_factory.mktemp("unlabelled"), "real")
    for n in range(40):
        writer.add_spectrum(spectrum(f"Gaia {n}", dwarf(5000.0 + 10 * n), snr=30.0, seed=n))
    return writer.finish(pa.table({"star_id": [f"Gaia {n}" for n in range(40)]}), {})


def in_train(survey: Survey, star: np.ndarray) -> int:
    return len(np.unique(star[survey.split[star] == "train"]))


@pytest.mark.parametrize("stage", ["spectrum", "lightcurve"])
def test_the_model_says_which_surveys_of_which_kind(
    survey: Survey, real: Survey, tmp_path: Path, stage: str
) -> None:
    run = pretrain_spectrum if stage == "spectrum" else pretrain_lightcurve
    run([f"{survey.path}=3", real], BRIEF, tmp_path, device="cpu")
    facts = Network.load(tmp_path / "model").metadata
    assert facts["data"] == "mock survey and real survey"
    counts = [in_train(s, getattr(s, f"{stage}_star")) for s in (survey, real)]
    assert facts["surveys"] == [
        {"kind": "mock", "survey": survey.identity, "share": 0.75, "stars": counts[0]},
        {"kind": "real", "survey": real.identity, "share": 0.25, "stars": counts[1]},
    ]
    assert json.loads((tmp_path / "run.json").read_text())["surveys"] == facts["surveys"]
    with pytest.raises(ModelError, match=r"another run.*survey"):
        run([f"{survey.path}=2", real], BRIEF, tmp_path, device="cpu")


def test_calibration_is_of_real_stars_where_there_are_enough(
    survey: Survey, real: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tiny_settings(
        train_spectrum=SHORT, objective_spectrum={"labels": ("teff",), "scales": (5778.0,)}
    )
    mixed = pretrain_spectrum([survey, real], chosen, tmp_path / "few", device="cpu")
    counts = [int((s.split[s.spectrum_star] == "calibration").sum()) for s in (survey, real)]
    assert mixed.calibration["spectrum"]["counts"] == [sum(counts)]
    assert mixed.calibration["spectrum"]["stars"] == "mock survey and real survey"
    monkeypatch.setattr("desa.training.stages.LEAST_REAL", counts[1])
    mixed = pretrain_spectrum([survey, real], chosen, tmp_path / "enough", device="cpu")
    assert mixed.calibration["spectrum"]["counts"] == [counts[1]]
    assert mixed.calibration["spectrum"]["stars"] == "real survey"


def test_labels_of_one_survey_are_enough(survey: Survey, unlabelled: Survey, tmp_path: Path) -> None:
    chosen = tiny_settings(
        train_spectrum=SHORT, objective_spectrum={"labels": ("teff",), "scales": (5778.0,)}
    )
    model = pretrain_spectrum([survey, unlabelled], chosen, tmp_path, device="cpu")
    assert model.calibration["spectrum"]["stars"] == "mock survey"
    assert model.spectrum_head is not None


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_without_labels_it_is_masked_filling(unlabelled: Survey, tmp_path: Path, share: float) -> None:
    chosen = tiny_settings(
        train_spectrum={"steps": 40, "validate_every": 20}, objective_spectrum={"supervised": share}
    )
    pretrain_spectrum(unlabelled, chosen, tmp_path, device="cpu")
    model = Network.load(tmp_path / "model")
    assert model.spectrum_head is None and model.calibration == {}
    assert model.metadata["data"] == "real survey"
    valid = [r["self_supervised"] for r in read_metrics(tmp_path / "metrics.jsonl") if r["phase"] == "valid"]
    assert valid[-1] < valid[0]


def test_labels_are_fitted_from_another_models_weights(
    trained: Trained, real: Survey, tmp_path: Path
) -> None:
    """In its own sizes and preprocessing, and by epochs."""
    chosen = tiny_settings(
        spectrum={"blocks": 3},
        objective_spectrum={"supervised": 1.0, "augment": True},
        train_spectrum={"epochs": 2, "learning_rate": 1e-9, "batch_size": 8, "warmup": 0.5},
    )
    start = trained.folder / "spectrum" / "model"
    model = pretrain_spectrum(real, chosen, tmp_path, start=start, device="cpu")
    assert model.settings.spectrum.blocks == 1
    rows = int((real.split[real.spectrum_star] == "train").sum())
    assert model.metadata["steps"] == 2 * (rows // 8)
    assert model.metadata["made_from"] == json.loads((start / "model.json").read_text())["weights"]
    rates = [r["lr"] for r in read_metrics(tmp_path / "metrics.jsonl") if r["phase"] == "train"]
    assert np.argmax(rates) == len(rates) // 2 - 1
    given = Network.load(start).state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(value, given[name], rtol=0, atol=1e-5)
    again = tiny_settings(
        objective_spectrum={"supervised": 1.0, "augment": True}, train_spectrum={"batch_size": 8}
    )
    with pytest.raises(ModelError, match="another run"):
        pretrain_spectrum(real, again, tmp_path, device="cpu")


def test_alignment_is_of_the_surveys_that_have_pairs(
    trained: Trained, real: Survey, unlabelled: Survey, tmp_path: Path
) -> None:
    parts = [trained.folder / name / "model" for name in ("spectrum", "lightcurve")]
    chosen = tiny_settings(
        train_align=SHORT, alignment={"supervised": 0.5}, dualformer={"prior": "photometric"}
    )
    surveys = [trained.survey, unlabelled, f"{real.path}=1"]
    model = align(surveys, *parts, chosen, tmp_path / "all", device="cpu")
    facts = model.metadata["surveys"]
    assert [(f["kind"], f["share"]) for f in facts] == [("mock", 0.5), ("real", 0.5)]
    assert [f["stars"] for f in facts] == [
        len(np.unique(split_pairs(s, "train").star)) for s in (trained.survey, real)
    ]
    same = align([trained.survey, real], *parts, chosen, tmp_path / "two", device="cpu")
    assert all(torch.equal(same.state_dict()[name], value) for name, value in model.state_dict().items())
    with pytest.raises(SurveyError, match="0 stars with light curve and spectrum"):
        align(unlabelled, *parts, chosen, tmp_path / "none", device="cpu")


def test_an_encoder_without_a_head_is_aligned(trained: Trained, unlabelled: Survey, tmp_path: Path) -> None:
    pretrain_spectrum(unlabelled, BRIEF, tmp_path / "spectrum", device="cpu")
    parts = tmp_path / "spectrum" / "model", trained.folder / "lightcurve" / "model"
    align(trained.survey, *parts, BRIEF, tmp_path / "joint", device="cpu")
    model = Network.load(tmp_path / "joint" / "model")
    assert model.spectrum_head is None and model.lightcurve_head is not None


def program(out: str, *surveys: str) -> None:
    """What each of two processes does: a run in one go, and one that is taken up again."""
    torch.set_num_threads(1)
    for name, steps in (("whole", 6), ("parts", 3), ("parts", 6)):
        chosen = tiny_settings(train_spectrum={"steps": steps, "batch_size": 8, "schedule": "constant"})
        pretrain_spectrum(surveys, chosen, Path(out) / name, device="cpu")


@pytest.mark.slow
def test_two_processes_share_the_surveys_and_go_on(survey: Survey, real: Survey, tmp_path: Path) -> None:
    two_processes(Path(__file__), str(tmp_path), f"{survey.path}=1", f"{real.path}=1")
    one, other = (Network.load(tmp_path / name / "model") for name in ("whole", "parts"))
    assert one.metadata["steps"] == 6 and one.metadata["surveys"] == other.metadata["surveys"]
    assert all(torch.equal(other.state_dict()[name], value) for name, value in one.state_dict().items())


if __name__ == "__main__":
    program(*sys.argv[1:])
