"""Devices by name."""

from __future__ import annotations

import pytest
import torch

from desa.devices import choose_device
from desa.errors import SettingsError


def test_device_by_name() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "mps", ""])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="no device"):
        choose_device(name)
