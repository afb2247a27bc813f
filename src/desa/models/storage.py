"""A model on disk: ``model.safetensors`` and ``model.json``; nothing in them can run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from desa.config import Level, Settings
from desa.conformal_groups import SNR
from desa.documents import Document, Facts, Hash, Word, faults, read_json
from desa.errors import ModelError
from desa.files import open_regular, written_whole
from desa.models.places import FACTS

DocumentT = TypeVar("DocumentT", bound=Document)

Finite = Annotated[float, Field(allow_inf_nan=False)]

FORMAT = 1
HALF_FROM = 1024
"""Numbers that a tensor must hold to be stored in half precision, where that is asked for."""

MAX_HEADER = 8 << 20
"""Bytes of a weights file's header: some 80 000 tensors."""

WEIGHTS = "model.safetensors"


class GroupAxis(Document):
    """What stars are grouped by, and where one group ends."""

    name: Word
    edges: Annotated[list[Finite], Field(max_length=99)]


class Calibration(Document):
    """What `desa.conformal.calibrate` or `desa.conformal_groups.calibrate_by_group` gave for K labels."""

    coverages: Annotated[list[Level], Field(min_length=1, max_length=99)]
    quantiles: Annotated[list[Level], Field(min_length=1, max_length=99)]
    offsets: list[list[Annotated[float, Field(allow_inf_nan=False)] | None]]
    counts: list[Annotated[int, Field(ge=0)]]
    labels: list[Word] = []
    axes: Annotated[list[GroupAxis], Field(max_length=99)] = []
    group_offsets: list[list[list[Finite]]] = []

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if len(self.offsets) != len(self.coverages) or {len(row) for row in self.offsets} != {
            len(self.counts)
        }:
            raise ValueError("offsets must be a number for each coverage and label")
        if self.axes:
            groups = 1 + sum(len(axis.edges) for axis in self.axes)
            labels, rows = len(self.counts), self.group_offsets
            fits = len(self.labels) == labels and {axis.name for axis in self.axes} <= {SNR, *self.labels}
            fits &= len(rows) == len(self.coverages) and all(len(row) == labels for row in rows)
            if not fits or {len(one) for row in rows for one in row} != {groups}:
                raise ValueError("group_offsets must be a number for each coverage, label and group")
        return self


class ModelFacts(Document):
    """Content of ``model.json``.

    Parameters
    ----------
    format, weights
        Version, and hash of the weights' file.
    shared, rounded
        See `write_model`.
    settings, parts, calibration, metadata
        As `desa.models.network.Network` has them.
    """

    format: Literal[1]
    weights: Hash
    shared: dict[Word, Word] = {}
    rounded: list[Word] = []
    settings: Settings
    parts: Annotated[
        list[Literal["lightcurve", "spectrum", "dualformer", "joint"]], Field(min_length=1, max_length=4)
    ]
    calibration: dict[Literal["lightcurve", "spectrum", "joint"], Calibration]
    metadata: Facts

    @model_validator(mode="after")
    def _labels_fit(self) -> Self:
        for part, found in self.calibration.items():
            labels = len(getattr(self.settings, f"objective_{part}").labels)
            if len(found.counts) != labels:
                raise ValueError(
                    f"the {part} part's calibration is of {len(found.counts)} labels, not {labels}"
                )
        return self


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

    Raises
    ------
    ModelError
        If a weight is not finite.
    OutputError
        If the folder can't be written.
    """
    wrong = sorted(name for name, tensor in weights.items() if not _is_finite(tensor))
    if wrong:
        raise ModelError(
            f"{folder}: not written: {len(wrong)} of {len(weights)} tensors hold numbers that are not finite "
            f"({wrong[0]}, ...); the training broke down, lower its learning rate"
        )
    target = Path(folder)
    unique, shared = _once(weights)
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in unique.items()}
    rounded = [name for name, tensor in stored.items() if half and _fits_half(tensor)]
    size = sum(tensor.numel() * tensor.element_size() for tensor in stored.values())
    with written_whole(target / WEIGHTS, size // 2 if half else size) as scratch:
        save_file(stored | {name: stored[name].half() for name in rounded}, scratch)
        digest = file_hash(scratch)
    with written_whole(target / FACTS) as scratch:
        content = {"format": FORMAT, "weights": digest, "shared": shared, "rounded": rounded, **facts}
        scratch.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return digest


def _fits_half(tensor: Tensor) -> bool:
    large = tensor.dtype == torch.float32 and tensor.numel() >= HALF_FROM
    return large and bool(tensor.abs().max() < torch.finfo(torch.float16).max)


def _is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are finite; their sum tells it of nearly all tensors, in one pass."""
    if not tensor.is_floating_point() or tensor.is_meta:
        return True
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def read_facts(folder: str | Path) -> ModelFacts:
    """Content of a model folder's ``model.json``.

    Raises
    ------
    ModelError
        If it is not there, or is no such thing.
    """
    path = Path(folder) / FACTS
    try:
        content = read_json(path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ModelError(f"{folder}: not a desa model of format {FORMAT}")
        return ModelFacts.model_validate(content)
    except FileNotFoundError:
        raise ModelError(f"{folder}: no model here ({FACTS} is missing)") from None
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror or error})") from None
    except ValidationError as error:
        raise ModelError(f"{path}: not a model of this version of desa ({faults(error)})") from None
    except ValueError as error:
        raise ModelError(f"{path}: damaged ({error})") from None


def read_model(folder: str | Path) -> tuple[dict[str, Tensor], ModelFacts]:
    """Read a model folder.

    Raises
    ------
    ModelError
        If it is not there, of another format, or its weights are not those that were written.
    """
    source = Path(folder)
    facts = read_facts(folder)
    try:
        check_header(source / WEIGHTS)
        if file_hash(source / WEIGHTS) != facts.weights:
            raise ModelError(f"{source / WEIGHTS}: damaged, or of another model (its hash differs)")
        weights = load_file(source / WEIGHTS)
        weights |= {name: weights[name].float() for name in facts.rounded}
        weights |= {name: weights[first] for name, first in facts.shared.items()}
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ModelError(f"{source / WEIGHTS}: can't be read ({error})") from None
    wrong = [name for name, tensor in weights.items() if not _is_finite(tensor)]
    if wrong:
        raise ModelError(f"{source / WEIGHTS}: {wrong[0]} holds numbers that are not finite")
    return weights, facts


def check_header(path: Path) -> None:
    """Refuse a safetensors file with more names than any model has, before they are read.

    Raises
    ------
    OSError, ValueError
        If the file can't be read, or its header is too large.
    """
    with open_regular(path) as stream:
        size = int.from_bytes(stream.read(8), "little")
    if size > MAX_HEADER:
        raise ValueError("its header is larger than any model's")


def stored_facts(metadata: Mapping[str, str] | None, kind: type[DocumentT]) -> DocumentT:
    """What a safetensors file of ours says of itself, under ``desa`` in its metadata.

    Raises
    ------
    ValueError
        If that is not of the kind.
    """
    try:
        return kind.model_validate_json((metadata or {}).get("desa", ""))
    except ValidationError as error:
        raise ValueError(faults(error)) from None


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
    with open_regular(path) as stream:
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
