"""The command reference, and the command line's own help and completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from desa.cli import app

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs/_ext"))

from command_pages import catalog_page, command_page, commands, model_page

LEAVES = [(name, command) for name, command in commands() if not getattr(command, "commands", None)]


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=[name for name, _ in LEAVES])
def test_help_of_every_command(name: str, command: object) -> None:
    """A first sentence that fits a list, an example that begins with the command, a word on every option."""
    result = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    text = command.help
    assert "Example: `" in text and f"desa {name}" in text.split("Example: `")[1].split("`")[0]
    assert len(text.split("\n")[0]) <= 110
    for parameter in command.params:
        assert getattr(parameter, "help", "x"), f"{name}: {parameter.name} has no help"


def test_reference_names_everything() -> None:
    page = command_page()
    for name, command in LEAVES:
        assert f"`desa {name}`" in page
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert f"`{option}`" in page
    assert "berger2020" in catalog_page() and "VizieR `J/ApJS/255/17/table1`" in catalog_page()
    assert "real" in model_page() and "+-" in model_page()


def test_help_of_desa_says_what_there_is() -> None:
    output = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for name in {name.split()[0] for name, _ in commands()}:
        assert f" {name} " in output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str, tmp_path: Path) -> None:
    """The script that a shell loads is made; what it then asks is answered."""
    code = "import sys; sys.argv[0] = 'desa'; from desa.cli import main; main()"
    environment = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = subprocess.run(
        [sys.executable, "-c", code, "--show-completion", shell],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "_DESA_COMPLETE" in script
    asked = environment | {"_DESA_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "desa catalogs "}
    asked |= {"COMP_WORDS": "desa catalogs ", "COMP_CWORD": "2", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=False
    ).stdout
    assert "merge" in answer and "show" in answer
