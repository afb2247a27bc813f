"""A model on disk: ``model.safetensors`` and ``model.json``; nothing in them can run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from desa.errors import ModelError
from desa.files import written_whole

FORMAT = 1
HALF_FROM = 1024
"""Numbers that a tensor must hold to be stored in half precision, where that is asked for."""

WEIGHTS, FACTS = "model.safetensors", "model.json"


def write_model(
    folder: str | Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any], *, half: bool = False
) -> str:
    """Write a model folder; ``model.json``, written last, carries the hash of the weights.

    Parameters
    ----------
    folder, weights, facts
        What and where.
    half
        Store large float32 tensors as float16, half the size; they come back as float32, rounded to 11 bits.

    Returns
    -------
    str
        The hash of the weights' file.
    """
    target = Path(folder)
    unique, shared = _once(weights)
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in unique.items()}
    rounded = [name for name, tensor in stored.items() if half and _fits_half(tensor)]
    with written_whole(target / WEIGHTS) as scratch:
        save_file(stored | {name: stored[name].half() for name in rounded}, scratch)
        digest = file_hash(scratch)
    with written_whole(target / FACTS) as scratch:
        content = {"format": FORMAT, "weights": digest, "shared": shared, "rounded": rounded, **facts}
        scratch.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return digest


def _fits_half(tensor: Tensor) -> bool:
    large = tensor.dtype == torch.float32 and tensor.numel() >= HALF_FROM
    return large and bool(tensor.abs().max() < torch.finfo(torch.float16).max)


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
        weights |= {name: weights[name].float() for name in facts.get("rounded", ())}
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


def weights_hash(model: torch.nn.Module) -> str:
    """Hash of a module's weights, by name."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
