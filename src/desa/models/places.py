"""Where a model is on this disk: in the package, or in a folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from desa.errors import ModelError
from desa.folders import claimed

BROUGHT = Path(__file__).parents[1] / "pretrained"
"""Folder of the model that comes with desa."""

FACTS = "model.json"
"""What every model's folder holds, beside its weights."""


def claimed_for_model(folder: str | Path) -> AbstractContextManager[Path]:
    """Take a folder for a model until the block ends (`desa.folders.claimed`): new, or one with a model."""
    return claimed(folder, "model", ours=lambda path: (path / FACTS).is_file())


def looks_like_path(name: str) -> bool:
    """Whether a name that is nowhere on this disk is meant as a path, and not as a name on the Hub.

    It is where no repository is called so: absolute, from ``.`` or ``~``, of more or less than two parts; or
    where its first part is a folder here, as in ``runs/jiont``.
    """
    parts = name.split("@")[0].split("/")
    return len(parts) != 2 or not all(parts) or name.startswith((".", "~")) or Path(parts[0]).is_dir()


def check_model(name: str) -> None:
    """Refuse a path where no model is, without loading anything.

    Raises
    ------
    ModelError
        If it is one. A name on the Hub passes.
    """
    if not name:
        return
    path = Path(name)
    if path.is_dir() and not (path / FACTS).exists():
        inner = path / "model"
        hint = f"; {inner} has one" if (inner / FACTS).exists() else ""
        raise ModelError(f"{name}: no model here ({FACTS} is missing{hint})")
    if path.exists() and not path.is_dir():
        raise ModelError(f"{name}: a file; a model is a folder (a published checkpoint: desa convert)")
    if not path.exists() and looks_like_path(name):
        raise ModelError(f"{name}: no such folder; give a model's folder, or user/name on the Hub")
