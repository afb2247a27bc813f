"""The published checkpoints (full model, spectrum and light-curve pre-training) as desa models."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from desa.config import Settings, settings
from desa.errors import ModelError
from desa.models import published_names as names
from desa.models.desa import Desa
from desa.models.heads import SimSiamPredictor
from desa.models.spectrum import SpectrumDecoder

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
    """Which of the three published checkpoints a state is, by its tensors' names (without ``module.``).

    Raises
    ------
    ModelError
        If it is none of them.
    """
    for kind, mark in _MARKS.items():
        if any(name.startswith(mark) for name in state):
            return kind
    first = ", ".join(list(state)[:3])
    raise ModelError(f"not a published DESA checkpoint: its tensors are named {first}, ...")


def settings_of(config: str | Path | Mapping[str, Any]) -> Settings:
    """Our settings for a published configuration (a YAML file or its content).

    Raises
    ------
    ModelError
        If a section is missing or asks for something that was never published.
    """
    content = config
    if isinstance(config, (str, Path)):
        try:
            content = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ModelError(f"{config}: can't be read as YAML ({error})") from None
    try:
        return _settings(content)  # type: ignore[arg-type]
    except (KeyError, TypeError, IndexError) as error:
        raise ModelError(f"the published configuration lacks {error}") from None


def _settings(config: Mapping[str, Any]) -> Settings:
    cnn, flux = config["CNNEncoder_lc"], config["AstroConformer_lc"]
    spectrum_cnn, spectrum = config["MultiTaskRegressor_spec"], config["Conformer_spec"]
    dual, head = config["dual_former"], config["DoubleInputRegressor_lc"]
    widths = [
        *cnn["encoder_dims"],
        *[cnn["encoder_dims"][-1]] * (cnn["num_layers"] - len(cnn["encoder_dims"]) + 1),
    ]
    spectrum_widths = [*spectrum_cnn["encoder_dims"]]
    spectrum_widths += [spectrum_widths[-1]] * (spectrum_cnn["num_layers"] + 1 - len(spectrum_widths))
    attention = {"cross_self": "both", "cross": "cross", "self": "self"}[dual["attention_type"]]
    return settings(
        "published",
        lightcurve={
            "cnn_widths": widths,
            "sine_w0": cnn["sine_w0"],
            "stem": flux["stride"],
            "width": flux["encoder_dim"],
            "heads": flux["num_heads"],
            "blocks": flux["num_layers"],
            "dropout": head["dropout_p"],
        },
        spectrum={
            "cnn_widths": spectrum_widths,
            "blocks": spectrum["num_layers"],
            "heads": spectrum["num_heads"],
            "dropout": spectrum_cnn["dropout_p"],
        },
        dualformer={
            "width": dual["embed_dim"],
            "heads": dual["num_heads"],
            "blocks": dual["num_layers"],
            "feed_forward": dual["ffn_dim"],
            "dropout": dual["dropout"],
            "attention_dropout": dual["attention_dropout"],
            "attention": attention,
            "transpose": dual["projection_type"] == "transpose",
        },
    )


def _sized(chosen: Settings, state: Mapping[str, Tensor], kind: str) -> Settings:
    """Sizes that the published configuration leaves to the code, read off the tensors."""

    def width(name: str, default: int) -> int:
        return int(state[name].shape[0]) if name in state else default

    lightcurve, spectrum = chosen.lightcurve, chosen.spectrum
    projector = {FULL: "lc_backbone.1.layer3.0.weight", LIGHTCURVE: "simsiam.projector.layer3.0.weight"}.get(
        kind, ""
    )
    lightcurve = lightcurve.model_copy(update={"features": width(projector, lightcurve.features)})
    if kind == LIGHTCURVE:
        lightcurve = lightcurve.model_copy(
            update={"head_hidden": width("regressor.0.weight", lightcurve.head_hidden)}
        )
    if kind == SPECTRUM:
        spectrum = spectrum.model_copy(
            update={"head_hidden": width("regressor.0.weight", spectrum.head_hidden)}
        )
    return chosen.model_copy(update={"lightcurve": lightcurve, "spectrum": spectrum})


def _modules(model: Desa, kind: str) -> list[tuple[str, names.Rules, nn.Module, str]]:
    """(prefix in the checkpoint, rules, module here, its name for people)."""
    if kind == FULL:
        return [
            ("lc_backbone.0.", names.LIGHTCURVE, model.need("lightcurve_encoder"), "light-curve encoder"),
            ("lc_backbone.1.", names.PROJECTOR, model.need("lightcurve_encoder"), "projector"),
            ("spectra_backbone.", names.SPECTRUM, model.need("spectrum_encoder"), "spectrum encoder"),
            ("dual_former.", names.DUALFORMER, model.need("dualformer"), "DualFormer"),
        ]
    if kind == SPECTRUM:
        model.decoder = SpectrumDecoder(model.settings.spectrum)
        return [
            ("encoder.", names.SPECTRUM, model.need("spectrum_encoder"), "spectrum encoder"),
            ("decoder.", names.DECODER, model.decoder, "decoder"),
            ("regressor.", names.HEAD, model.need("spectrum_head"), "head"),
        ]
    model.predictor = SimSiamPredictor(model.settings.lightcurve.features)
    return [
        ("simsiam.encoder.0.", names.LIGHTCURVE, model.need("lightcurve_encoder"), "light-curve encoder"),
        ("simsiam.encoder.1.", names.PROJECTOR, model.need("lightcurve_encoder"), "projector"),
        ("simsiam.predictor.", names.PREDICTOR, model.predictor, "predictor"),
        ("regressor.", names.HEAD, model.need("lightcurve_head"), "head"),
    ]


def from_published(state: Mapping[str, Tensor], config: str | Path | Mapping[str, Any]) -> Desa:
    """A desa model with a published checkpoint's weights.

    Parameters
    ----------
    state
        Tensors by their published names, with or without ``module.`` in front.
    config
        The published configuration: a YAML file or its content.

    Returns
    -------
    Desa
        In evaluation mode. It shares memory with `state`. A pre-training checkpoint gives its encoder and
        head, and its ``decoder`` or ``predictor`` as a further attribute.

    Raises
    ------
    ModelError
        With lists of missing, unexpected and mis-shaped tensors.
    """
    if names.without_module(state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    kind = kind_of(state)
    chosen = _sized(settings_of(config), state, kind)
    parts = {
        FULL: ("lightcurve", "spectrum", "dualformer"),
        SPECTRUM: ("spectrum",),
        LIGHTCURVE: ("lightcurve",),
    }
    with torch.device("meta"):
        model = Desa(chosen, parts[kind])
        modules = _modules(model, kind)
    _fill(state, modules, kind)
    if kind == FULL:  # the full model's heads were not published: they are left out, not invented
        model.lightcurve_head = model.spectrum_head = None
    model.make_constants()
    model.metadata = {"data": "published weights", "kind": kind}
    return model.eval()


def _fill(
    state: Mapping[str, Tensor], modules: list[tuple[str, names.Rules, nn.Module, str]], kind: str
) -> None:
    known = tuple(prefix for prefix, *_ in modules) + _STORED_FOR_NOTHING[kind]
    unexpected = [name for name in state if not name.startswith(known)]
    missing, misshaped = [], []
    wanted: dict[nn.Module, dict[str, Tensor]] = {}
    for prefix, rules, module, _ in modules:
        found, unknown = names.part_of(state, prefix, rules)
        unexpected += unknown
        wanted.setdefault(module, {}).update(found)
    for module, found in wanted.items():
        own = module.state_dict()
        label = next(name for _, _, other, name in modules if other is module)
        shared = {
            name
            for name in own
            if name.startswith("tokens.1.") and name.replace("tokens.1.", "tokens.0.") in found
        }
        for name in sorted(shared):  # one shared tokeniser, under both of its names
            found[name] = found[name.replace("tokens.1.", "tokens.0.")]
        missing += [f"{label}: {name}" for name in own if name not in found]
        unexpected += [f"{label}: {name}" for name in found if name not in own]
        misshaped += [
            f"{label}: {name} {tuple(found[name].shape)}, not {tuple(own[name].shape)}"
            for name in own
            if name in found and found[name].shape != own[name].shape
        ]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    if any(problems.values()):
        listed = "; ".join(
            f"{what} ({len(list_)}): {', '.join(list_)}" for what, list_ in problems.items() if list_
        )
        raise ModelError(f"the checkpoint does not fit the configuration: {listed}")
    for module, found in wanted.items():
        module.load_state_dict(found, assign=True)
        module.requires_grad_(False)


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a ``.pth`` or ``.safetensors`` file; code in a file is never run.

    Raises
    ------
    ModelError
        If it can't be read, or holds anything but tensors.
    """
    file = Path(path)
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"{path}: refused: it holds code or objects beside tensors, which could run anything"
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError) as error:
        raise ModelError(f"{path}: can't be read as a checkpoint ({str(error).splitlines()[0]})") from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path}: holds no mapping of names to tensors")
    return {str(name): tensor for name, tensor in content.items()}


def convert(checkpoint: str | Path, config: str | Path | None, out: str | Path) -> Desa:
    """Read a published checkpoint and write it as a desa model folder.

    Parameters
    ----------
    checkpoint
        ``.pth`` or ``.safetensors``.
    config
        The published YAML; None for the published sizes.
    out
        Folder for ``model.safetensors`` and ``model.json``.

    Raises
    ------
    ModelError
        As `read_checkpoint` and `from_published`.
    """
    model = from_published(read_checkpoint(checkpoint), PUBLISHED_SIZES if config is None else config)
    model.metadata["source"] = Path(checkpoint).name
    model.save(out)
    return model


PUBLISHED_SIZES: dict[str, Any] = {
    "CNNEncoder_lc": {"encoder_dims": [32, 64, 128, 256, 512], "num_layers": 6, "sine_w0": 1.0},
    "AstroConformer_lc": {"stride": 20, "encoder_dim": 512, "num_heads": 8, "num_layers": 5},
    "DoubleInputRegressor_lc": {"dropout_p": 0.3},
    "MultiTaskRegressor_spec": {
        "encoder_dims": [64, 128, 256, 1024, 2048],
        "num_layers": 5,
        "dropout_p": 0.2,
    },
    "Conformer_spec": {"num_layers": 8, "num_heads": 8},
    "dual_former": {
        "attention_type": "cross_self",
        "embed_dim": 256,
        "num_heads": 8,
        "num_layers": 4,
        "ffn_dim": 2048,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "projection_type": "transpose",
    },
}
"""What of the published configuration says the sizes."""
