"""`make model` names every step of a model, and each step is a command that there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from desa.cli import app

ROOT = Path(__file__).resolve().parents[1]


def steps(target: str, tmp_path: Path) -> list[str]:
    """Commands of a dry run, lines joined."""
    if shutil.which("make") is None or not (ROOT / "Makefile").exists():
        pytest.skip("make or the Makefile absent: an installed copy")
    words = ["make", "-n", target, f"MODEL={tmp_path / 'm'}", f"PERIODS={tmp_path / 'p'}"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [part.strip() for line in said.replace("\\\n", " ").splitlines() for part in line.split("&&")]


def test_every_step_of_a_model_is_named(tmp_path: Path) -> None:
    found = [re.sub(r"\s+", " ", line) for line in steps("model", tmp_path)]
    joined = "\n".join(found)
    for fold in ("1/5", "2/5", "3/5", "4/5", "5/5", "all"):
        assert f"--fold {fold} " in joined
    assert joined.count("--twin ") == 5 and "--hottest 12000" in joined
    order = ["ingest --spectra", "simulate --continua", "recipes/lines.yaml", "--fold all"]
    order += ["pretrain lightcurve", " align ", "--twin ", "pretrain periods", "cp "]
    places = [joined.index(words) for words in order]
    assert places == sorted(places)
    assert "are not by these steps" in joined, "what ships now is said to be of another program"


@pytest.mark.parametrize("target", ["model", "spectrum-check", "shipped-model"])
def test_its_commands_take_their_options(target: str, tmp_path: Path) -> None:
    group = typer.main.get_command(app)
    for line in steps(target, tmp_path):
        if "bin/desa " not in line or "||" in line:
            continue
        words = shlex.split(line.split("bin/desa ", 1)[1])
        command = group
        while hasattr(command, "commands") and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        known = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {word for word in words if word.startswith("--")} <= known, line


def test_the_shipped_check_has_a_step_of_its_own(tmp_path: Path) -> None:
    joined = "\n".join(steps("spectrum-check", tmp_path))
    assert "--hottest 8000 --keep-heads" in joined
    assert "spectrum_check.safetensors src/desa/pretrained/" in joined
