"""JSON and YAML from anywhere: bounded in size, depth and repetition before anything is made of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from desa.errors import DamagedFile
from desa.files import read_bytes

MAX_JSON = 16 << 20
MAX_YAML = 1 << 18
MAX_DEPTH = 24
MAX_NODES = 50_000
"""Values in a YAML file, each as often as aliases repeat it."""

SHOWN = 5
"""Faults of a document that are told; the others are counted."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Word = Annotated[str, Field(max_length=4096)]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{8,128}$")]
Facts = dict[str, JsonValue]


class Document(BaseModel):
    """Base of what is read from JSON: nothing is taken for what it is not; unknown keys are kept."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


DocumentT = TypeVar("DocumentT", bound=Document)


def parse_json(content: bytes | str) -> Any:
    """JSON from anywhere.

    Raises
    ------
    ValueError
        If it is none, or nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: str | Path, most: int = MAX_JSON) -> Any:
    """A JSON file.

    Raises
    ------
    OSError, ValueError
        If it can't be read, has more than `most` bytes, or is none.
    """
    return parse_json(read_bytes(path, most))


def read_document(path: str | Path, kind: type[DocumentT], advice: str = "") -> DocumentT:
    """A JSON file of a known form.

    Parameters
    ----------
    path
        The file.
    kind
        What it must hold.
    advice
        What to do if it doesn't.

    Raises
    ------
    DamagedFile
        If it can't be read, or holds something else.
    """
    try:
        return kind.model_validate(read_json(path))
    except OSError as error:
        raise DamagedFile(path, f"can't be read ({error.strerror or error})", advice) from None
    except ValidationError as error:
        raise DamagedFile(path, f"damaged ({faults(error)})", advice) from None
    except ValueError as error:
        raise DamagedFile(path, f"damaged ({error})", advice) from None


def read_yaml(path: str | Path) -> Any:
    """A YAML file of plain values: numbers, text, lists, mappings.

    Raises
    ------
    OSError, ValueError
        If it can't be read, is too large, nested too deeply, repeats itself by aliases, or is none.
    """
    text = read_bytes(path, MAX_YAML).decode("utf-8")
    try:
        _check_events(text)
        return yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ValueError(re.sub(r"\s+", " ", str(error))[:300]) from None
    except (TypeError, AttributeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no mapping of plain values ({str(error)[:200]})") from None


def _check_events(text: str) -> None:
    """Count the values of a YAML text, and those that its aliases repeat, without making them."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"its alias *{event.anchor} holds itself")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > MAX_NODES or len(open_nodes) > MAX_DEPTH:
            raise ValueError(f"it has more than {MAX_NODES} values, or is nested too deeply")


def faults(error: ValidationError) -> str:
    """What is wrong with a document, as one sentence; the first faults only."""
    items = error.errors(include_url=False, include_context=False)
    said = [f"{_place(item['loc']) or 'it'}: {item['msg'].lower()}" for item in items[:SHOWN]]
    more = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(said) + more


def _place(location: tuple[int | str, ...]) -> str:
    return cut(".".join(str(part) for part in location), 100)


def shortened(value: Any, most: int = 60) -> str:
    """A value as Python writes it, cut if that is long."""
    return cut(repr(value[: most + 1] if isinstance(value, str) else value), most)


def cut(text: str, most: int = 60) -> str:
    """A text for people, cut if it is long."""
    return text if len(text) <= most else text[: most - 3] + "..."
