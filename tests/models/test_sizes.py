"""Parameter counts of the presets; pieces against plain references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from desa.config import settings
from desa.models.basis import schur_vectors
from desa.models.dualformer import DualFormer
from desa.models.layers import Rotary, RotaryAttention
from desa.models.lightcurve import LightCurveEncoder
from desa.models.network import Network
from desa.models.spectrum import SpectrumDecoder, SpectrumEncoder


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_sizes_to_the_last_parameter() -> None:
    chosen = settings("published")
    with torch.device("meta"):
        assert _count(LightCurveEncoder(chosen.lightcurve)) == 11_717_504
        assert _count(SpectrumEncoder(chosen.spectrum)) == 523_422_784
        unused_prediction_heads = 2 * (256 * 128 + 128 + 2 * 128 + 128 * 3 + 3)
        assert _count(DualFormer(chosen.dualformer, 2048, 256)) + unused_prediction_heads == 10_690_602


@pytest.mark.parametrize(("preset", "most"), [("mini", 1_500_000), ("small", 5_000_000)])
def test_presets_run_and_fit(preset: str, most: int) -> None:
    chosen = settings(preset)
    model = Network(chosen).eval()
    assert _count(model) < most
    channels = torch.randn(2, 4, chosen.preprocess_lightcurve.length)
    pixels = torch.randn(2, chosen.preprocess_spectrum.pixels)
    with torch.inference_mode():
        spectrum = model.require("spectrum_encoder")(pixels, torch.ones_like(pixels))
        lightcurve = model.require("lightcurve_encoder")(channels)
        output, joint = model.align(spectrum, lightcurve)
        filled = SpectrumDecoder(chosen.spectrum)(model.require("spectrum_encoder").cnn(pixels, pixels))
    assert filled.shape == pixels.shape
    assert joint.shape == (2, model.require("dualformer").joint_size)
    assert output.p_spectrum.shape == output.z_lightcurve.shape


def test_rotary_turns_pairs_by_position() -> None:
    rotary = Rotary(8)
    x = torch.randn(1, 1, 5, 8)
    turned = rotary(x)
    for position in range(5):
        for pair, frequency in enumerate((1.0, 10000.0**-0.5)):
            a, b = x[0, 0, position, pair], x[0, 0, position, pair + 2]
            c, s = np.cos(position * frequency), np.sin(position * frequency)
            assert torch.allclose(turned[0, 0, position, pair], a * c - b * s, atol=1e-6)
            assert torch.allclose(turned[0, 0, position, pair + 2], b * c + a * s, atol=1e-6)
    assert torch.equal(turned[..., 4:], x[..., 4:])


def test_attention_is_the_textbooks() -> None:
    torch.manual_seed(0)
    layer = RotaryAttention(16, 2)
    x = torch.randn(3, 7, 16)
    heads = []
    for head in range(2):
        part = slice(8 * head, 8 * head + 8)
        q, k, v = (getattr(layer, name)(x)[..., part] for name in ("query", "key", "value"))
        q, k = layer.rotary(q[:, None])[:, 0], layer.rotary(k[:, None])[:, 0]
        weights = torch.softmax(q @ k.transpose(1, 2) / 8**0.5, dim=-1)
        heads.append(weights @ v)
    assert torch.allclose(layer(x), layer.output(torch.cat(heads, -1)), atol=1e-5)


def test_schur_vectors_are_a_basis_ordered_by_eigenvalue() -> None:
    matrix = np.random.default_rng(0).normal(size=(12, 12))
    vectors = schur_vectors(matrix)
    assert np.allclose(vectors.T @ vectors, np.eye(12), atol=1e-10)
    sizes = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]
    for count in range(1, 12):
        if abs(sizes[count - 1] - sizes[count]) > 1e-6:  # not between a complex pair
            inner = vectors[:, :count].T @ matrix @ vectors[:, :count]
            assert np.allclose(np.sort(np.abs(np.linalg.eigvals(inner)))[::-1], sizes[:count], rtol=1e-6)
            assert np.allclose(vectors[:, count:].T @ matrix @ vectors[:, :count], 0, atol=1e-9)


def test_projection_is_transposed_for_the_light_curve() -> None:
    chosen = settings("mini").dualformer
    dualformer = DualFormer(chosen, 64, 64).eval()
    output = dualformer(torch.randn(4, 64), torch.randn(4, 64))
    matrix = dualformer.projection.weight
    assert torch.allclose(output.p_spectrum, output.z_spectrum @ matrix.T, atol=1e-5)
    assert torch.allclose(output.p_lightcurve, output.z_lightcurve @ matrix, atol=1e-5)


def test_skip_keeps_what_a_linear_map_can_carry() -> None:
    """Before any training, the features can be read off the joint embedding of the default DualFormer."""
    torch.manual_seed(0)
    dualformer = DualFormer(settings("mini").dualformer, 64, 64).eval()
    spectrum, lightcurve = torch.randn(2000, 64), torch.randn(2000, 64)
    with torch.inference_mode():
        joint = dualformer.joint(dualformer(spectrum, lightcurve))
    target = torch.cat([spectrum, lightcurve], 1)
    inputs = torch.cat([joint, torch.ones(2000, 1)], 1)
    solution = torch.linalg.lstsq(inputs[:1000], target[:1000]).solution
    left = ((inputs[1000:] @ solution - target[1000:]) ** 2).mean()
    assert left < 0.1
