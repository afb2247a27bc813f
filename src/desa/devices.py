"""Where the computing is done: a name to a device, checked before any work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from desa.errors import SettingsError

if TYPE_CHECKING:
    import torch


def choose_device(name: str = "auto") -> torch.device:
    """Find the device that a name means.

    Parameters
    ----------
    name
        ``"auto"`` (this process's CUDA device where there is one, else the CPU), ``"cpu"``, ``"cuda"`` or
        ``"cuda:N"``.

    Raises
    ------
    SettingsError
        For another name, or a CUDA device that is not there.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"no device '{name}': it is auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= there:
            how = "this PyTorch or machine has no CUDA" if not there else f"there are {there} CUDA devices"
            raise SettingsError(f"no device '{name}': {how}; use --device cpu or auto")
    elif device.type != "cpu":
        raise SettingsError(f"no device '{name}': it is auto, cpu, cuda or cuda:N")
    return device
