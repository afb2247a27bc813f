"""The tables of a page as Markdown: for a repository, a log, or a reader without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from desa.files import written_whole
from desa.report.page import Figure, Page, Part, Table, write_page


def _cell(text: str) -> str:
    """Text that no reader of Markdown takes for markup."""
    for sign in ("\\", "|", "*", "_", "`", "<", "["):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def table_text(table: Table) -> str:
    """A table with its caption; rows that stand out are bold in the first column."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rows = [
        line([_cell(name) for name in table.columns]),
        line(["---"] + ["---:"] * (len(table.columns) - 1)),
    ]
    for index, row in enumerate(table.rows):
        cells = [_cell(cell) for cell in row]
        if index in table.strong:
            cells[0] = f"**{cells[0]}**"
        rows.append(line(cells))
    title = [f"**{_cell(table.folded)}**", ""] if table.folded else []
    return "\n".join([*title, *rows, "", _cell(table.caption)])


def part_text(part: Part) -> str:
    """A heading, its paragraph and its tables; of figures the captions, of links the names."""
    found = [f"## {_cell(part.title)}", _cell(part.text)]
    for item in part.items:
        found.append(
            f"Figure, on the page: {_cell(item.caption)}" if isinstance(item, Figure) else table_text(item)
        )
    found.append(", ".join(_cell(text) for text, _ in part.links))
    return "\n\n".join(text for text in found if text)


def page_text(page: Page) -> str:
    """A page without its pictures."""
    found = [f"# {_cell(page.title)}", f"Data: **{_cell(page.data)}**", _cell(page.lead)]
    found += map(part_text, page.parts)
    found.append(f"## What made these tables\n\n```text\n{page.facts}\n```\n")
    return "\n\n".join(found)


def write_with_text(path: str | Path, page: Page) -> None:
    """Write a page as HTML and beside it, as ``.md``, its tables."""
    write_page(path, page)
    with written_whole(Path(path).with_suffix(".md")) as scratch:
        scratch.write_text(page_text(page), encoding="utf-8")
