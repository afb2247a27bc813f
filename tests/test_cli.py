"""The command line as a person meets it: help with examples, sentences for errors, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from desa.cli import app

runner = CliRunner()


def _commands() -> list[list[str]]:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = []
    for name, command in commands.items():
        inner = getattr(command, "commands", None)
        found += [[name, other] for other in inner] if inner else [[name]]
    return found


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    result = runner.invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"desa {' '.join(command)}" in result.output


def test_inspect_names_bad_files_and_fails(tmp_path: Path) -> None:
    bad = tmp_path / "page.fits"
    bad.write_text("<html>504 Gateway Timeout</html>")
    result = runner.invoke(app, ["inspect", str(bad)])
    assert result.exit_code == 1
    assert "page.fits: REFUSED: a web page" in result.output
    lines = runner.invoke(
        app, ["inspect", "--json", str(bad), str(tmp_path / "none.fits")]
    ).output.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["refused", "refused"]


@pytest.mark.real
def test_inspect_real_files(shared: Path) -> None:
    file = shared / "data/kepler/formats/kplr010002792-2009259160929_llc.fits.gz"
    result = runner.invoke(app, ["inspect", str(file)])
    assert result.exit_code == 0
    assert "KIC 10002792" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["info", "nowhere"], "nowhere"),
        (["ingest", "--spectra", "nowhere", "-o", "out"], "nowhere"),
        (["pretrain", "spectrum", "nowhere", "-o", "out", "--preset", "tiny"], "unknown preset 'tiny'"),
        (["embed", "a.fits", "--model", "nowhere", "-o", "e.parquet"], "nowhere"),
        (["predict", "a.fits"], "none of 1 files could be used; a.fits: "),
        (["predict", "a.fits", "-o", "t.xlsx"], "t.xlsx: the ending of a table is .ecsv"),
        (["embed", "a.fits", "-o", "e.parquet", "--batch-size", "many"], "--batch-size must be a number"),
        (["convert", "nowhere.pth", "-o", "out"], "nowhere.pth"),
    ],
)
def test_errors_are_one_sentence_and_exit_code_2(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    code = "from desa.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("desa: ")
    assert sentence in last
