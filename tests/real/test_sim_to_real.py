from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from desa.benchmark.tasks.labelled_spectra import fold_numbers
from desa.benchmark.tasks.sim_to_real import MOCK_ONLY, epochs_for, rows_of_share, sim_to_real
from desa.config import settings
from desa.errors import ModelError
from desa.models.network import Network
from desa.real.data import read_spectra, stars
from desa.real.train import new_model, real_settings
from helpers.folder import write_lamost


def test_shares_are_of_stars_nested_and_apart_from_the_test_stars(tmp_path: Path) -> None:
    write_lamost(tmp_path, 60)
    spectra = read_spectra(tmp_path)
    test = fold_numbers(spectra, 0) == 0
    few, more, all_of_them = (rows_of_share(spectra, ~test, share, 0) for share in (0.2, 0.5, 1.0))
    assert 0 < few.sum() < more.sum() < all_of_them.sum() == (~test).sum()
    assert not (few & ~more).any() and not (more & test).any()
    numbers = stars(spectra.ra, spectra.dec, spectra.gaia)
    assert not set(numbers[more]) & set(numbers[~test & ~more])


def test_few_spectra_are_gone_through_more_often() -> None:
    assert epochs_for(1280) == 18 and epochs_for(1280, 3) == 54
    assert epochs_for(64) * (64 // 32) >= 300
    assert epochs_for(5) == 300


def test_every_arm_is_scored_on_the_same_test_stars(tmp_path: Path) -> None:
    write_lamost(tmp_path / "data", 48)
    new_model(real_settings()).eval().save(tmp_path / "mock")
    said: list[str] = []
    found = sim_to_real(
        tmp_path / "data",
        tmp_path / "mock",
        tmp_path / "out",
        shares=(0.5, 1.0),
        epochs=lambda *_: 1,
        say=said.append,
    )
    assert len(found) == 5 and len(said) == 4 and MOCK_ONLY in found
    counts = {row.count for rows in found.values() for row in rows if row.group == "all"}
    spectra = read_spectra(tmp_path / "data")
    assert counts == {int((fold_numbers(spectra, 0) == 0).sum())}
    assert all(np.isfinite(row.mae) for rows in found.values() for row in rows)
    facts = json.loads((tmp_path / "out" / "sim_to_real.json").read_text())
    assert facts["data"] == "real LAMOST spectra" and set(facts["scores"]) == set(found)
    assert (tmp_path / "out" / "sim_to_real.png").stat().st_size > 5000


def test_a_model_of_other_labels_is_refused(tmp_path: Path) -> None:
    write_lamost(tmp_path / "data", 12)
    Network(settings("mini"), ["spectrum"]).eval().save(tmp_path / "other")
    with pytest.raises(ModelError, match=r"other: predicts .*not"):
        sim_to_real(tmp_path / "data", tmp_path / "other", tmp_path / "out", say=lambda _: None)
