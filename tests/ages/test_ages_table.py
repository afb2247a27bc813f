"""Columns of ages, their flags, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from typer.testing import CliRunner

from desa.ages.gyrochronology import RESIDUALS, TEFFS, Gyrochronology
from desa.ages.table import AgeFlag, with_ages
from desa.cli import app
from desa.errors import SettingsError


@pytest.fixture(scope="module")
def ten_days_a_gyr() -> Gyrochronology:
    """A world where every star's period is ten days a Gyr of its age, give or take half a day."""
    ages = np.linspace(0.0, 5.0, 251)
    sequence = np.repeat(10.0 * ages[:, None], len(TEFFS), axis=1)
    bell = np.exp(-0.5 * (RESIDUALS / 0.5) ** 2).astype(np.float32)
    return Gyrochronology(ages, sequence, np.broadcast_to(bell[None, :, None], (251, 200, 199)))


def columns(**changes: list) -> dict[str, list]:
    plain = {
        "star_id": ["KIC 1", "KIC 2", "KIC 3"],
        "prot": [10.0, 25.0, None],
        "prot_err": [0.5, 0.5, 0.5],
        "teff": [5500.0, 5000.0, 5000.0],
        "teff_err": [90.0, 90.0, 90.0],
    }
    return {**plain, **changes}


def test_ages_and_intervals(ten_days_a_gyr: Gyrochronology) -> None:
    found = with_ages(columns(), ten_days_a_gyr)
    assert found["star_id"].tolist() == ["KIC 1", "KIC 2", "KIC 3"]
    np.testing.assert_allclose(found["age_gyro"][:2], [1.0, 2.5], atol=0.01)
    width = np.asarray(found["age_gyro_high68"] - found["age_gyro_low68"])[:2] / 2
    np.testing.assert_allclose(width, np.hypot(0.5, 0.5) / 10, rtol=0.05)
    assert np.isnan(found["age_gyro"][2]) and str(found["age_gyro"].unit) == "Gyr"
    assert found["age_gyro_flag"].tolist() == [0, 0, 0]


def test_ends_of_predictions_are_errors(ten_days_a_gyr: Gyrochronology) -> None:
    given = columns()
    for name, error in (("prot", 0.5), ("teff", 90.0)):
        values = given[name]
        given[f"{name}_low68"] = [None if value is None else value - error for value in values]
        given[f"{name}_high68"] = [None if value is None else value + error for value in values]
        del given[f"{name}_err"]
    ours, theirs = with_ages(given, ten_days_a_gyr), with_ages(columns(), ten_days_a_gyr)
    np.testing.assert_array_equal(ours["age_gyro_low90"], theirs["age_gyro_low90"])


@pytest.mark.parametrize(
    ("changes", "flag", "why"),
    [
        ({"log_g": [3.0, 4.5, 4.5]}, AgeFlag.NOT_A_DWARF, "log g 3.00"),
        ({"teff": [6500.0, 5000.0, 5000.0]}, AgeFlag.OUTSIDE_CLUSTERS, "6500 K"),
        ({"prot": [0.3, 25.0, None]}, AgeFlag.YOUNGER, "youngest"),
        ({"prot": [41.0, 25.0, None]}, AgeFlag.OLDER, "oldest"),
        ({"prot_flag": [256, 0, 0], "prot_why": ["no signal", "", ""]}, AgeFlag.PERIOD, "prot: no signal"),
        ({"teff_flag": [2, 0, 0]}, AgeFlag.TEFF, "teff: flagged"),
    ],
)
def test_what_speaks_against_an_age(
    ten_days_a_gyr: Gyrochronology, changes: dict, flag: AgeFlag, why: str
) -> None:
    found = with_ages(columns(**changes), ten_days_a_gyr)
    assert found["age_gyro_flag"][0] == flag and why in found["age_gyro_why"][0]
    assert found["age_gyro_flag"][1] == 0 and found["age_gyro_why"][1] == ""


@pytest.mark.parametrize("missing", ["prot", "teff", "teff_err"])
def test_a_table_without_what_it_takes_is_refused(ten_days_a_gyr: Gyrochronology, missing: str) -> None:
    given = {name: values for name, values in columns().items() if name != missing}
    with pytest.raises(SettingsError, match=missing):
        with_ages(given, ten_days_a_gyr)
    with pytest.raises(SettingsError, match="words"):
        with_ages(columns(prot=["fast", "slow", "slow"]), ten_days_a_gyr)


def test_the_command(ten_days_a_gyr: Gyrochronology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gyrochronology, "of_clusters", lambda *_, **__: ten_days_a_gyr)
    given = {name: [np.nan if v is None else v for v in values] for name, values in columns().items()}
    Table(given).write(tmp_path / "stars.ecsv")
    out = tmp_path / "ages.ecsv"
    said = CliRunner().invoke(app, ["ages", str(tmp_path / "stars.ecsv"), "-o", str(out)])
    assert said.exit_code == 0 and "2 ages of 3 stars, 0 of them flagged" in said.output
    found = Table.read(out)
    assert found["star_id"].tolist() == ["KIC 1", "KIC 2", "KIC 3"] and str(found["age_gyro"].unit) == "Gyr"
    shown = CliRunner().invoke(app, ["ages", str(tmp_path / "stars.ecsv"), "--json"])
    assert shown.exit_code == 0 and shown.stdout.count('"age_gyro": ') == 3
    again = CliRunner().invoke(app, ["ages", str(out), "-o", str(tmp_path / "again.csv")])
    assert again.exit_code == 0, "a table that has ages gets them anew"


def test_the_format_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[bool] = []
    monkeypatch.setattr(Gyrochronology, "of_clusters", lambda *_, **__: begun.append(True))
    Table(columns(prot=[10.0, 25.0, 3.0])).write(tmp_path / "stars.ecsv")
    command = ["ages", str(tmp_path / "stars.ecsv"), "-o", str(tmp_path / "ages.png"), "--json"]
    said = CliRunner().invoke(app, command)
    assert said.exit_code != 0 and not begun
