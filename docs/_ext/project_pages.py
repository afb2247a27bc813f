"""Parts of README and pages that are made of the project itself: folders, files, the shipped model's numbers.

``python docs/_ext/project_pages.py`` writes them into README.md, between its markers.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "desa"
BESIDE = {
    "docs": "the documentation's pages",
    "examples": "three tutorials, as notebooks",
    "tests": "mirrors src; `helpers/` makes what tests need",
    "recipes": "what makes the shipped model",
    "benchmarks": "speed and memory",
    "scripts": "how the small tables that desa ships were derived",
}
WIDE = 90


def first_line(path: Path) -> str:
    """The first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].rstrip(".")


def short(words: str) -> str:
    """A line without what comes after its first colon, semicolon or full stop, if it is long."""
    return words if len(words) <= WIDE else re.split(r"[;:.] ", words)[0][:WIDE]


def folder_map() -> str:
    """A line a folder."""
    folders = sorted(path.parent for path in SOURCE.glob("*/__init__.py"))
    lines = [f"  {f'{path.name}/':14}{short(first_line(path / '__init__.py'))}" for path in folders]
    lines += [f"  {'pretrained/':14}the model that comes with desa"]
    lines += [f"{f'{name}/':16}{words}" for name, words in BESIDE.items() if (ROOT / name).is_dir()]
    return "\n".join(["```text", "src/desa/", *lines, "```"])


def architecture() -> str:
    """Markdown: every module in a line, folder by folder."""
    lines: list[str] = []
    for folder in [SOURCE, *sorted(path for path in SOURCE.rglob("*") if (path / "__init__.py").exists())]:
        name = ".".join(("desa", *folder.relative_to(SOURCE).parts))
        lines += [f"### `{name}`", "", f"{first_line(folder / '__init__.py')}.", ""]
        files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("__"))
        if files:
            lines += ["| module | what it does |", "| --- | --- |"]
            lines += [f"| `{path.stem}` | {first_line(path).replace('|', chr(92) + '|')} |" for path in files]
        lines.append("")
    return "\n".join(lines)


def results() -> str:
    """Markdown: what the shipped model was measured to do on real stars, from its own ``model.json``."""
    content = json.loads((SOURCE / "pretrained" / "model.json").read_text(encoding="utf-8"))
    measured: dict[str, Any] = content["metadata"]["measured"]
    lines = ["| data | Teff [K] | log g [dex] | [Fe/H] [dex] |", "| --- | --- | --- | --- |"]
    for group in dict.fromkeys(row["group"] for row in measured["real"]):
        rows = {row["label"]: row for row in measured["real"] if row["group"] == group}
        cells = [f"{rows['teff']['mae']:.0f} ± {rows['teff']['mae_err']:.0f}"]
        cells += [f"{rows[name]['mae']:.3f} ± {rows[name]['mae_err']:.3f}" for name in ("log_g", "fe_h")]
        which = "" if group == "all" else f", {group.replace('S/N_g', 'S/N in g')}"
        lines.append(f"| {rows['teff']['count']} real LAMOST spectra{which} | {' | '.join(cells)} |")
    lines += [
        "",
        "Share of rotation periods within 10 % of the catalogues', each star by a finder that had not seen it "
        "(the catalogue's periods of the K2 stars are themselves Lomb-Scargle periods):",
    ]
    return "\n".join([*lines, "", *period_lines()])


def period_lines() -> list[str]:
    """Markdown: periods of the finder and of two methods without learning, from the finder's own report."""
    text = (ROOT / "docs" / "results" / "periods.md").read_text(encoding="utf-8")
    lines = text[text.index("| light curves | method |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    methods = list(dict.fromkeys(row[1] for row in rows))
    found = [f"| real light curves | stars | {' | '.join(methods)} |", "| --- " * (2 + len(methods)) + "|"]
    for name in dict.fromkeys(row[0] for row in rows):
        own = {row[1]: row for row in rows if row[0] == name}
        shares = " | ".join(own[method][3] for method in methods)
        found.append(f"| {name} | {own[methods[0]][2]} | {shares} |")
    return found


PARTS = {"results": results, "folders": folder_map}


def readme() -> str:
    """README with its made parts as they are now."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, make in PARTS.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- end -->)",
            lambda found, made=make(): f"{found[1]}{made}{found[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


if __name__ == "__main__":
    (ROOT / "README.md").write_text(readme(), encoding="utf-8")
