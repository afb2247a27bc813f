"""The tutorials: stored as they ran, with small figures, and they still run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "examples"
NAMES = ("odd_stars", "one_star", "own_survey")
MOST_BYTES = 300_000


def book(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_the_tutorials_are_these() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_stored_as_they_ran(name: str) -> None:
    cells = [cell for cell in book(name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert pictures and max(map(len, pictures)) * 3 / 4 < MOST_BYTES
    assert "**mock**" in book(name).cells[0].source, "the first cell says what data these are"


@pytest.mark.filterwarnings("ignore")
def test_the_first_runs_as_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells in this process, as a kernel of its own takes longer to start than they do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    names: dict[str, object] = {"__name__": "notebook"}
    with plt.rc_context():
        for number, cell in enumerate(book("one_star").cells, 1):
            if cell.cell_type == "code":
                exec(compile(cell.source, f"one_star, cell {number}", "exec"), names)
    plt.close("all")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_they_run(name: str, tmp_path: Path) -> None:
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book(name), timeout=600, kernel_name="python3", resources=resources).execute()
