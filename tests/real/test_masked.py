from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from desa.config import settings
from desa.errors import ModelError
from desa.real.data import read_spectra
from desa.real.masked import MASKED, fill_masks
from helpers.folder import write_lamost


def test_masked_filling_learns_without_labels_from_its_start(tmp_path: Path) -> None:
    write_lamost(tmp_path / "lamost", 16)
    spectra = read_spectra(tmp_path)
    training = MASKED.model_copy(update={"steps": 3, "batch_size": 4, "warmup": 0})
    chosen = settings("mini")
    first = fill_masks(spectra, chosen, tmp_path / "a", training=training, seed=1)
    blind = spectra.select(np.arange(len(spectra)))
    blind.labels[:] = np.nan
    again = fill_masks(blind, chosen, tmp_path / "b", training=training, seed=1)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    kept_run = fill_masks(spectra, chosen, tmp_path / "a", training=training, seed=1)  # finished: as it was
    assert all(torch.equal(v, first.state_dict()[k]) for k, v in kept_run.state_dict().items())
    with pytest.raises(ModelError):
        fill_masks(spectra, chosen, tmp_path / "a", training=training, seed=2)
    none = training.model_copy(update={"learning_rate": 0.0, "final_learning_rate": 0.0})
    kept = fill_masks(spectra, chosen, tmp_path / "c", start=first, training=none, seed=5)
    weights = dict(first.require("spectrum_encoder").named_parameters())
    for name, tensor in kept.require("spectrum_encoder").named_parameters():
        assert torch.equal(tensor, weights[name])
