"""Tables as Markdown."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt

from desa.report.markdown import write_with_text
from desa.report.page import Figure, Page, Part, Table

TABLE = Table(
    ["model", "R2 | all"], [["DESA", "0.9 *"], ["z_1 <b>", "[Fe/H]"]], "A *caption*.", frozenset({0})
)


def read(tmp_path: Path) -> tuple[str, str]:
    part = Part(
        "Does it?", "It does.", [TABLE, Figure(b"", "What is seen.", "alt")], [("raw.csv", "raw.csv")]
    )
    write_with_text(tmp_path / "page.html", Page("Title", "Lead.", "mock survey", [part], {"seed": "3"}))
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    return text, MarkdownIt("commonmark").enable("table").render(text)


def test_a_reader_of_markdown_sees_the_cells_as_they_were(tmp_path: Path) -> None:
    _, page = read(tmp_path)
    for cell in (
        '<td style="text-align:right">0.9 *</td>',
        "<td>z_1 &lt;b&gt;</td>",
        '<td style="text-align:right">[Fe/H]</td>',
        '<th style="text-align:right">R2 | all</th>',
        "<td><strong>DESA</strong></td>",
        "<p>A *caption*.</p>",
    ):
        assert cell in page


def test_data_figures_and_provenance_are_said(tmp_path: Path) -> None:
    text, page = read(tmp_path)
    assert "<strong>mock survey</strong>" in page and "Figure, on the page: What is seen." in text
    assert "seed         3" in text and "raw.csv" in text
