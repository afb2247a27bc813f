"""Models from the Hugging Face Hub: each pinned at its first use, checked at every use, kept for offline use.

What a repository's name stands for is written down in a manifest (``hub.json`` in the cache folder) when it
is first loaded: the commit, and the SHA-256 of every file. From then on the same commit is used, its files
are compared with the manifest, and nothing is asked of the network while they are in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from desa.documents import Document, Hash, Word, faults, read_json
from desa.errors import ModelError
from desa.files import open_regular, written_whole
from desa.models.places import BROUGHT, FACTS, check_model
from desa.models.published import FULL, convert, kind_of, read_checkpoint

NAME = re.compile(r"(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(@(?P<revision>[\w./-]+))?")
"""``user/name``, with ``@`` and a branch, tag or commit if it is not to be the main branch."""


class Pin(Document):
    """What a name stood for at its first use: a commit, and the SHA-256 of its files."""

    revision: Annotated[str, Field(pattern=r"^[\w.-]{1,128}$")]
    files: Annotated[dict[Word, Hash], Field(max_length=10_000)]


_PINS = TypeAdapter(dict[Word, Pin])

CHECKPOINTS = ("*.safetensors", "*.pth", "*.pt")
PATTERNS = (*CHECKPOINTS, FACTS, "*.yaml", "*.yml")


def cache_folder() -> Path:
    """``DESA_CACHE`` or ``~/.cache/desa``."""
    return Path(os.environ.get("DESA_CACHE") or Path.home() / ".cache" / "desa")


def model_folder(name: str = "") -> Path:
    """The folder of a model by its name, fetched from the Hub if need be; parameters as `desa.load`.

    Raises
    ------
    ModelError
        If there is none.
    """
    check_model(name)
    if not name:
        return BROUGHT
    if Path(name).is_dir():
        return Path(name)
    return folder_from_hub(name)


def folder_from_hub(name: str) -> Path:
    """The folder of ``user/name`` or ``user/name@revision``; a published checkpoint is converted first.

    Raises
    ------
    ModelError
        If the name is none, the model can't be had, or its files are not those of its first use.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise ModelError(
            f"'{name}' is neither a folder nor a name on the Hub (user/name, user/name@revision)"
        )
    pinned = _manifest().get(name)
    if pinned is None:
        folder = _first_use(name, found["repo"], found["revision"])
        pinned = _manifest()[name]
    else:
        folder = _snapshot(found["repo"], pinned["revision"], pinned["files"])
        _check(name, folder, pinned["files"])
    if (folder / FACTS).exists():
        return folder
    return _converted(name, folder, pinned)


def _manifest() -> dict[str, Any]:
    path = cache_folder() / "hub.json"
    if not path.exists():
        return {}
    try:
        pins = _PINS.validate_python(read_json(path))
    except (OSError, ValueError) as error:
        reason = faults(error) if isinstance(error, ValidationError) else error
        raise ModelError(f"{path}: damaged ({reason}); remove it to pin models anew") from None
    return {name: pin.model_dump() for name, pin in pins.items()}


def _network_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What the Hub's client raises where something is amiss, or there is no network.

    The latter is an error of its HTTP library, which the bases of its own error are of.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *others, *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)))


def _first_use(name: str, repo: str, revision: str | None) -> Path:
    """Find the commit, fetch it, compare with what the Hub says of its files, and write it all down."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if constants.HF_HUB_OFFLINE:
        raise ModelError(f"{name}: not in the cache, and HF_HUB_OFFLINE forbids to fetch it")
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    except _network_errors(OfflineModeIsEnabled) as error:
        raise ModelError(
            f"{name}: no such folder, and not to be had from the Hub ({_first_line(error)})"
        ) from None
    folder = _snapshot(repo, str(info.sha), None)
    files = {str(path.relative_to(folder)): _sha256(path) for path in sorted(_files(folder))}
    promised = {item.rfilename: item.lfs.sha256 for item in info.siblings or () if item.lfs}
    _check(name, folder, {file: digest for file, digest in promised.items() if file in files})
    entries = _manifest() | {name: {"revision": str(info.sha), "files": files}}
    with written_whole(cache_folder() / "hub.json") as scratch:
        scratch.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    return folder


def _snapshot(repo: str, commit: str, files: Iterable[str] | None) -> Path:
    """Folder of a commit's files: from the cache if all are there, without a word to the network."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted: dict[str, Any] = {"repo_id": repo, "revision": commit, "allow_patterns": list(PATTERNS)}
    if files is not None:
        try:
            folder = Path(snapshot_download(**wanted, local_files_only=True))
            if all((folder / file).exists() for file in files):
                return folder
        except LocalEntryNotFoundError:
            pass  # fetched below
    if constants.HF_HUB_OFFLINE:
        raise ModelError(f"{repo}: not whole in the cache, and HF_HUB_OFFLINE forbids to fetch it")
    try:
        return Path(snapshot_download(**wanted))
    except _network_errors(LocalEntryNotFoundError) as error:
        raise ModelError(f"{repo}: can't be fetched from the Hub ({_first_line(error)})") from None


def _files(folder: Path) -> set[Path]:
    return {path for pattern in PATTERNS for path in folder.rglob(pattern)}


def _check(name: str, folder: Path, files: dict[str, str]) -> None:
    for file, digest in files.items():
        path = folder / file
        outside = ".." in Path(file).parts or Path(file).is_absolute()
        if outside or not path.exists() or _sha256(path) != digest:
            raise ModelError(f"{name}: {file} is damaged, or not what it was at first; remove {folder}")


def _converted(name: str, folder: Path, pinned: dict[str, Any]) -> Path:
    """Published checkpoints as a model of ours, converted once; a full model gets the others' heads."""
    out = cache_folder() / "converted" / name.replace("/", "--") / str(pinned["revision"])
    if not (out / FACTS).exists():
        checkpoints = sorted(path for path in _files(folder) if path.suffix not in (".yaml", ".yml"))
        configs = sorted(path for path in _files(folder) if path.suffix in (".yaml", ".yml"))
        kinds = {kind_of(read_checkpoint(path)): path for path in checkpoints}
        if not kinds or len(kinds) < len(checkpoints) or (len(kinds) > 1 and FULL not in kinds):
            listed = ", ".join(path.name for path in checkpoints) or "none"
            raise ModelError(f"{name}: no single model among its checkpoints ({listed}); use `desa convert`")
        main = kinds.pop(FULL, None) or kinds.popitem()[1]
        convert(main, configs[0] if len(configs) == 1 else None, out, heads=list(kinds.values()))
    return out


def _sha256(path: Path) -> str:
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
