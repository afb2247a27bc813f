"""Code in README and docs: shell and Python blocks run, page by page; other commands are at least right."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import desa
from desa.cli import main
from helpers.command_line import parsed

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KNOWN = {"sh", "python", "console", "text"}
"""``sh`` and ``python`` run here; ``console`` needs a network, hours or a person."""


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


RUN = [page for page in PAGES if any(kind in ("sh", "python") for kind, _ in blocks(page))]


def test_what_should_run_does() -> None:
    assert {page.name for page in RUN} >= {"README.md", "quickstart.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page: Path) -> None:
    for kind, text in blocks(page):
        assert kind in KNOWN or kind.startswith("{"), f"{page.name}: {kind!r} before {text[:60]}"


def run_page(page: Path, run_shell: Callable[[str], None]) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for number, (kind, text) in enumerate(blocks(page), 1):
        if kind == "python":
            exec(compile(text, f"{page.name}, block {number}", "exec"), names)
        if kind == "sh":
            run_shell(text)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_code_of_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in this process, as importing torch for each takes longer than what they do."""

    def in_this_process(text: str) -> None:
        for line in filter(None, map(str.strip, text.splitlines())):
            words = shlex.split(line, comments=True)
            assert words[0] == "desa", f"{page.name}: {line}"
            monkeypatch.setattr(sys, "argv", words)
            with pytest.raises(SystemExit) as left:
                main()
            assert left.value.code == 0, f"{page.name}: {line}"

    monkeypatch.chdir(tmp_path)
    run_page(page, in_this_process)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_code_of_the_page_runs_in_a_shell(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the `desa` of this environment; `make quickstart` runs it in one that has only the wheel."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def in_a_shell(text: str) -> None:
        done = subprocess.run(
            ["sh", "-euc", text], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page.name}: {text}\n{done.stdout}\n{done.stderr}"

    monkeypatch.chdir(tmp_path)
    run_page(page, in_a_shell)


COMMANDS = [
    (page, line.split("  #")[0].strip())
    for page in PAGES
    for kind, text in blocks(page)
    if kind in ("sh", "console")
    for line in text.splitlines()
    if re.match(r"(\w+=\S+ )*desa ", line.strip())
]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_commands_have_the_arguments_that_pages_give(page: Path, line: str) -> None:
    words = shlex.split(line)
    parsed(words[words.index("desa") + 1 :])


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([\w/.-]+\.(?:md|cff))\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_a_list_of_contents() -> None:
    docs = ROOT / "docs"
    pages = {str(page.relative_to(docs).with_suffix("")) for page in docs.rglob("*.md")} - {"index"}
    found: set[str] = set()
    for page in docs.rglob("*.md"):
        for names in re.findall(
            r"```{toctree}\n:hidden:\n\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
        ):
            found |= {str((page.parent / name).relative_to(docs)) for name in names.split()}
    assert pages == found


def test_readme_is_as_the_project_is() -> None:
    """Folders, and the shipped model's numbers; made anew by `python docs/_ext/project_pages.py`."""
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    from project_pages import architecture, readme

    assert readme() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert "| `ranking` | Odd stars" in architecture()


def test_the_api_page_has_every_name_that_scripts_are_shown() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    known = set(re.findall(r"auto(?:function|class):: (desa[\w.]+)", page))
    for module, members in re.findall(r"automodule:: (desa[\w.]*)\n   :members: ([\w, ]+)", page):
        known |= {f"{module}.{name}" for name in members.split(", ")}
    books = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "examples").glob("*.ipynb")]
    shown = [text for page in PAGES for kind, text in blocks(page) if kind == "python"]
    shown += ["".join(cell["source"]) for book in books for cell in book["cells"]]
    used = {
        f"{module}.{name}"
        for text in shown
        for module, names in re.findall(r"^from (desa[\w.]*) import ([\w, ]+)$", text, re.MULTILINE)
        for name in names.split(", ")
    }
    assert used and used <= known, used - known
    assert {name.rsplit(".", 1)[-1] for name in known} >= set(desa.__all__)
