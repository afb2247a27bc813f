"""The documentation's Python blocks run, page by page, each page in a folder of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


PAGES = [page for page in sorted(DOCS.glob("*.md")) if python_blocks(page)]


def test_the_quick_start_has_code() -> None:
    assert "quickstart.md" in [page.name for page in PAGES]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(python_blocks(page), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    assert all((tmp_path / name).exists() for name in ("mock", "embeddings.parquet", "survey"))


def test_links_between_pages_lead_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([\w/]+\.md)\)", page.read_text()):
            assert (DOCS / target).exists(), f"{page.name}: {target}"
