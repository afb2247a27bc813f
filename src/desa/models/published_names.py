"""How the published checkpoints name their tensors, and how desa does.

Each rule is a template of the published name (within its part of the checkpoint) and one of the name here,
and works both ways. ``{n}`` is a number, ``{n:01}`` one of these digits, ``{p:key|value}`` one of these
words, ``{*}`` whatever follows; ``{n+3}`` is the number shifted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

Rules = tuple[tuple[str, str], ...]

_CONFORMER: Rules = (
    ("blocks.{n}.modlist.{m}.module.{p:query|key|value|output}.{*}", "blocks.{n}.parts.{m}.{p}.{*}"),
    ("blocks.{n}.modlist.{m}.module.layers.{*}", "blocks.{n}.parts.{m}.layers.{*}"),
    ("blocks.{n}.modlist.{m}.module.sequential.{k:0}.{*}", "blocks.{n}.parts.{m}.{k}.{*}"),
    ("blocks.{n}.modlist.{m}.module.sequential.{k:14}.linear.{*}", "blocks.{n}.parts.{m}.{k}.{*}"),
    ("blocks.{n}.modlist.{m}.norm.{*}", "blocks.{n}.norms.{m}.{*}"),
)

LIGHTCURVE: Rules = (
    ("encoder1.embedding.{*}", "frequency.embedding.{*}"),
    ("encoder1.layers.{n}.layers.{*}", "frequency.layers.{n}.{*}"),
    ("encoder2.extractor.{*}", "flux.stem.{*}"),
    *((f"encoder2.encoder.{theirs}", f"flux.{ours}") for theirs, ours in _CONFORMER),
)

PROJECTOR: Rules = (
    ("layer1.{k:01}.{*}", "projector.{k}.{*}"),
    ("layer2.{k:01}.{*}", "projector.{k+3}.{*}"),
    ("layer3.{k:01}.{*}", "projector.{k+6}.{*}"),
)

PREDICTOR: Rules = (("layer1.{k:01}.{*}", "{k}.{*}"), ("layer2.{*}", "3.{*}"))

SPECTRUM: Rules = (
    ("backbone.embedding.{*}", "embedding.{*}"),
    ("backbone.layers.{n}.layers.{*}", "layers.{n}.{*}"),
    *((f"encoder.{theirs}", ours) for theirs, ours in _CONFORMER),
)

DECODER: Rules = (("layers.{n}.{*}", "blocks.{n}.{*}"), ("final_conv.{*}", "final.{*}"))

HEAD: Rules = (("{*}", "layers.{*}"),)

DUALFORMER: Rules = (
    ("embedding.{*}", "tokens.0.linear.{*}"),
    ("projection_head.{*}", "projection.{*}"),
    ("norm{m:12}.{*}", "norm.{m-1}.{*}"),
    ("layers.{n}.norm1_{m:12}.{*}", "blocks.{n}.attention_norm.{m-1}.{*}"),
    ("layers.{n}.norm2_{m:12}.{*}", "blocks.{n}.feed_forward_norm.{m-1}.{*}"),
    ("layers.{n}.attention.q{m:12}_proj.{*}", "blocks.{n}.attention.query.{m-1}.{*}"),
    ("layers.{n}.attention.k{m:12}_proj.{*}", "blocks.{n}.attention.key.{m-1}.{*}"),
    ("layers.{n}.attention.v{m:12}_proj.{*}", "blocks.{n}.attention.value.{m-1}.{*}"),
    ("layers.{n}.attention.out{m:12}_proj.{*}", "blocks.{n}.attention.output.{m-1}.{*}"),
    ("layers.{n}.feed_forward.ffn{m:12}.{*}", "blocks.{n}.feed_forward.{m-1}.{*}"),
)

UNUSED = re.compile(r".*\binv_freq|.*\binput_factor|initial_expand\..*|prediction_head\d\..*")
"""Stored but never used in a forward pass (or constants): the rotary frequencies, the residual factor of 1,
the decoder's first layer, the DualFormer's prediction heads."""

_FIELD = re.compile(r"\{(\w|\*)(?::([\w|]+))?([+-]\d)?\}")


def _pattern(template: str, choices: Mapping[str, str | None]) -> re.Pattern[str]:
    """What a template matches; its fields are named groups (``rest`` for the star)."""
    parts, end = [], 0
    for field in _FIELD.finditer(template):
        name, allowed = field[1], choices.get(field[1])
        kind = ".+" if name == "*" else r"\d+"
        if allowed and field[3] is None:
            kind = allowed if "|" in allowed else f"[{allowed}]"
        parts += [re.escape(template[end : field.start()]), f"(?P<{'rest' if name == '*' else name}>{kind})"]
        end = field.end()
    return re.compile("".join([*parts, re.escape(template[end:])]))


def _rewritten(name: str, source: str, target: str) -> str | None:
    """The name by a rule, or None where it does not hold."""
    fields = [field for template in (source, target) for field in _FIELD.finditer(template)]
    choices = {field[1]: field[2] for field in fields if field[2]}
    found = _pattern(source, choices).fullmatch(name)
    if found is None:
        return None
    shift = {field[1]: int(field[3]) for field in _FIELD.finditer(source) if field[3]}

    def fill(field: re.Match[str]) -> str:
        value = found["rest" if field[1] == "*" else field[1]]
        moved = int(field[3] or 0) - shift.get(field[1], 0)
        return str(int(value) + moved) if moved else str(value)

    new = _FIELD.sub(fill, target)
    return new if _pattern(target, choices).fullmatch(new) else None


def ours(name: str, rules: Rules) -> str | None:
    """The name here of a published tensor, or None where no rule knows it."""
    found = (_rewritten(name, theirs, own) for theirs, own in rules)
    return next((new for new in found if new is not None), None)


def published(name: str, rules: Rules) -> str | None:
    """The published name of a tensor here, or None where no rule knows it."""
    found = (_rewritten(name, own, theirs) for theirs, own in rules)
    return next((new for new in found if new is not None), None)


def part_of(state: Mapping[str, Tensor], prefix: str, rules: Rules) -> tuple[dict[str, str], list[str]]:
    """Translate the names under a prefix.

    Returns
    -------
    tuple
        Name here -> published name, and the published names that no rule knows.
    """
    translated: dict[str, str] = {}
    unknown: list[str] = []
    for name in state:
        if not name.startswith(prefix) or UNUSED.fullmatch(name[len(prefix) :]):
            continue
        new = ours(name[len(prefix) :], rules)
        if new is None:
            unknown.append(name)
        else:
            translated[new] = name
    return translated, unknown


def without_module(names: Iterable[str]) -> bool:
    """Whether every name starts with ``module.``, as a data-parallel run saves them."""
    return all(name.startswith("module.") for name in names)
