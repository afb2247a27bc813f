"""One self-contained HTML page of tables and figures, readable in light and dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from desa.files import written_whole

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a;
        --line: #d5dae0; --paper: #fff; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #9aa4ae; --line: #39414a; --paper: #14171b; --band: #1d2228; }
  figure img { filter: invert(0.9) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 2rem 1.25rem 4rem; color: var(--ink);
       background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1.25rem; }
p { max-width: 46rem; }
.data { display: inline-block; padding: .1rem .6rem; border: 1px solid var(--line); border-radius: 1rem;
        color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .3rem .55rem; text-align: right; border-bottom: 1px solid var(--line);
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; white-space: normal; min-width: 18rem; }
thead th { border-bottom-width: 2px; }
tbody tr:nth-child(even) { background: var(--band); }
tr.strong td { font-weight: 600; }
summary { cursor: pointer; margin: .5rem 0; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption, .caption { color: var(--soft); font-size: .92rem; max-width: 46rem; }
pre { background: var(--band); padding: .75rem 1rem; overflow-x: auto; font-size: .85rem; }
"""


WRAPPED = 45
"""Cells with more characters are broken into lines."""


@dataclass(frozen=True)
class Table:
    """Rows of text under column names; `strong` holds indices of rows to set in bold.

    A table with a `folded` title is shown when its reader asks for it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    strong: frozenset[int] = frozenset()
    folded: str = ""

    def html(self) -> str:
        """The table as HTML, everything escaped."""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.columns)
        body = "".join(
            f"<tr{' class=strong' if index in self.strong else ''}>"
            + "".join(
                f"<td{' class=text' if len(cell) > WRAPPED else ''}>{html.escape(cell)}</td>" for cell in row
            )
            + "</tr>"
            for index, row in enumerate(self.rows)
        )
        table = (
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
            f'<p class="caption">{html.escape(self.caption)}</p>'
        )
        if not self.folded:
            return table
        return f"<details><summary>{html.escape(self.folded)}</summary>{table}</details>"


@dataclass(frozen=True)
class Figure:
    """A PNG picture with its caption; `alt` says what it shows to those who can't see it."""

    png: bytes
    caption: str
    alt: str

    def html(self) -> str:
        """The figure as HTML with the picture inside."""
        data = base64.b64encode(self.png).decode("ascii")
        return (
            f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}">'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )


@dataclass(frozen=True)
class Part:
    """A heading, a paragraph, what belongs under it, and links: (text, address)."""

    title: str
    text: str
    items: Sequence[Table | Figure] = ()
    links: Sequence[tuple[str, str]] = ()

    def html(self) -> str:
        """The part as HTML."""
        items = "".join(item.html() for item in self.items)
        links = " · ".join(
            f'<a href="{html.escape(address)}">{html.escape(text)}</a>' for text, address in self.links
        )
        below = f"<p>{links}</p>" if links else ""
        return f"<h2>{html.escape(self.title)}</h2><p>{html.escape(self.text)}</p>{items}{below}"


@dataclass(frozen=True)
class Page:
    """All that a page says.

    Parameters
    ----------
    title, lead
        Heading and first paragraph.
    data
        What the data are: ``"mock survey"`` or ``"real stars"``; shown under the title.
    parts
        The body.
    provenance
        What made the page: command, seed, versions, identity of the data.
    """

    title: str
    lead: str
    data: str
    parts: Sequence[Part]
    provenance: Mapping[str, str]

    @property
    def facts(self) -> str:
        """The provenance, a line each."""
        return "\n".join(f"{key:<12} {value}" for key, value in self.provenance.items())

    def html(self) -> str:
        """The page as HTML."""
        title, data = html.escape(self.title), html.escape(self.data)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{STYLE}</style></head><body>"
            f'<h1>{title}</h1><p><span class="data">Data: {data}</span></p>'
            f"<p>{html.escape(self.lead)}</p>{''.join(part.html() for part in self.parts)}"
            f"<h2>What made this page</h2><pre>{html.escape(self.facts)}</pre></body></html>\n"
        )


def write_page(path: str | Path, page: Page) -> None:
    """Write a page as HTML, whole."""
    with written_whole(path) as scratch:
        scratch.write_text(page.html(), encoding="utf-8")
