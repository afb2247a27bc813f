"""A model on disk: ``model.safetensors`` and ``model.json``; nothing in them can run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from desa.errors import ModelError
from desa.files import written_whole

FORMAT = 1
WEIGHTS, FACTS = "model.safetensors", "model.json"


def write_model(folder: str | Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a model folder; ``model.json``, written last, carries the hash of the weights."""
    target = Path(folder)
    unique, shared = _once(weights)
    with written_whole(target / WEIGHTS) as scratch:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in unique.items()}, scratch)
        digest = file_hash(scratch)
    with written_whole(target / FACTS) as scratch:
        content = {"format": FORMAT, "weights": digest, "shared": shared, **facts}
        scratch.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_model(folder: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a model folder.

    Raises
    ------
    ModelError
        If it is not there, of another format, or its weights are not those that were written.
    """
    source = Path(folder)
    try:
        facts = json.loads((source / FACTS).read_text(encoding="utf-8"))
    except OSError:
        raise ModelError(f"{folder}: no model here ({FACTS} is missing)") from None
    except ValueError as error:
        raise ModelError(f"{source / FACTS}: damaged ({error})") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ModelError(f"{folder}: not a desa model of format {FORMAT}")
    try:
        if file_hash(source / WEIGHTS) != facts["weights"]:
            raise ModelError(f"{source / WEIGHTS}: damaged, or of another model (its hash differs)")
        weights = load_file(source / WEIGHTS)
        return weights | {name: weights[first] for name, first in facts.get("shared", {}).items()}, facts
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"{source / WEIGHTS}: can't be read ({error})") from None


def _once(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor under its first name, and the further names of those that have several."""
    first: dict[tuple[int, int, tuple[int, ...]], str] = {}
    shared: dict[str, str] = {}
    for name, tensor in weights.items():
        place = (tensor.untyped_storage().data_ptr(), int(tensor.storage_offset()), tuple(tensor.shape))
        original = first.setdefault(place, name) if tensor.numel() else name
        if original != name:
            shared[name] = original
    return {name: tensor for name, tensor in weights.items() if name not in shared}, shared


def file_hash(path: Path) -> str:
    """Hash of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
