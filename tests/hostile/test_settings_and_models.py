"""Settings and models from strangers: a model or one sentence, soon, whatever is in them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import desa.config
from desa.documents import read_json
from desa.errors import DesaError, ModelError, SettingsError
from desa.files import written_whole
from desa.models import storage
from desa.models.network import Network
from helpers.tiny import tiny_settings

SHIPPED = Path(desa.config.__file__).parent / "pretrained"


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


YAMLS = {
    "aliases": bomb(),
    "an alias of itself": "a: &a [*a]",
    "merged aliases": "a: &a {seed: 1}\n" + "".join(f"b{n}: &b{n} {{<<: *a}}\n" for n in range(20_000)),
    "deep": "[" * 100_000,
    "deep mappings": "".join(" " * n + "a:\n" for n in range(400)),
    "long": "seed: " + "1" * 200_000,
    "100 MB": "# " + "x" * 100_000_000,
    "many unknown keys": "".join(f"key{n}: 1\n" for n in range(20_000)),
    "objects": "seed: !!python/object/apply:os.system [touch x]",
    "unhashable": "? [a, {b: c}]\n: 1",
    "binary": "\0\1\2",
    "a date": "seed: 2020-13-45",
    "a number as key": "1: 2",
    "a list": "- 1",
    "infinite": "train_align: {learning_rate: .inf}",
    "not a number": "spectrum: {dropout: .nan}",
    "a preset of lists": "preset: [mini]",
    "a section of text": "spectrum: large",
    "a huge learning rate": "train_align: {learning_rate: 1.0e+300}",
    "a negative seed": "seed: -5",
    "a large seed": "seed: 99999999999999999999999999",
    "blocks of -1": "spectrum: {blocks: -1}",
    "blocks of 10^7": "spectrum: {blocks: 10000000}",
    "a label that is a path": "objective_spectrum: {labels: ['../../x'], scales: [1.0]}",
    "labels without scales": "objective_spectrum: {labels: [teff, log_g]}",
    "levels that descend": "objective_spectrum: {quantiles: [0.9, 0.1]}",
    "heads that do not fit": "dualformer: {width: 64, heads: 7}",
}


@pytest.mark.parametrize("name", YAMLS)
def test_settings(name: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(YAMLS[name])
    begun = time.monotonic()
    with pytest.raises(SettingsError) as error:
        desa.config.read_settings(path)
    assert time.monotonic() - begun < 5
    assert "\n" not in str(error.value) and len(str(error.value)) < 1500


def test_aliases_that_are_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "train_align: &t {steps: 7}\ntrain_spectrum: *t\ntrain_lightcurve: {<<: *t, patience: 3}\n"
    )
    found = desa.config.read_settings(path)
    assert (found.train_spectrum.steps, found.train_lightcurve.steps) == (7, 7)
    assert found.train_lightcurve.patience == 3


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Network(tiny_settings(), ("spectrum",)).save(folder)
    return folder


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


STRANGE = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        10**7,
        10**30,
        -1e300,
        1e308,
        "",
        "x" * 5000,
        "../..",
        [],
        {},
        [[]],
        {"a": 1},
        [1e9] * 50,
    ]
)


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_change_of_a_model_is_told_or_harmless(small: Path, data: st.DataObject) -> None:
    content = read_json(small / "model.json")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(content)[1:]))
        inner: Any = content
        for key in place[:-1]:
            inner = inner[key]
        if data.draw(st.booleans()) and isinstance(inner, dict):
            del inner[place[-1]]
        else:
            inner[place[-1]] = data.draw(STRANGE)
    folder = small.parent / "changed"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(json.dumps(content))
    if not (folder / "model.safetensors").exists():
        (folder / "model.safetensors").write_bytes((small / "model.safetensors").read_bytes())
    begun = time.monotonic()
    try:
        model = Network.load(folder)
    except DesaError as error:
        assert len(str(error)) < 2500
    else:
        pixels = torch.rand(2, 3909), torch.ones(2, 3909), torch.zeros(2), torch.full((2,), 3.5682)
        assert model.spectrum_features(*pixels).isfinite().all()
    assert time.monotonic() - begun < 5


def test_deep_and_large_json(small: Path, tmp_path: Path) -> None:
    for text in ("[" * 200_000, "{" * 10, "1" * 5000, "[1]", "null", '{"format": 1}', "\xff", ""):
        (tmp_path / "model.json").write_text(text, encoding="latin-1")
        with pytest.raises(ModelError):
            Network.load(tmp_path)
    with (tmp_path / "model.json").open("wb") as stream:
        stream.truncate(100 << 30)
    with pytest.raises(ModelError, match="larger than"):
        Network.load(tmp_path)
    (tmp_path / "model.json").unlink()
    (tmp_path / "model.json").symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="a pipe or a device"):
        Network.load(tmp_path)


def test_weights_that_are_not_finite_are_neither_written_nor_read(small: Path, tmp_path: Path) -> None:
    model = Network.load(small)
    name = next(iter(model.state_dict()))
    model.state_dict()[name].view(-1)[0] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        model.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    facts = read_json(small / "model.json")
    with written_whole(tmp_path / "model.safetensors") as scratch:
        storage.save_file({n: t.contiguous() for n, t in model.state_dict().items()}, scratch)
        facts["weights"] = storage.file_hash(scratch)
    (tmp_path / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=f"{name} holds numbers that are not finite"):
        Network.load(tmp_path)


def test_a_header_of_a_million_tensors(small: Path, tmp_path: Path) -> None:
    """It is refused by the size that it says; nothing of it is read, so here it is a hole in the file."""
    with (tmp_path / "model.safetensors").open("wb") as stream:
        stream.write((70 << 20).to_bytes(8, "little"))
        stream.truncate(70 << 20)
    (tmp_path / "model.json").write_text((small / "model.json").read_text())
    with pytest.raises(ModelError, match="its header is larger than any model's"):
        Network.load(tmp_path)


def test_the_shipped_model_is_accepted() -> None:
    assert storage.read_facts(SHIPPED).parts
