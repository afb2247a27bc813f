"""The tables of a page as Markdown: for a repository, a log, or a reader without a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from desa.files import written_whole
from desa.report.page import Figure, Part, Table


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


def write_text(
    path: str | Path,
    title: str,
    lead: str,
    data: str,
    parts: Sequence[Part],
    provenance: Mapping[str, str],
) -> None:
    """Write what `desa.report.page.write_page` writes, without its pictures, as Markdown; same parameters."""
    facts = "\n".join(f"{key:<12} {value}" for key, value in provenance.items())
    found = [f"# {_cell(title)}", f"Data: **{_cell(data)}**", _cell(lead), *map(part_text, parts)]
    found.append(f"## What made these tables\n\n```text\n{facts}\n```\n")
    with written_whole(path) as scratch:
        scratch.write_text("\n\n".join(found), encoding="utf-8")
