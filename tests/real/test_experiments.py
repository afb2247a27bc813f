"""The real experiments on made-up stars with known answers, and the whole run in small."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from desa.benchmark.candidates.handmade import QUARTER, one_a_star, one_quarter, usable
from desa.benchmark.tasks.few_real_labels import lightcurve_tasks, own_heads, run, spectra_few_labels
from desa.cli import app
from desa.config import settings
from desa.errors import DesaError, ModelError
from desa.models.network import Network
from desa.real.data import read_spectra
from desa.real.handmade import LIGHTCURVE_NAMES, LINES, lightcurve_features, line_indices
from desa.real.lightcurves import KeplerStar
from desa.real.masked import MASKED, fill_masks
from desa.real.train import features_of
from desa.types import KEPLER_CADENCE_DAYS, LightCurve
from helpers.folder import write_lamost


def curve(flux: np.ndarray, star: str = "KIC 1") -> LightCurve:
    flux = flux.astype(np.float32)
    return LightCurve(flux, np.full(len(flux), 1e-4, np.float32), star_id=star, mission="Kepler")


def by_name(features: np.ndarray) -> dict[str, float]:
    return dict(zip(LIGHTCURVE_NAMES, features, strict=True))


def test_handmade_features_say_what_they_are_named() -> None:
    rng = np.random.default_rng(0)
    time = KEPLER_CADENCE_DAYS * np.arange(4400)
    noise = 1e-4 * rng.normal(size=4400)
    spotted = by_name(lightcurve_features(curve(1 + 0.01 * np.sin(2 * np.pi * time / 9.0) + noise)))
    assert spotted["log ACF period"] == pytest.approx(np.log10(9.0), abs=0.03)
    assert spotted["log Lomb-Scargle period"] == pytest.approx(np.log10(9.0), abs=0.03)
    assert spotted["log scatter"] == pytest.approx(np.log10(0.01), abs=0.1)
    quiet = by_name(lightcurve_features(curve(1 + noise)))
    assert quiet["log scatter"] == pytest.approx(-4, abs=0.05)
    dipping = 1 + noise
    dipping[(time % 3.0) < 0.1] -= 0.02
    eclipsed = by_name(lightcurve_features(curve(dipping)))
    assert eclipsed["skewness"] < -5 and eclipsed["dips"] > quiet["dips"] + 1
    gaps = 1 + noise
    gaps[::7] = np.nan
    assert np.isfinite(lightcurve_features(curve(gaps))).all()
    # the shares of the power are shares
    powers = [value for name, value in spotted.items() if name.startswith("power at")]
    assert sum(10**value for value in powers) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="at least 100"):
        lightcurve_features(curve(np.full(4000, np.nan)))


def test_line_indices_are_the_depths_at_the_stars_own_velocity() -> None:
    wave = 10 ** (3.5682 + 1e-4 * np.arange(3909))
    flux = np.tile(wave / 5000.0, (3, 1))  # a slope is no line
    z = np.array([0.0, 5e-4, 0.0])
    centre, half = LINES["H alpha"]
    for row, shift in enumerate(z[:2]):
        flux[row, np.abs(wave / (1 + shift) - centre) <= half] *= 0.6
    ivar = np.ones_like(flux)
    ivar[2, np.abs(wave - centre) < 100] = 0
    found = line_indices(flux, ivar, z)
    column = list(LINES).index("H alpha")
    assert found.shape == (3, len(LINES)) and np.isfinite(found).all()
    np.testing.assert_allclose(found[:2, column], 0.4, atol=0.01)
    others = np.delete(found[:2], column, axis=1)
    assert np.abs(others).max() < 0.03


def zoo(count: int = 60) -> list[KeplerStar]:
    rng = np.random.default_rng(2)
    time = KEPLER_CADENCE_DAYS * np.arange(3000)
    stars = []
    for number in range(count):
        labels, flux = {"logg_huber2014": 4.4}, 1 + 1e-4 * rng.normal(size=3000)
        if number % 3 == 0:
            labels["EB_period_kirk"] = 2.0
            flux[(time % 2.0) < 0.12] -= 0.1
        elif number % 3 == 1:
            period = rng.uniform(2, 15)
            labels["Prot_santos"] = period
            flux += 0.01 * np.sin(2 * np.pi * time / period)
        elif number % 2 == 0:
            labels["logg_huber2014"] = 2.5
            flux += 1e-3 * np.sin(2 * np.pi * time / 0.3)
        stars.append(KeplerStar(curve(flux, f"KIC {number}"), "single quarter", labels))
    return stars


def test_kinds_and_periods_of_a_zoo() -> None:
    stars = zoo()
    table = np.stack([lightcurve_features(star.curve) for star in stars])
    noise = np.random.default_rng(0).normal(size=(len(stars), 5))
    found = lightcurve_tasks({"hand-made features": table, "noise": noise}, stars, seed=0, repeats=1)
    scores = {(r.features, r.learner, r.score.label, r.score.metric): r.score for r in found.rows}
    for kind in ("eclipsing binary", "giant"):
        for learner in ("logistic", "boosted trees"):
            assert scores["hand-made features", learner, kind, "auc"].value > 0.95
        chance = scores["noise", "logistic", kind, "auc"]
        assert abs(chance.value - 0.5) < 4 * chance.error
    assert scores["ACF peak", "no learning", "prot", "within_10"].value > 0.9
    assert scores["Lomb-Scargle peak", "no learning", "prot", "within_10"].value > 0.9
    assert ("noise", "ridge", "numax", "mae") not in scores
    assert (found.arrays["prot/truth"] > 0).all()


def test_few_labels_of_informative_and_of_random_features() -> None:
    rng = np.random.default_rng(3)
    labels = rng.normal(size=(300, 3)) * [500, 0.4, 0.4] + [6000, 4, 0]
    sets = {"truth": (labels - labels.mean(0)) / labels.std(0), "noise": rng.normal(size=(300, 3))}
    rows = spectra_few_labels(sets, labels, seed=0, draws=4).rows
    for row in rows:
        if row.score.metric == "r2" and row.score.part == "20 %":
            assert row.score.value > 0.99 if row.features == "truth" else row.score.value < 0.1
        assert row.score.n <= 300 and row.tidy()["data"] == "real stars"
    assert {row.score.part for row in rows} == {"1 %", "5 %", "20 %"}


def test_only_keplers_own_light_curves_and_one_quarter_of_each() -> None:
    long = np.ones(9000)
    long[:4000] = np.nan
    stars = [
        KeplerStar(curve(long), "fits", {}),
        KeplerStar(curve(np.ones(900)), "delta Scuti", {}),
        KeplerStar(curve(np.full(900, np.nan)), "fits", {}),
    ]
    found = usable(stars)
    assert len(found) == 1 and len(found[0].curve) == QUARTER
    assert found[0].curve.valid.all() and found[0].curve.first_cadence >= 4000
    short = curve(np.ones(500))
    assert one_quarter(short) is short


def test_masked_filling_learns_without_labels_from_its_start(tmp_path: Path) -> None:
    write_lamost(tmp_path / "lamost", 16)
    spectra = read_spectra(tmp_path)
    assert len(one_a_star(spectra)) == 12
    training = MASKED.model_copy(update={"steps": 3, "batch_size": 4, "warmup": 0})
    chosen = settings("mini")
    first = fill_masks(spectra, chosen, tmp_path / "a", training=training, seed=1)
    blind = spectra.select(np.arange(len(spectra)))
    blind.labels[:] = np.nan
    again = fill_masks(blind, chosen, tmp_path / "b", training=training, seed=1)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    kept_run = fill_masks(spectra, chosen, tmp_path / "a", training=training, seed=1)  # finished: as it was
    assert all(torch.equal(v, first.state_dict()[k]) for k, v in kept_run.state_dict().items())
    with pytest.raises(ModelError):
        fill_masks(spectra, chosen, tmp_path / "a", training=training, seed=2)
    none = training.model_copy(update={"learning_rate": 0.0, "final_learning_rate": 0.0})
    kept = fill_masks(spectra, chosen, tmp_path / "c", start=first, training=none, seed=5)
    weights = dict(first.require("spectrum_encoder").named_parameters())
    for name, tensor in kept.require("spectrum_encoder").named_parameters():
        assert torch.equal(tensor, weights[name])


def test_own_heads_are_scored_without_any_real_label(tmp_path: Path) -> None:
    write_lamost(tmp_path / "lamost", 20)
    spectra = read_spectra(tmp_path)
    torch.manual_seed(0)
    model = Network(
        settings("mini", preprocess_lightcurve={"length": 4096}), ["spectrum", "lightcurve"]
    ).eval()
    found = own_heads(model, spectra, zoo(30))
    scores = {(row.score.label, row.score.metric): row.score for row in found.rows}
    middle = model.settings.objective_spectrum.quantiles.index(0.5)
    features = torch.from_numpy(features_of(model, spectra))
    for place, label in enumerate(("teff", "log_g", "fe_h")):
        predicted = model.spectrum_quantiles(features)[:, place, middle].detach().numpy()
        error = np.abs(predicted - spectra.labels[:, place]).mean()
        assert scores[label, "mae"].value == pytest.approx(error) and scores[label, "mae"].part == "0 %"
    assert scores["prot", "mae"].n == 10 and len(found.arrays) == 4


def write_kepler(folder: Path, stars: list[KeplerStar]) -> None:
    folder.mkdir(parents=True)
    names = ("KIC", "CADENCENO", "TIME", "PDCSAP_FLUX", "PDCSAP_FLUX_ERR", "SAP_QUALITY")
    columns: dict[str, list] = {name: [] for name in names}
    lines = ["KIC,Prot_santos,Prot_mcquillan,Prot_reinhold2015,EB_period_kirk,numax_yu,logg_huber2014,where"]
    for star in stars:
        kic, count = int(star.curve.star_id[4:]), len(star.curve)
        columns["KIC"] += [kic] * count
        columns["CADENCENO"] += list(range(7404, 7404 + count))
        columns["TIME"] += (260.0 + KEPLER_CADENCE_DAYS * np.arange(count)).tolist()
        columns["PDCSAP_FLUX"] += (1000 * star.curve.flux).astype(float).tolist()
        columns["PDCSAP_FLUX_ERR"] += [1.0] * count
        columns["SAP_QUALITY"] += [0] * count
        given = [star.labels.get(name, "") for name in lines[0].split(",")[1:-1]]
        lines.append(",".join([str(kic), *map(str, given), "x"]))
    pq.write_table(pa.table(columns), folder / "singlequarter_compact.parquet")
    (folder / "star_labels.csv").write_text("\n".join(lines))


def test_the_whole_run_in_small(tmp_path: Path) -> None:
    tiny = MASKED.model_copy(update={"steps": 2, "batch_size": 4, "warmup": 0})
    write_lamost(tmp_path / "data" / "lamost", 60)
    write_kepler(tmp_path / "data" / "kepler", zoo(42))
    chosen = settings("mini", preprocess_lightcurve={"length": 4096})
    Network(chosen, ["spectrum", "lightcurve"]).save(tmp_path / "model")
    facts = run(tmp_path / "data", tmp_path / "model", tmp_path / "out", repeats=1, draws=2, training=tiny)
    out = tmp_path / "out"
    with (out / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(facts["scores"]) == len(json.loads((out / "results.json").read_text())["scores"])
    assert {row["data"] for row in rows} == {"real stars"}
    assert {row["task"] for row in rows} == {"few labels", "kinds of light curve", "numbers of light curves"}
    assert all(np.isfinite(float(row["value"])) and np.isfinite(float(row["error"])) for row in rows)
    page = (out / "report.html").read_text()
    assert "Data: **real stars**" in (out / "report.md").read_text()
    assert "Data: real stars" in page and "mock survey" in page and page.count("<img") == 2
    own = [row for row in rows if row["learner"] == "own head, no real label"]
    assert {row["label"] for row in own} == {"teff", "log_g", "fe_h", "prot"}
    assert (out / "few_labels.png").stat().st_size > 20_000


def test_the_benchmark_command_runs_it(tmp_path: Path) -> None:
    write_kepler(tmp_path / "data" / "kepler", zoo(42))
    Network(settings("mini", preprocess_lightcurve={"length": 4096}), ["lightcurve"]).save(tmp_path / "model")
    data, model, out = (str(tmp_path / name) for name in ("data", "model", "out"))
    given = ["benchmark", data, "--real", "--model", model, "-o", out]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert "Data: real stars" in (tmp_path / "out" / "report.html").read_text()
    assert CliRunner().invoke(app, [*given, "--only", "probe"]).exit_code == 2
    assert CliRunner().invoke(app, ["benchmark", data, "--model", model, "-o", out]).exit_code == 2


def test_a_model_that_knows_the_real_spectra_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has learned from these real spectra"):
        run(tmp_path, "", tmp_path / "out")
    given = ["benchmark", str(tmp_path), "--real", "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(app, given).exit_code == 2, "no model is named"


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    Network(settings("mini"), ["spectrum"]).save(tmp_path / "model")
    with pytest.raises(DesaError, match=r"dr10_compact\.npz"):
        run(tmp_path / "nowhere", tmp_path / "model", tmp_path / "out")
