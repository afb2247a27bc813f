"""From a survey with a user's label to predictions, heads on disk between."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from astropy.table import Table
from torch import nn
from typer.testing import CliRunner

import desa
from desa.cli import app
from desa.config import settings
from desa.errors import ModelError, SettingsError
from desa.finetune.survey import finetune_survey, save_with_heads
from desa.inference.predict import predict_survey
from desa.inference.quality import Flag
from desa.models.network import Network
from desa.survey.splits import split_of
from desa.survey.store import Survey, SurveyWriter
from desa.types import Spectrum
from helpers.stars import curve

STARS = 160
SMALL = {
    "preprocess_lightcurve": {"length": 256},
    "lightcurve": {"cnn_widths": [4, 4], "log_axis": 32, "stem": 16, "width": 8, "heads": 2, "features": 24},
    "spectrum": {
        "cnn_widths": [4, 8, 8, 8, 8, 16],
        "blocks": 1,
        "heads": 2,
        "pooling": "mean",
        "dropout": 0.0,
    },
    "dualformer": {"width": 8, "heads": 2, "blocks": 1, "feed_forward": 8, "groups": 2},
}
runner = CliRunner()


def line(depth: float, seed: int) -> Spectrum:
    """A flat spectrum with lines whose depth is the user's label."""
    rng = np.random.default_rng([seed, 1])
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(3909))
    flux = np.ones(3909)
    for centre in np.arange(4000, 8600, 200):
        flux -= depth * np.exp(-(((wavelength - centre) / 6) ** 2))
    flux = 1e3 * (flux + rng.normal(0, 0.01, 3909))
    return Spectrum(
        flux.astype(np.float32), np.full(3909, 1e-2, np.float32), 3.5682, z=0.0, star_id=f"KIC {seed}",
        obsid=f"{seed}", snr={"g": 100.0}, ra=10.0, dec=1e-2 * seed,
    )  # fmt: skip


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.9, STARS)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, truth: np.ndarray) -> Survey:
    """Spectra of all stars, light curves of the even ones."""
    writer = SurveyWriter(tmp_path_factory.mktemp("survey"), "mock")
    for n in range(STARS):
        if n % 2 == 0:
            writer.add_lightcurve(curve(f"KIC {n}", seed=n))
        writer.add_spectrum(line(truth[n], n))
    return writer.finish(pa.table({"star_id": [f"KIC {n}" for n in range(STARS)], "binary": truth > 0.5}), {})


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory, truth: np.ndarray) -> Path:
    """Labels of 50 stars, in a table of the user's."""
    path = tmp_path_factory.mktemp("labels") / "mine.csv"
    kind = np.where(truth > 0.6, "deep", "shallow")
    rows = [f"{n},{truth[n]:.4f},{kind[n]},{10 ** truth[n]:.4f}" for n in range(50)]
    path.write_text("kic,depth,kind,scale\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Network:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    Network(settings("mini", **SMALL)).eval().save(folder)
    return Network.load(folder)


def test_fifty_numbers_beat_their_mean(
    model: Network, survey: Survey, fifty: Path, truth: np.ndarray, tmp_path: Path
) -> None:
    found = finetune_survey(model, survey, "depth", "regression", table=fifty)
    variants = {head.variant for head in found.heads}
    assert variants >= {"joint", "spectrum"}
    save_with_heads(Network.load(_saved(model, tmp_path)), found.heads, tmp_path / "with")
    again = desa.load(str(tmp_path / "with"))
    assert [head.variant for head in again.heads][:2] == ["joint", "spectrum"]
    table = predict_survey(again, survey)
    row = [f"KIC {n}" for n in range(50, STARS)]
    place = {name: i for i, name in enumerate(table["star_id"])}
    chosen = [place[name] for name in row]
    error = np.abs(np.asarray(table["depth"])[chosen] - truth[50:])
    guess = np.abs(truth[50:] - truth[:50].mean())
    assert error.mean() < 0.5 * guess.mean(), f"{error.mean():.3f} against {guess.mean():.3f} of the mean"
    inside = (np.asarray(table["depth_low90"])[chosen] <= truth[50:]) & (
        truth[50:] <= np.asarray(table["depth_high90"])[chosen]
    )
    assert inside.mean() > 0.75, "50 labels: about 5 in 100 off the nominal 0.9"
    assert np.isfinite(table["depth"]).all() and not np.any(table["depth_flag"] & Flag.NO_CALIBRATION)
    assert "of the mock survey" in table.meta["calib"]


def test_fifty_classes_beat_the_commonest(
    model: Network, survey: Survey, fifty: Path, truth: np.ndarray, tmp_path: Path
) -> None:
    found = finetune_survey(model, survey, "kind", "classification", table=fifty)
    save_with_heads(Network.load(_saved(model, tmp_path)), found.heads, tmp_path / "with")
    table = predict_survey(desa.load(str(tmp_path / "with")), survey)
    kinds = {f"KIC {n}": "deep" if truth[n] > 0.6 else "shallow" for n in range(50, STARS)}
    rows = [row for row in table if row["star_id"] in kinds]
    right = np.mean([row["kind"] == kinds[row["star_id"]] for row in rows])
    common = max(np.mean([kind == name for kind in kinds.values()]) for name in ("deep", "shallow"))
    assert right > common + 0.15, f"{right:.2f} against {common:.2f} of the commonest class"
    shares = np.asarray(table["kind_p_deep"]) + np.asarray(table["kind_p_shallow"])
    np.testing.assert_allclose(shares, 1.0, atol=1e-6)
    assert table["kind_p_deep"].description == "calibrated probability that kind is deep"


def test_logarithms_and_names(
    model: Network, survey: Survey, fifty: Path, truth: np.ndarray, tmp_path: Path
) -> None:
    found = finetune_survey(
        model, survey, "scale", "regression", table=fifty, logarithm=True, name="my_scale"
    )
    model = Network.load(_saved(model, tmp_path))
    save_with_heads(model, found.heads, tmp_path / "with")
    table = predict_survey(desa.load(str(tmp_path / "with")), survey)
    place = {name: i for i, name in enumerate(table["star_id"])}
    chosen = [place[f"KIC {n}"] for n in range(50, STARS)]
    error = np.abs(np.log10(np.asarray(table["my_scale"])[chosen]) - truth[50:])
    assert error.mean() < 0.15 and np.all(table["my_scale_low90"] > 0)


def test_a_light_curve_head_is_for_light_curves(model: Network, survey: Survey, tmp_path: Path) -> None:
    alone = Network(model.settings, ["lightcurve"]).eval()
    alone.save(tmp_path / "alone")
    alone = Network.load(tmp_path / "alone")
    found = finetune_survey(alone, survey, "binary", "classification")
    assert [head.variant for head in found.heads] == ["lightcurve"]
    assert dict(found.left_out) == dict.fromkeys(("joint", "spectrum"), "the model has no encoder for it")
    save_with_heads(alone, found.heads, tmp_path / "with")
    table = predict_survey(desa.load(str(tmp_path / "with")), survey)
    assert len(table) == STARS // 2 and set(table["binary"]) <= {"no", "yes"}


def test_the_callers_model_stays_where_it_is(
    model: Network, survey: Survey, fifty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, apply = set(map(id, model.modules())), nn.Module._apply

    def watched(module: nn.Module, *given: object, **named: object) -> nn.Module:
        """What `to`, `cpu` and `cuda` come down to."""
        assert id(module) not in own, "the model was moved"
        return apply(module, *given, **named)

    monkeypatch.setattr(nn.Module, "_apply", watched)
    found = finetune_survey(model, survey, "depth", "regression", table=fifty, work=tmp_path / "work")
    assert {head.variant for head in found.heads} >= {"joint", "spectrum"}
    assert not (tmp_path / "work").exists()


def test_unfrozen_the_dualformer_is_a_copy(
    model: Network, survey: Survey, fifty: Path, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = finetune_survey(model, survey, "depth", "regression", table=fifty, unfrozen=True)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    joint = next(head for head in found.heads if head.variant == "joint")
    assert joint.tuned.settings.unfreeze
    own = Network.load(_saved(model, tmp_path))
    save_with_heads(own, found.heads, tmp_path / "with")
    again = desa.load(str(tmp_path / "with"))
    mine, its = (predict_survey(one, survey)["depth"] for one in (own, again))
    np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


def test_a_model_keeps_its_heads_and_takes_a_new_one_for_the_old(
    model: Network, survey: Survey, fifty: Path, tmp_path: Path
) -> None:
    folder = _saved(model, tmp_path)
    for label, task in (("depth", "regression"), ("kind", "classification"), ("depth", "regression")):
        loaded = Network.load(folder)
        save_with_heads(loaded, finetune_survey(loaded, survey, label, task, table=fifty).heads, folder)
    labels = [(head.label, head.variant) for head in Network.load(folder).heads]
    assert len(labels) == len(set(labels)) and {label for label, _ in labels} == {"depth", "kind"}


def test_foreign_and_damaged_heads_are_refused(
    model: Network, survey: Survey, fifty: Path, tmp_path: Path
) -> None:
    folder = _saved(model, tmp_path)
    loaded = Network.load(folder)
    save_with_heads(loaded, finetune_survey(loaded, survey, "depth", "regression", table=fifty).heads, folder)
    torch.manual_seed(1)
    Network(model.settings).eval().save(folder)
    with pytest.raises(ModelError, match=r"depth.joint.safetensors: a head of another model's weights"):
        Network.load(folder)
    loaded.save(folder)
    path = folder / "heads" / "depth.joint.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"depth.joint.safetensors: damaged"):
        Network.load(folder)


def test_what_makes_no_head_is_said(model: Network, survey: Survey, fifty: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a task is regression or classification, not 'ranking'"):
        finetune_survey(model, survey, "depth", "ranking", table=fifty)
    with pytest.raises(SettingsError, match="can't be a label's name"):
        finetune_survey(model, survey, "depth", "regression", table=fifty, name="../depth")
    few = tmp_path / "few.csv"
    few.write_text("kic,depth\n" + "".join(f"{n},0.{n + 1}\n" for n in range(1, 6)))
    trained = sum(split_of(f"KIC {n}") == "train" for n in range(1, 6))
    with pytest.raises(SettingsError, match=f"spectrum: {trained} labelled training stars, 10 are needed"):
        finetune_survey(model, survey, "depth", "regression", table=few)


def test_the_command(model: Network, survey: Survey, fifty: Path, tmp_path: Path) -> None:
    folder, out = _saved(model, tmp_path), tmp_path / "out"
    arguments = ["finetune", str(survey.path), "--labels", str(fifty), "--model", str(folder), "-o", str(out)]
    result = runner.invoke(
        app, [*arguments, "--task", "regression", "--label", "depth"], env={"COLUMNS": "150"}
    )
    assert result.exit_code == 0, result.output
    assert "mae" in result.output and "guessing" in result.output
    facts = json.loads((out / "model.json").read_text())
    assert facts["parts"] == list(model.parts)
    table = tmp_path / "stars.ecsv"
    result = runner.invoke(app, ["predict", str(survey.path), "--model", str(out), "-o", str(table)])
    assert result.exit_code == 0 and "depth" in Table.read(table).colnames
    wrong = runner.invoke(app, [*arguments, "--task", "regression", "--label", "nothing"])
    assert isinstance(wrong.exception, SettingsError)


def _saved(model: Network, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"
