"""The published model at full size, 545 M random weights, against its plain description. Needs 7 GB."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from desa.models.network import Network
from desa.models.published import from_published
from helpers import plain_model as plain

pytestmark = [pytest.mark.slow, pytest.mark.real]
HEADS = 8
TOLERANCE = 1e-5


def random_state(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Weights with which activations neither vanish nor grow, norms that are not the identity."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        tensor = torch.empty(shape)
        if name.endswith("num_batches_tracked"):
            tensor = torch.zeros(shape, dtype=torch.int64)
        elif name.endswith("input_factor"):
            tensor.fill_(1.0)
        elif name.endswith("inv_freq"):
            turned = 2 * shape[0]
            tensor = (10000.0 ** -(torch.arange(0, turned, 2, dtype=torch.float64) / turned)).float()
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif len(shape) > 1:
            tensor.normal_(0, math.sqrt(2 / math.prod(shape[1:])), generator=generator)
        elif name.endswith("weight"):
            tensor.normal_(1.0, 0.2, generator=generator)
        else:
            tensor.normal_(0, 0.2, generator=generator)
        state[name] = tensor
    return state


@pytest.fixture(scope="module")
def state(shared: Path) -> dict[str, Tensor]:
    return random_state(json.loads((shared / "parity" / "published_desa_keys.json").read_text()))


@pytest.fixture(scope="module")
def model(state: dict[str, Tensor], shared: Path) -> Network:
    return from_published(state, shared / "parity" / "published_config.yaml")


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    channels, pixels, prior = (
        torch.randn(2, *shape, generator=generator) for shape in ((4, 34560), (4096,), (6,))
    )
    channels[:, 0] += 3.0
    prior[1, 2] = float("nan")
    return channels, pixels, prior


@pytest.fixture(scope="module")
def expected(state: dict[str, Tensor], inputs: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
    """Spectrum features, light-curve features, z and p of both, one star at a time."""
    channels, pixels, prior = inputs
    with torch.inference_mode():
        spectrum = torch.cat([plain.spectrum_encoder(state, row[None], HEADS) for row in pixels])
        lightcurve = torch.cat([plain.lightcurve_encoder(state, row[None], HEADS) for row in channels])
        rows = [
            plain.dualformer(state, *(part[k : k + 1] for part in (spectrum, lightcurve, prior)), HEADS)
            for k in range(2)
        ]
    return [spectrum, lightcurve, *(torch.cat(parts) for parts in zip(*rows, strict=True))]


def outputs(model: Network, inputs: tuple[Tensor, Tensor, Tensor]) -> Iterator[Tensor]:
    channels, pixels, prior = inputs
    with torch.inference_mode():
        spectrum, lightcurve = model.spectrum_encoder(pixels), model.lightcurve_encoder(channels)
        output = model.dualformer(spectrum, lightcurve, prior)
    yield from (spectrum, lightcurve)
    yield from (output.z_spectrum, output.z_lightcurve, output.p_spectrum, output.p_lightcurve)


def compare(found: Iterator[Tensor], expected: list[Tensor]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert theirs.std() > 1e-3
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < TOLERANCE


def test_fused(model: Network, inputs: tuple[Tensor, Tensor, Tensor], expected: list[Tensor]) -> None:
    compare(outputs(model, inputs), expected)


def test_compiled(model: Network, inputs: tuple[Tensor, Tensor, Tensor], expected: list[Tensor]) -> None:
    compare(outputs(model.fast(compile=True), inputs), expected)


CONVERT = """
import sys
from pathlib import Path
from desa.models.published import convert

def most():  # of this process alone; getrusage would count the parent's too
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

before = most()
convert(sys.argv[1], sys.argv[2], sys.argv[3])
print(most() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of memory")
def test_conversion_needs_little_memory(state: dict[str, Tensor], shared: Path, tmp_path: Path) -> None:
    checkpoint, config = tmp_path / "model.pth", shared / "parity" / "published_config.yaml"
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, checkpoint)
    command = [sys.executable, "-c", CONVERT, str(checkpoint), str(config), str(tmp_path / "out")]
    kilobytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert 0 < kilobytes * 1024 < 1.3 * checkpoint.stat().st_size
