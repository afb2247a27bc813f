"""How the published checkpoints name their tensors, and how desa does.

Each rule is a pattern of the published name (within its part of the checkpoint) and the name here; ``{n+k}``
in the new name is the n-th group plus k.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

Rules = tuple[tuple[str, str], ...]

_CONFORMER: Rules = (
    (r"blocks\.(\d+)\.modlist\.(\d)\.module\.(query|key|value|output)\.(.*)", "blocks.{1}.parts.{2}.{3}.{4}"),
    (r"blocks\.(\d+)\.modlist\.(\d)\.module\.layers\.(.*)", "blocks.{1}.parts.{2}.layers.{3}"),
    (
        r"blocks\.(\d+)\.modlist\.(\d)\.module\.sequential\.(\d)\.(?:linear\.)?(\w+)",
        "blocks.{1}.parts.{2}.{3}.{4}",
    ),
    (r"blocks\.(\d+)\.modlist\.(\d)\.norm\.(.*)", "blocks.{1}.norms.{2}.{3}"),
)

LIGHTCURVE: Rules = (
    (r"encoder1\.embedding\.(.*)", "frequency.embedding.{1}"),
    (r"encoder1\.layers\.(\d+)\.layers\.(.*)", "frequency.layers.{1}.{2}"),
    (r"encoder2\.extractor\.(.*)", "flux.stem.{1}"),
    *((r"encoder2\.encoder\." + pattern, "flux." + name) for pattern, name in _CONFORMER),
)

PROJECTOR: Rules = (
    (r"layer1\.(\d)\.(.*)", "projector.{1}.{2}"),
    (r"layer2\.(\d)\.(.*)", "projector.{1+3}.{2}"),
    (r"layer3\.(\d)\.(.*)", "projector.{1+6}.{2}"),
)

PREDICTOR: Rules = ((r"layer1\.(\d)\.(.*)", "{1}.{2}"), (r"layer2\.(.*)", "3.{1}"))

SPECTRUM: Rules = (
    (r"backbone\.embedding\.(.*)", "embedding.{1}"),
    (r"backbone\.layers\.(\d+)\.layers\.(.*)", "layers.{1}.{2}"),
    *((r"encoder\." + pattern, name) for pattern, name in _CONFORMER),
)

DECODER: Rules = ((r"layers\.(\d+)\.(.*)", "blocks.{1}.{2}"), (r"final_conv\.(.*)", "final.{1}"))

HEAD: Rules = ((r"(.*)", "layers.{1}"),)

DUALFORMER: Rules = (
    (r"embedding\.(.*)", "tokens.0.linear.{1}"),
    (r"projection_head\.(.*)", "projection.{1}"),
    (r"norm(\d)\.(.*)", "norm.{1-1}.{2}"),
    (r"layers\.(\d+)\.norm1_(\d)\.(.*)", "blocks.{1}.attention_norm.{2-1}.{3}"),
    (r"layers\.(\d+)\.norm2_(\d)\.(.*)", "blocks.{1}.feed_forward_norm.{2-1}.{3}"),
    (r"layers\.(\d+)\.attention\.q(\d)_proj\.(.*)", "blocks.{1}.attention.query.{2-1}.{3}"),
    (r"layers\.(\d+)\.attention\.k(\d)_proj\.(.*)", "blocks.{1}.attention.key.{2-1}.{3}"),
    (r"layers\.(\d+)\.attention\.v(\d)_proj\.(.*)", "blocks.{1}.attention.value.{2-1}.{3}"),
    (r"layers\.(\d+)\.attention\.out(\d)_proj\.(.*)", "blocks.{1}.attention.output.{2-1}.{3}"),
    (r"layers\.(\d+)\.feed_forward\.ffn(\d)\.(.*)", "blocks.{1}.feed_forward.{2-1}.{3}"),
)

UNUSED = (
    r".*\binv_freq",
    r".*\binput_factor",
    r"initial_expand\..*",
    r"prediction_head\d\..*",
)
"""Stored but never used in a forward pass (or constants): the rotary frequencies, the residual factor of 1,
the decoder's first layer, the DualFormer's prediction heads."""

_FIELD = re.compile(r"\{(\d)([+-]\d)?\}")


def translate(name: str, rules: Rules) -> str | None:
    """The name here of a published tensor, or None where no rule knows it."""
    for pattern, target in rules:
        found = re.fullmatch(pattern, name)
        if found:

            def fill(field: re.Match[str], groups: re.Match[str] = found) -> str:
                value = groups[int(field[1])]
                return str(int(value) + int(field[2])) if field[2] else str(value)

            return _FIELD.sub(fill, target)
    return None


def is_unused(name: str) -> bool:
    """Whether a published tensor is stored for nothing."""
    return any(re.fullmatch(pattern, name) for pattern in UNUSED)


def part_of(state: Mapping[str, Tensor], prefix: str, rules: Rules) -> tuple[dict[str, Tensor], list[str]]:
    """Translate the tensors under a prefix.

    Returns
    -------
    tuple
        Name here -> tensor, and the published names that no rule knows.
    """
    translated: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, tensor in state.items():
        if not name.startswith(prefix):
            continue
        bare = name[len(prefix) :]
        if is_unused(bare):
            continue
        new = translate(bare, rules)
        if new is None:
            unknown.append(name)
        else:
            translated[new] = tensor
    return translated, unknown


def without_module(names: Iterable[str]) -> bool:
    """Whether every name starts with ``module.``, as a data-parallel run saves them."""
    return all(name.startswith("module.") for name in names)
