"""The page holds what it was given, escaped, and nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from desa.report.figures import embedding_map, predicted_against_true, training_curves
from desa.report.page import Figure, Page, Part, Table, write_page

PNG = b"\x89PNG\r\n\x1a\n"


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_shows_data_kind_and_escapes(tmp_path: Path) -> None:
    table = Table(["label", "R2"], [["<b>Teff</b>", "0.9"], ["joint & co", "0.8"]], "caption", frozenset({1}))
    curve = training_curves(
        {"a": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "validation_loss": 1.5}]}
    )
    parts = [Part("Results", "words", [table, Figure(curve, "a figure", "loss falls")])]
    write_page(tmp_path / "r.html", Page("Title", "lead", "mock survey", parts, {"command": "desa <demo>"}))
    page = (tmp_path / "r.html").read_text()
    parser = _Cells()
    parser.feed(page)
    for piece in ("<b>Teff</b>", "joint & co", "Data: mock survey", "caption", "a figure"):
        assert piece in parser.text
    assert "desa <demo>" in "".join(parser.text)
    assert "<b>" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert list(tmp_path.iterdir()) == [tmp_path / "r.html"]


def test_figures_are_pictures_even_with_missing_labels() -> None:
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(50, 2))
    teff = np.where(np.arange(50) % 2, 5000.0, np.nan)
    assert embedding_map(xy, {"teff": teff, "prot": np.full(50, np.nan)}).startswith(PNG)
    assert predicted_against_true({"teff": (xy[:, 0], xy[:, 1], "R2")}).startswith(PNG)
