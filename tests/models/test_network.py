"""The whole model: what it gives for objects, on disk and back, with less precision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import desa
from desa.config import settings
from desa.conformal import calibrate
from desa.errors import ModelError
from desa.inference.model import Desa
from desa.models.reference import fit_reference
from helpers.stars import curve, spectrum

PRIOR = np.array([0.8, 4.6, 1.0], dtype=np.float32)


@pytest.fixture(scope="module")
def model() -> Desa:
    torch.manual_seed(0)
    small = {"preprocess_lightcurve": {"length": 2048}, "dualformer": {"prior": "photometric"}}
    return Desa(settings("mini", **small)).eval()


def test_one_star(model: Desa) -> None:
    found = model.embed(curve("KIC 1", length=3000, seed=1), spectrum(seed=2), PRIOR)
    assert found.modality == "joint"
    assert found.star_id == "KIC 1"
    assert found.joint.shape == (model.require("dualformer").joint_size,)
    assert found.p_spectrum.shape == found.z_lightcurve.shape
    assert np.isfinite(found.vector).all()
    alone = model.embed(spectrum=spectrum(seed=2))
    assert alone.modality == "spectrum"
    assert alone.joint is alone.z_spectrum is alone.features_lightcurve is None
    assert np.allclose(alone.vector, found.features_spectrum, atol=1e-5)


def test_many_stars_are_each_as_alone(model: Desa) -> None:
    curves = [curve("a", length=3000, seed=1), None, curve("c", length=1500, seed=3)]
    spectra = [spectrum(seed=4), spectrum("b", seed=5), spectrum(seed=6)]
    priors = np.stack([PRIOR, PRIOR, 2 * PRIOR])
    found = model.embed(curves, spectra, priors)
    assert [row.modality for row in found] == ["joint", "spectrum", "joint"]
    assert [row.star_id for row in found] == ["a", "b", "c"]
    for k in (0, 2):
        alone = model.embed(curves[k], spectra[k], priors[k])
        assert np.allclose(found[k].joint, alone.joint, atol=1e-4)


def test_missing_prior_is_not_a_number(model: Desa) -> None:
    missing = model.embed(curve(length=3000, seed=1), spectrum(seed=2))
    nan = model.embed(curve(length=3000, seed=1), spectrum(seed=2), [np.nan] * 3)
    assert np.array_equal(missing.joint, nan.joint)
    assert missing.z_spectrum[-3:].tolist() == [-1, -1, -1]
    assert not np.allclose(
        missing.joint, model.embed(curve(length=3000, seed=1), spectrum(seed=2), PRIOR).joint
    )
    with pytest.raises(ModelError, match="photometric"):
        model.embed(curve(length=3000, seed=1), spectrum(seed=2), [1.0] * 6)


def test_what_makes_no_sense_is_refused(model: Desa) -> None:
    with pytest.raises(ValueError, match="give a light curve"):
        model.embed()
    with pytest.raises(ValueError, match="2 light curves and 1 spectra"):
        model.embed([curve(length=3000, seed=1), curve(length=3000, seed=2)], [spectrum(seed=1)])
    with pytest.raises(ValueError, match="star 1"):
        model.embed([curve(length=3000, seed=1), None])
    one = Desa(settings("mini"), ["spectrum"])
    with pytest.raises(ModelError, match="no lightcurve encoder"):
        one.embed(curve(length=3000, seed=1))


def test_predictions_carry_quantiles_and_intervals(model: Desa) -> None:
    rng = np.random.default_rng(0)
    levels = model.settings.objective_spectrum.quantiles
    model.calibration["spectrum"] = calibrate(
        np.sort(rng.normal(size=(50, 3, 5)), -1), rng.normal(size=(50, 3)), levels
    )
    found = model.predict([curve(length=3000, seed=1), None], [spectrum(seed=2), spectrum(seed=3)])
    assert set(found[0]) == {"teff", "log_g", "fe_h", "prot"}
    assert set(found[1]) == {"teff", "log_g", "fe_h"}
    teff = found[0]["teff"]
    assert list(teff.quantiles) == [0.05, 0.16, 0.5, 0.84, 0.95], "the ends of the intervals"
    assert sorted(teff.quantiles.values()) == list(teff.quantiles.values())
    assert teff.median == teff.quantiles[0.5]
    assert all(low <= high for low, high in teff.intervals.values())
    assert found[0]["prot"].intervals == {}
    # In kelvins: the untrained head says nearly 0 of its scale of 5777 K, so rounding is a large share of it.
    alone = model.predict(spectrum=spectrum(seed=2))["teff"].median
    assert alone == pytest.approx(teff.median, abs=0.01), "a spectrum alone and in a batch"


def test_saved_and_loaded_is_the_same(model: Desa, tmp_path: Path) -> None:
    model.metadata = {"data": "mock"}
    rows = np.random.default_rng(3).normal(size=(60, model.require("spectrum_encoder").features))
    reference = fit_reference(rows[:40], rows[40:])
    assert reference is not None
    model.references = {"spectrum": reference}
    model.save(tmp_path / "model")
    again = desa.load(str(tmp_path / "model"))
    model.references = {}
    assert np.array_equal(again.references["spectrum"].p_value(rows), reference.p_value(rows))
    assert again.metadata == {"data": "mock"}
    assert not again.training
    first, second = (m.embed(curve(length=3000, seed=1), spectrum(seed=2), PRIOR) for m in (model, again))
    assert np.allclose(first.joint, second.joint, atol=1e-5)  # memory lies otherwise: not to the last bit
    assert all(not tensor.is_meta for tensor in (*again.parameters(), *again.buffers()))


def test_half_precision_is_half_the_size_and_nearly_the_same(model: Desa, tmp_path: Path) -> None:
    model.save(tmp_path / "full")
    model.save(tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    again = desa.load(str(tmp_path / "half"))
    assert {tensor.dtype for tensor in again.parameters()} == {torch.float32}
    first, second = (m.embed(curve(length=3000, seed=1), spectrum(seed=2), PRIOR) for m in (model, again))
    for name in ("features_spectrum", "features_lightcurve", "joint"):
        a, b = getattr(first, name), getattr(second, name)
        assert 0 < np.abs(a - b).max() < 3e-3 * np.abs(a).max(), name


def test_damaged_models_are_refused(model: Desa, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model here"):
        desa.load(str(tmp_path))
    model.save(tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:-3] + b"abc")
    with pytest.raises(ModelError, match="damaged"):
        desa.load(str(tmp_path))
    model.save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    facts["settings"]["spectrum"]["blocks"] = 3
    (tmp_path / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="another architecture"):
        desa.load(str(tmp_path))


def test_bfloat16_agrees_within_its_tolerance(model: Desa, tmp_path: Path) -> None:
    model.save(tmp_path)
    reduced = desa.load(str(tmp_path)).fast("bfloat16")
    full, half = (m.embed(curve(length=3000, seed=1), spectrum(seed=2), PRIOR) for m in (model, reduced))
    for name in ("features_spectrum", "features_lightcurve", "joint"):
        a, b = getattr(full, name), getattr(half, name)
        assert b.dtype == np.float32
        assert np.abs(a - b).max() < 0.03 * np.abs(a).max(), name
    assert reduced.predict(spectrum=spectrum(seed=2))["teff"].median == pytest.approx(
        model.predict(spectrum=spectrum(seed=2))["teff"].median, rel=0.02, abs=30
    )
    with pytest.raises(ModelError, match="float32 or bfloat16"):
        reduced.fast("int8")
