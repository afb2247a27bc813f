"""The Hub's part is played by a folder here: nothing goes over a network."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

import desa
from desa.config import settings
from desa.errors import ModelError
from desa.inference.model import Desa


class Hub:
    """Repositories as folders of commits; what was fetched lies in a cache; every fetch is counted."""

    def __init__(self, root: Path) -> None:
        self.root, self.cache, self.fetched, self.asked = root / "hub", root / "hfcache", 0, 0
        self.newest: dict[str, str] = {}

    def push(self, repo: str, commit: str) -> Path:
        self.newest[repo] = commit
        folder = self.root / repo / commit
        folder.mkdir(parents=True)
        return folder

    def model_info(self, repo: str, revision: str | None = None, files_metadata: bool = False) -> Any:
        self.asked += 1
        if repo not in self.newest:
            raise ConnectionError("no such repository")
        commit = revision or self.newest[repo]
        files = [path for path in (self.root / repo / commit).iterdir() if path.suffix != ".json"]
        siblings = [
            SimpleNamespace(
                rfilename=path.name,
                lfs=SimpleNamespace(sha256=hashlib.sha256(path.read_bytes()).hexdigest()),
            )
            for path in files
        ]
        return SimpleNamespace(sha=commit, siblings=siblings)

    def snapshot_download(
        self, repo_id: str, revision: str, allow_patterns: list[str], local_files_only: bool = False
    ) -> str:
        target = self.cache / repo_id / revision
        if local_files_only:
            if not target.exists():
                raise LocalEntryNotFoundError("not here")
            return str(target)
        self.fetched += 1
        for path in (self.root / repo_id / revision).iterdir():
            if any(path.match(pattern) for pattern in allow_patterns):
                target.mkdir(parents=True, exist_ok=True)
                (target / path.name).write_bytes(path.read_bytes())
        return str(target)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    fake = Hub(tmp_path)
    monkeypatch.setenv("DESA_CACHE", str(tmp_path / "desa"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    return fake


def model(seed: int) -> Desa:
    torch.manual_seed(seed)
    return Desa(settings("mini"), ["spectrum"])


def weights(loaded: Desa) -> torch.Tensor:
    return loaded.require("spectrum_encoder").embedding[0].weight.detach()


def test_the_first_use_pins_the_commit(hub: Hub) -> None:
    first, second = model(1), model(2)
    first.save(hub.push("astro/stars", "aaa"))
    assert torch.equal(weights(desa.load("astro/stars")), weights(first))
    second.save(hub.push("astro/stars", "bbb"))
    assert torch.equal(weights(desa.load("astro/stars")), weights(first))
    assert (hub.fetched, hub.asked) == (1, 1)
    assert torch.equal(weights(desa.load("astro/stars@bbb")), weights(second))


def test_offline_it_works_from_the_cache_only(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    model(1).save(hub.push("astro/stars", "aaa"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        desa.load("astro/stars")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    desa.load("astro/stars")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    desa.load("astro/stars")
    (hub.cache / "astro/stars/aaa/model.safetensors").unlink()
    with pytest.raises(ModelError, match="not whole in the cache"):
        desa.load("astro/stars")
    assert hub.fetched == 1


def test_what_is_missing_is_fetched_again_and_what_differs_refused(hub: Hub) -> None:
    model(1).save(hub.push("astro/stars", "aaa"))
    desa.load("astro/stars")
    (hub.cache / "astro/stars/aaa/model.safetensors").unlink()
    desa.load("astro/stars")
    assert hub.fetched == 2
    path = hub.cache / "astro/stars/aaa/model.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ModelError, match=r"model.json is damaged"):
        desa.load("astro/stars")


def test_a_file_that_is_not_what_the_hub_promised_is_not_pinned(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(1).save(hub.push("astro/stars", "aaa"))
    right = hub.model_info

    def other(*args: Any, **kwargs: Any) -> Any:
        info = right(*args, **kwargs)
        info.siblings[0].lfs.sha256 = "0" * 64
        return info

    monkeypatch.setattr(hub, "model_info", other)
    with pytest.raises(ModelError, match="damaged"):
        desa.load("astro/stars")
    monkeypatch.setattr(hub, "model_info", right)
    desa.load("astro/stars")


def test_no_such_model(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such repository"):
        desa.load("astro/nothing")
    with pytest.raises(ModelError, match="no such repository"):
        desa.load("astro/jiont")
    (tmp_path / "astro").mkdir()
    with pytest.raises(ModelError, match="no such folder; give a model's folder"):
        desa.load("astro/jiont")
    with pytest.raises(ModelError, match="no such folder"):
        desa.load(str(tmp_path / "nowhere/at/all"))
    (tmp_path / "desa").mkdir()
    (tmp_path / "desa" / "hub.json").write_text("{")
    (tmp_path / "astro").rmdir()
    with pytest.raises(ModelError, match=r"hub.json: damaged"):
        desa.load("astro/nothing")


def test_without_network_a_name_is_refused_in_a_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoNetwork(huggingface_hub.errors.HfHubHTTPError.__bases__[0]):  # type: ignore[misc, name-defined]
        pass

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise NoNetwork("Name or service not known")

    monkeypatch.setattr(hub, "model_info", fail)
    with pytest.raises(ModelError, match=r"astro/stars: no such folder, and not to be had from the Hub"):
        desa.load("astro/stars")


@pytest.mark.real
def test_published_checkpoints_are_converted_once(hub: Hub, shared: Path) -> None:
    folder, parity = hub.push("astro/published", "abc"), shared / "parity"
    state = load_file(parity / "small_desa_state.safetensors")
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, folder / "full.pth")
    head = load_file(parity / "small_spectrum_pretrain_state.safetensors")
    own = {f"encoder.{k.removeprefix('spectra_backbone.')}": v for k, v in state.items() if "spectra_b" in k}
    save_file({**head, **own}, folder / "spectrum.safetensors")
    (folder / "config.yaml").write_bytes((parity / "small_config.yaml").read_bytes())
    loaded = desa.load("astro/published")
    numbers = load_file(parity / "small_io.safetensors")
    with torch.inference_mode():
        found = loaded.require("spectrum_encoder")(numbers["spectrum"])
    assert float((found - numbers["z_spectrum"]).abs().max()) < 1e-4
    assert loaded.spectrum_head is not None
    assert loaded.metadata["source"] == ["full.pth", "spectrum.safetensors"]
    facts = json.loads((folder.parents[3] / "desa" / "hub.json").read_text())
    assert facts["astro/published"]["revision"] == "abc"
    (hub.cache / "astro/published/abc/config.yaml").touch()
    desa.load("astro/published")
    (folder / "other.pth").write_bytes((folder / "full.pth").read_bytes())
    hub.newest["astro/two"] = "abc"
    (hub.root / "astro" / "two").mkdir()
    folder.rename(hub.root / "astro" / "two" / "abc")
    with pytest.raises(ModelError, match="no single model"):
        desa.load("astro/two")
