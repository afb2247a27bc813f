"""The state of a run on disk: written whole or not at all, read as tensors and numbers only.

A run alone or under DDP keeps one file, ``checkpoint.pt``. A sharded run (FSDP2) keeps a folder of
PyTorch's distributed checkpoint, ``checkpoint-<step>``, in which every process writes its own part. Either is
read by any number of processes.
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from torch import nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint import state_dict as dcp_state

from desa.documents import Document, Facts, read_document
from desa.errors import DamagedFile, ModelError
from desa.files import regular, written_whole
from desa.training.distributed import barrier, current

FORMAT = 1
FILE = "checkpoint.pt"
_FOLDER = re.compile(r"checkpoint-\d{1,12}")

Weights = dict[str, Any]
"""Names and tensors; where sharded, this process's DTensors."""


def save_tensors(path: Path, content: dict[str, Any]) -> None:
    """`torch.save`, atomically."""
    with written_whole(path) as scratch:
        torch.save(content, scratch)


def load_tensors(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """Read what `save_tensors` wrote; no code in the file can run.

    Parameters
    ----------
    path
        The file.
    mapped
        Leave the tensors on the disk until they are looked at.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds anything but tensors, numbers and text.
    """
    try:
        content = torch.load(regular(path), map_location="cpu", weights_only=True, mmap=mapped)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: no usable checkpoint ({_first_line(error)})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f"{path}: not a checkpoint of this version of desa; train without resuming")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class Checkpoints:
    """Saves and restores a run in a folder.

    Parameters
    ----------
    out
        The run's folder.
    sharded
        True for FSDP2, whose parameters lie spread over the processes, however many.
    """

    def __init__(self, out: Path, *, sharded: bool = False) -> None:
        self.out = out
        self.sharded = sharded

    def latest(self) -> Path | None:
        """The newest whole checkpoint, None if there is none."""
        if not self.sharded:
            path = self.out / FILE
            return path if path.exists() else None
        folders = [p for p in self._folders() if (p / "state.json").exists()]
        return max(folders, key=lambda p: int(p.name.split("-")[1]), default=None)

    def _folders(self) -> list[Path]:
        """Folders of checkpoints, by their name; a link is none."""
        found = self.out.glob("checkpoint-*")
        return [path for path in found if _FOLDER.fullmatch(path.name) and not path.is_symlink()]

    def clear(self) -> None:
        """Remove every checkpoint of this folder (a run that starts anew)."""
        if current().main:
            (self.out / FILE).unlink(missing_ok=True)
            for folder in self._folders():
                shutil.rmtree(folder)
        barrier()

    def save(
        self,
        task: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: dict[str, Any],
        best: Weights | None,
    ) -> None:
        """Write everything a resumed run needs; `state` holds numbers and text, `step` among them."""
        if self.sharded:
            self._save_sharded(task, optimizer, state, best)
        elif current().main:
            content = {
                "format": FORMAT,
                "state": state,
                "task": task.state_dict(),
                "optimizer": optimizer.state_dict(),
                "best": best,
            }
            save_tensors(self.out / FILE, content)
        barrier()

    def peek(self) -> dict[str, Any] | None:
        """The numbers of the newest checkpoint without touching task or optimizer."""
        path = self.latest()
        if path is None:
            return None
        if self.sharded:
            return dict(_read_head(path).state)
        return dict(load_tensors(path, mapped=True)["state"])

    def load(
        self, task: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[dict[str, Any], Weights | None]:
        """Restore task and optimizer from the newest checkpoint; return its numbers and best weights.

        Raises
        ------
        ModelError
            If there is none, it is damaged, or it belongs to a model of other shapes.
        """
        path = self.latest()
        if path is None:
            raise ModelError(f"{self.out}: no checkpoint to resume from")
        try:
            if self.sharded:
                return self._load_sharded(path, task, optimizer)
            content = load_tensors(path)
            task.load_state_dict(content["task"])
            optimizer.load_state_dict(content["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            reason = _first_line(error)
            raise ModelError(f"{path}: is of another model than the settings say ({reason})") from None
        return dict(content["state"]), content["best"]

    def _save_sharded(
        self,
        task: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: dict[str, Any],
        best: Weights | None,
    ) -> None:
        final = self.out / f"checkpoint-{int(state['step'])}"
        temporary = self.out / f".{final.name}.tmp"
        if current().main:
            shutil.rmtree(temporary, ignore_errors=True)
        barrier()
        model, moments = dcp_state.get_state_dict(task, optimizer)
        content: dict[str, Any] = {"task": model, "optimizer": moments}
        if best is not None:
            content["best"] = best
        dcp.save(content, checkpoint_id=temporary)
        if current().main:
            text = json.dumps({"format": FORMAT, "state": state, "best": best is not None})
            (temporary / "state.json").write_text(text, encoding="utf-8")
            shutil.rmtree(final, ignore_errors=True)
            temporary.replace(final)
            for old in self._folders():
                if old != final:
                    shutil.rmtree(old)

    def _load_sharded(
        self, path: Path, task: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[dict[str, Any], Weights | None]:
        head = _read_head(path)
        model, moments = dcp_state.get_state_dict(task, optimizer)
        content: dict[str, Any] = {"task": model, "optimizer": moments}
        if head.best:
            content["best"] = weights(task, sharded=True)
        dcp.load(content, checkpoint_id=path)
        dcp_state.set_state_dict(
            task, optimizer, model_state_dict=content["task"], optim_state_dict=content["optimizer"]
        )
        return dict(head.state), content.get("best")


class _Head(Document):
    """The ``state.json`` of a checkpoint in several files."""

    format: Literal[1]
    state: Facts
    best: bool

    @model_validator(mode="after")
    def _has_a_step(self) -> Self:
        step = self.state.get("step")
        if not isinstance(step, int) or step < 0:
            raise ValueError("its state has no step")
        return self


def _read_head(checkpoint: Path) -> _Head:
    """Raises ModelError if it can't be read, or is of another form."""
    try:
        return read_document(checkpoint / "state.json", _Head)
    except DamagedFile as error:
        raise ModelError(f"{error}; remove {checkpoint} to begin again") from None


def weights(task: nn.Module, *, sharded: bool = False) -> Weights:
    """A copy of a task's weights: on the CPU, or as this process's shards."""
    if sharded:
        state: Weights = dict(dcp_state.get_model_state_dict(task))
        return {name: value.detach().clone() for name, value in state.items()}
    return {name: value.detach().to("cpu", copy=True) for name, value in task.state_dict().items()}


def set_weights(task: nn.Module, values: Weights, *, sharded: bool = False) -> None:
    """Put back what `weights` gave."""
    if sharded:
        dcp_state.set_model_state_dict(task, values)
    else:
        task.load_state_dict(values)


def full_weights(task: nn.Module) -> Weights:
    """Whole weights of a task that may be sharded; every process must call it, and gets them."""
    options = dcp_state.StateDictOptions(full_state_dict=True)
    return dict(dcp_state.get_model_state_dict(task, options=options))
