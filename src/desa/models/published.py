"""The published checkpoints (full model, spectrum and light-curve pre-training) as desa models."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from desa.errors import ModelError
from desa.files import open_regular
from desa.models import published_names as names
from desa.models.heads import SimSiamPredictor
from desa.models.layers import Rotary
from desa.models.network import Network
from desa.models.published_settings import Config, settings_of, sized
from desa.models.spectrum import SpectrumDecoder
from desa.models.storage import check_header

FULL, SPECTRUM, LIGHTCURVE = "full model", "spectrum pre-training", "light-curve pre-training"
_MARKS = {FULL: "dual_former.", SPECTRUM: "encoder.backbone.", LIGHTCURVE: "simsiam."}
_STORED_FOR_NOTHING = {
    FULL: ("lc_head.", "spectra_head."),
    SPECTRUM: (),
    LIGHTCURVE: ("simsiam.backbone.", "simsiam.projector."),
}
"""The full model's heads are not used by it. SimSiam's backbone and projector are stored twice, under one
module each; where the two differ the published code ends up with the later one, ``simsiam.encoder``."""


def kind_of(state: Mapping[str, Tensor]) -> str:
    """Which of the three published checkpoints a state is, by its tensors' names.

    Raises
    ------
    ModelError
        If it is none of them.
    """
    for kind, mark in _MARKS.items():
        if any(name.removeprefix("module.").startswith(mark) for name in state):
            return kind
    first = ", ".join(list(state)[:3])
    raise ModelError(f"not a published DESA checkpoint: its tensors are named {first}, ...")


def _modules(model: Network, kind: str) -> list[tuple[str, names.Rules, nn.Module, str]]:
    """(prefix in the checkpoint, rules, module here, its name for people)."""
    if kind == FULL:
        return [
            ("lc_backbone.0.", names.LIGHTCURVE, model.require("lightcurve_encoder"), "light-curve encoder"),
            ("lc_backbone.1.", names.PROJECTOR, model.require("lightcurve_encoder"), "projector"),
            ("spectra_backbone.", names.SPECTRUM, model.require("spectrum_encoder"), "spectrum encoder"),
            ("dual_former.", names.DUALFORMER, model.require("dualformer"), "DualFormer"),
        ]
    if kind == SPECTRUM:
        model.decoder = SpectrumDecoder(model.settings.spectrum)
        return [
            ("encoder.", names.SPECTRUM, model.require("spectrum_encoder"), "spectrum encoder"),
            ("decoder.", names.DECODER, model.decoder, "decoder"),
            ("regressor.", names.HEAD, model.require("spectrum_head"), "head"),
        ]
    model.predictor = SimSiamPredictor(model.settings.lightcurve.features)
    return [
        ("simsiam.encoder.0.", names.LIGHTCURVE, model.require("lightcurve_encoder"), "light-curve encoder"),
        ("simsiam.encoder.1.", names.PROJECTOR, model.require("lightcurve_encoder"), "projector"),
        ("simsiam.predictor.", names.PREDICTOR, model.predictor, "predictor"),
        ("regressor.", names.HEAD, model.require("lightcurve_head"), "head"),
    ]


def from_published(state: Mapping[str, Tensor], config: str | Path | Config | None = None) -> Network:
    """A desa model with a published checkpoint's weights.

    Parameters
    ----------
    state
        Tensors by their published names, with or without ``module.`` in front.
    config
        The published configuration: a YAML file or its content; None for the published checkpoint's own.

    Returns
    -------
    Network
        In evaluation mode. It shares memory with `state`. A pre-training checkpoint gives its encoder and
        head, and its ``decoder`` or ``predictor`` as a further attribute. The full model was published
        without heads: see `add_heads`.

    Raises
    ------
    ModelError
        With lists of missing, unexpected and mis-shaped tensors, by their published names.
    """
    if names.without_module(state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    kind = kind_of(state)
    _check_constants(state)
    chosen = sized(settings_of(config), state)
    parts = {
        FULL: ("lightcurve", "spectrum", "dualformer"),
        SPECTRUM: ("spectrum",),
        LIGHTCURVE: ("lightcurve",),
    }
    with torch.device("meta"):
        model = Network(chosen, parts[kind])
        if kind == FULL:  # not published: left out, not invented
            model.lightcurve_head = model.spectrum_head = None
        modules = _modules(model, kind)
    _fill(state, modules, kind)
    model.make_constants()
    model.metadata = {"data": "published weights", "kind": kind}
    return model.eval()


def _check_constants(state: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint whose stored constants are not those that the modules here compute with."""
    wrong = []
    for name, tensor in state.items():
        last = name.rsplit(".", 1)[-1]
        if last not in ("input_factor", "inv_freq") or tensor.is_meta:
            continue
        wanted = torch.ones(()) if last == "input_factor" else Rotary(4 * len(tensor)).inverse_frequency
        if tensor.shape != wanted.shape or not torch.allclose(tensor.float(), wanted, rtol=1e-4):
            wrong.append(name)
    if wrong:
        raise ModelError(
            f"the checkpoint has other constants than any published one ({len(wrong)}): {', '.join(wrong)}"
        )


def _fill(
    state: Mapping[str, Tensor], modules: list[tuple[str, names.Rules, nn.Module, str]], kind: str
) -> None:
    """Put the tensors into the modules, or say what does not fit."""
    known = tuple(prefix for prefix, *_ in modules) + _STORED_FOR_NOTHING[kind]
    unexpected = [name for name in state if not name.startswith(known)]
    missing, misshaped = [], []
    sources: dict[nn.Module, dict[str, str]] = {}
    for prefix, rules, module, label in modules:
        found, unknown = names.part_of(state, prefix, rules)
        unexpected += unknown
        wanted = sources.setdefault(module, {})
        own = module.state_dict()
        for name, tensor in own.items():
            twin = name.replace("tokens.1.", "tokens.0.")  # one shared tokeniser, under both of its names
            theirs = names.published(twin, rules)
            if theirs is None:
                continue
            if twin not in found:
                missing += [f"{prefix}{theirs} ({label})"] if twin == name else []
            elif state[found[twin]].shape != tensor.shape:
                shape = tuple(state[found[twin]].shape)
                misshaped.append(f"{found[twin]} {shape}, not {tuple(tensor.shape)}")
            else:
                wanted[name] = found[twin]
        unexpected += [source for name, source in found.items() if name not in own]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    if any(problems.values()):
        listed = "; ".join(
            f"{what} ({len(rows)}): {', '.join(rows)}" for what, rows in problems.items() if rows
        )
        raise ModelError(f"the checkpoint does not fit the configuration: {listed}")
    for module, wanted in sources.items():
        module.load_state_dict({name: state[source] for name, source in wanted.items()}, assign=True)
        module.requires_grad_(False)


def add_heads(model: Network, other: Network) -> None:
    """Give a full model the quantile head of a pre-training checkpoint, so that it predicts labels too.

    Raises
    ------
    ModelError
        If that head was trained on another encoder than the model's.
    """
    kind = "lightcurve" if other.spectrum_encoder is None else "spectrum"
    own, theirs = (part.require(f"{kind}_encoder").state_dict() for part in (model, other))
    if own.keys() != theirs.keys() or any(not torch.equal(own[name], theirs[name]) for name in own):
        raise ModelError(f"that {kind} head belongs to another encoder than the full model's: not added")
    setattr(model, f"{kind}_head", other.require(f"{kind}_head"))
    sections = (kind, f"objective_{kind}")
    model.settings = model.settings.model_copy(
        update={name: getattr(other.settings, name) for name in sections}
    )


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a PyTorch or safetensors file, told apart by content; code in a file is never run.

    The tensors stay on disk until they are used, where the format allows it.

    Raises
    ------
    ModelError
        If it can't be read, or holds anything but tensors.
    """
    file = Path(path)
    try:
        with open_regular(file) as stream:
            head = stream.read(9)
        if head[8:] == b"{":
            check_header(file)
            return dict(load_file(file))
        zipped = head.startswith(b"PK")
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError:
        raise ModelError(f"{path}: refused: it holds code or objects, or is no checkpoint at all") from None
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise ModelError(f"{path}: can't be read as a checkpoint ({reason})") from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path}: holds no mapping of names to tensors")
    if any(t.numel() * t.element_size() > t.untyped_storage().nbytes() for t in content.values()):
        raise ModelError(f"{path}: holds tensors that say they are larger than what is stored of them")
    return {str(name): tensor for name, tensor in content.items()}


def convert(
    checkpoint: str | Path,
    config: str | Path | Config | None,
    out: str | Path,
    heads: Sequence[str | Path] = (),
) -> Network:
    """Read a published checkpoint and write it as a desa model folder.

    Parameters
    ----------
    checkpoint
        ``.pth`` or ``.safetensors``.
    config
        The published YAML; None for the published sizes.
    out
        Folder for ``model.safetensors`` and ``model.json``.
    heads
        Pre-training checkpoints whose quantile heads a full model is to predict with.

    Raises
    ------
    ModelError
        As `read_checkpoint`, `from_published` and `add_heads`.
    """
    model = from_published(read_checkpoint(checkpoint), config)
    for path in heads:
        add_heads(model, from_published(read_checkpoint(path), config))
    model.metadata["source"] = [Path(path).name for path in (checkpoint, *heads)]
    model.save(out)
    return model
