"""The import of published checkpoints against the numbers that the published modules gave."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

import desa
from desa.errors import ModelError
from desa.losses import simsiam
from desa.models import published_names as names
from desa.models.published import convert, from_published, kind_of, read_checkpoint

pytestmark = pytest.mark.real
TOLERANCE = 1e-5


def _close(found: Tensor, expected: Tensor) -> bool:
    return float((found - expected).abs().max() / expected.abs().max()) < TOLERANCE


@pytest.fixture
def parity(shared: Path) -> Path:
    return shared / "parity"


@pytest.fixture
def numbers(parity: Path) -> dict[str, Tensor]:
    return load_file(parity / "small_io.safetensors")


@torch.inference_mode()
def _check_full(model: desa.models.network.Desa, numbers: dict[str, Tensor]) -> None:
    lightcurve = model.lightcurve_encoder(numbers["lc"])
    spectrum = model.spectrum_encoder(numbers["spectrum"])
    assert _close(lightcurve, numbers["z_lc"])
    assert _close(spectrum, numbers["z_spectrum"])
    output = model.dualformer(spectrum, lightcurve, numbers["prior"])
    assert _close(output.z_spectrum, numbers["emb_spectrum"])
    assert _close(output.z_lightcurve, numbers["emb_lc"])
    assert _close(output.p_spectrum, numbers["proj_spectrum"])
    assert _close(output.p_lightcurve, numbers["proj_lc"])


@pytest.mark.parametrize("prefix", ["", "module."])
def test_full_model(parity: Path, numbers: dict[str, Tensor], prefix: str, tmp_path: Path) -> None:
    state = load_file(parity / "small_desa_state.safetensors")
    state = {prefix + name: tensor for name, tensor in state.items()}
    model = from_published(state, parity / "small_config.yaml")
    _check_full(model, numbers)
    model.save(tmp_path / "model")
    _check_full(desa.load(str(tmp_path / "model")), numbers)


@torch.inference_mode()
def test_spectrum_pretraining(parity: Path, numbers: dict[str, Tensor], tmp_path: Path) -> None:
    state = load_file(parity / "small_spectrum_pretrain_state.safetensors")
    model = from_published(state, parity / "small_config.yaml")
    tokens = model.spectrum_encoder.cnn(numbers["spectrum"])
    assert _close(model.decoder(tokens), numbers["spec_reconstruction"])
    quantiles = model.spectrum_head(model.spectrum_encoder.conformer(tokens))
    assert _close(quantiles, numbers["spec_quantiles"].view(3, 3, 5))
    model.save(tmp_path)
    again = desa.load(str(tmp_path))
    assert _close(
        again.decoder(again.spectrum_encoder.cnn(numbers["spectrum"])), numbers["spec_reconstruction"]
    )


@torch.inference_mode()
def test_lightcurve_pretraining(parity: Path, numbers: dict[str, Tensor]) -> None:
    state = load_file(parity / "small_lightcurve_pretrain_state.safetensors")
    model = from_published(state, parity / "small_config.yaml")
    first = model.lightcurve_encoder(numbers["lc"])
    second = model.lightcurve_encoder(numbers["lc"].flip(0))
    assert _close(first, numbers["simsiam_z1"])
    assert _close(second, numbers["simsiam_z2"])
    assert _close(model.lightcurve_head(torch.cat([first, second], 1))[:, 0], numbers["lc_quantiles"])
    loss = simsiam(model.predictor(first), first, model.predictor(second), second)
    assert _close(loss[None], numbers["simsiam_loss"])


def test_every_published_tensor_has_a_place(parity: Path) -> None:
    """The three full key lists, on the meta device: nothing missing, nothing left over."""
    for file in sorted(parity.glob("published_*_keys.json")):
        shapes = json.loads(file.read_text())
        state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        model = from_published(state, parity / "published_config.yaml")
        assert model.metadata["kind"] == kind_of(state)


def test_names_go_both_ways(parity: Path) -> None:
    prefixes = {
        "lc_backbone.0.": names.LIGHTCURVE,
        "lc_backbone.1.": names.PROJECTOR,
        "spectra_backbone.": names.SPECTRUM,
        "dual_former.": names.DUALFORMER,
        "decoder.": names.DECODER,
        "regressor.": names.HEAD,
        "simsiam.predictor.": names.PREDICTOR,
    }
    seen = 0
    for file in sorted(parity.glob("published_*_keys.json")):
        state = json.loads(file.read_text())
        for prefix, rules in prefixes.items():
            found, unknown = names.part_of(state, prefix, rules)
            assert not unknown
            seen += len(found)
            for own, theirs in found.items():
                assert names.published(own, rules) == theirs.removeprefix(prefix)
    assert seen > 600


def test_other_constants_and_choices_are_refused(parity: Path) -> None:
    state = load_file(parity / "small_desa_state.safetensors")
    for name, value in (("input_factor", 2.0), ("inv_freq", 0.5)):
        spoilt = dict(state)
        chosen = next(key for key in state if key.endswith(name))
        spoilt[chosen] = torch.full_like(state[chosen], value)
        with pytest.raises(ModelError, match=chosen):
            from_published(spoilt, parity / "small_config.yaml")
    config = yaml.safe_load((parity / "small_config.yaml").read_text())
    config["dual_former"]["pooling"] = "cls"
    with pytest.raises(ModelError, match=r"dual_former.pooling = 'cls', only 'mean'"):
        from_published(state, config)
    del config["Conformer_spec"]
    with pytest.raises(ModelError, match="sections"):
        from_published(state, config)


def test_heads_are_added_where_the_encoders_are_the_same(parity: Path, tmp_path: Path) -> None:
    state = load_file(parity / "small_desa_state.safetensors")
    other = load_file(parity / "small_spectrum_pretrain_state.safetensors")
    config = parity / "small_config.yaml"
    save_file(state, tmp_path / "full")
    save_file(other, tmp_path / "stranger")
    with pytest.raises(ModelError, match="another encoder"):
        convert(tmp_path / "full", config, tmp_path / "model", heads=[tmp_path / "stranger"])
    own = {f"encoder.{k.removeprefix('spectra_backbone.')}": v for k, v in state.items() if "spectra_b" in k}
    save_file({**other, **own}, tmp_path / "sibling")
    convert(tmp_path / "full", config, tmp_path / "model", heads=[tmp_path / "sibling"])
    model = desa.load(str(tmp_path / "model"))
    assert model.lightcurve_head is None
    assert model.spectrum_quantiles(torch.randn(2, 32)).shape == (2, 3, 5)


def test_what_does_not_fit_is_listed(parity: Path) -> None:
    state = load_file(parity / "small_desa_state.safetensors")
    dropped = next(name for name in state if name.endswith("projection_head.weight"))
    spoilt = {name: tensor for name, tensor in state.items() if name != dropped}
    spoilt["dual_former.invented.weight"] = torch.zeros(3)
    name = "spectra_backbone.embedding.0.weight"
    name = name if name in spoilt else "spectra_backbone.backbone.embedding.0.weight"
    spoilt[name] = torch.zeros(2, 2)
    with pytest.raises(ModelError) as caught:
        from_published(spoilt, parity / "small_config.yaml")
    text = str(caught.value)
    assert f"missing (1): {dropped}" in text
    assert "dual_former.invented.weight" in text
    assert f"of another shape (1): {name} (2, 2), not (4, 1, 3)" in text
    with pytest.raises(ModelError, match="not a published DESA checkpoint"):
        from_published({"a": torch.zeros(1)}, parity / "small_config.yaml")


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


def test_code_in_a_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weights": _Code()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(_Code()))
    (tmp_path / "c.pth").write_bytes(b"not a checkpoint")
    for name in ("a.pth", "b.pth", "c.pth"):
        with pytest.raises(ModelError, match=name):
            read_checkpoint(tmp_path / name)
    assert "never run" not in capsys.readouterr().out


def test_convert_from_pth_and_safetensors(parity: Path, numbers: dict[str, Tensor], tmp_path: Path) -> None:
    state = load_file(parity / "small_desa_state.safetensors")
    torch.save(
        {"state_dict": {"module." + name: tensor for name, tensor in state.items()}}, tmp_path / "m.pth"
    )
    save_file(state, tmp_path / "m.safetensors")
    for name in ("m.pth", "m.safetensors"):
        convert(tmp_path / name, parity / "small_config.yaml", tmp_path / name[2:])
        _check_full(desa.load(str(tmp_path / name[2:])), numbers)
