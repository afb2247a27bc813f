"""Every command that fills a folder takes it first: a rival and a foreign folder end in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from desa.cli import app
from desa.cli.faults import sentence
from desa.folders import claimed

COMMANDS = {
    "model": [
        ("convert", "CHECKPOINT"),
        ("calibrate", "SURVEY"),
        ("finetune", "SURVEY", "--task", "regression", "--label", "teff"),
    ],
    "demo": [("demo", "--stars", "200")],
    "folder of downloads": [("catalogs", "get", "mcquillan2014")],
}
CASES = [(holds, command) for holds, commands in COMMANDS.items() for command in commands]


def said(command: tuple[str, ...], out: Path) -> str:
    run = CliRunner().invoke(app, [*command, "-o", str(out)])
    assert run.exception is not None, run.output
    words, code = sentence(run.exception)
    assert code == 2, words
    return words


@pytest.fixture
def survey(monkeypatch: pytest.MonkeyPatch) -> None:
    """No data are read before the folder is taken."""
    monkeypatch.setattr("desa.survey.store.Survey.open", lambda path: None)


@pytest.mark.usefixtures("survey")
@pytest.mark.parametrize(("holds", "command"), CASES, ids=lambda value: str(value[0]))
def test_a_rival(holds: str, command: tuple[str, ...], tmp_path: Path) -> None:
    with claimed(tmp_path / "out", holds):
        assert "another run is filling this folder" in said(command, tmp_path / "out")


@pytest.mark.usefixtures("survey")
@pytest.mark.parametrize(
    "command", [command for holds, command in CASES if holds in ("model", "demo")], ids=lambda value: value[0]
)
def test_a_folder_of_somebody_elses(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    assert "a folder of something else" in said(command, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
