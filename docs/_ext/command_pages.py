"""Pages made of what the program says of itself: commands, catalogs, the model that comes with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from project_pages import period_lines

import desa
from desa.catalogs.declared import declarations
from desa.cli import app


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, ``("catalogs get", command)``, groups before what is in them."""

    def walk(prefix: str, command: Any) -> Iterator[tuple[str, Any]]:
        for name, inner in sorted(command.commands.items()):
            full = f"{prefix} {name}".strip()
            yield full, inner
            if getattr(inner, "commands", None):
                yield from walk(full, inner)

    yield from walk("", typer.main.get_command(app))


def command_page() -> str:
    """Markdown of the command reference."""
    lines: list[str] = []
    for name, command in commands():
        lines += [f"{'#' * (2 + name.count(' '))} `desa {name}`", "", _help(command), ""]
        if getattr(command, "commands", None):
            continue
        rows = [row for parameter in command.params if (row := _parameter(parameter))]
        if rows:
            lines += ["| argument or option | meaning |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def _help(command: Any) -> str:
    text = re.sub(r"[ \t]+\n", "\n", (command.help or "").replace("\f", "")).strip()
    return re.sub(r"(?m)^Example: ", "**Example:** ", text)


def _parameter(parameter: Any) -> str:
    if parameter.name == "help":
        return ""
    options = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    name = options if parameter.param_type_name == "option" else f"`{parameter.name.upper()}`"
    said = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
    default = parameter.default
    if parameter.required:
        said += " *(needed)*"
    elif (
        default not in (None, "", False) and not callable(default) and not isinstance(default, (list, tuple))
    ):
        said += f" *(left out: {getattr(default, 'value', default)})*"
    return f"| {name} | {said} |"


def catalog_page() -> str:
    """Markdown of the tables of labels that desa knows."""
    declared = declarations()
    lines = []
    for name, entry in declared.catalogs.items():
        where = f"VizieR `{entry.vizier}`" if entry.vizier else f"<{entry.url}>"
        lines += [f"### {name}", "", f"{entry.title}. {entry.citation}. {where}.", ""]
        lines += ["| label | column | unit | error |", "| --- | --- | --- | --- |"]
        for label, column in entry.labels.items():
            errors = ", ".join(f"`{names[0]}`" for names in column.errors)
            lines.append(f"| {label} | `{column.names[0]}` | {column.unit or 'as desa'} | {errors} |")
        lines += ["", *(f"- Left out: {cut.why}." for cut in entry.cuts)]
        lines += [f"- {entry.notes}"] if entry.notes else []
        unchecked = [fact for fact, checked in entry.verified.items() if not checked]
        lines += [f"- Not checked against the source: {', '.join(unchecked)}."] if unchecked else []
        lines.append("")
    lines += ["### Order of preference", "", "| label | tables, best first |", "| --- | --- |"]
    lines += [f"| {label} | {', '.join(names)} |" for label, names in declared.priority.items()]
    return "\n".join(lines)


UNITS = {"teff": "K", "log_g": "dex", "fe_h": "dex", "prot": "d"}


def model_page() -> str:
    """Markdown of what the model that comes with desa was measured to do; from its own ``model.json``."""
    content = json.loads((Path(desa.__file__).parent / "pretrained" / "model.json").read_text())
    facts = content.get("metadata", content)
    measured = facts["measured"]
    others = ", ".join(f"`{name}` by `{maker}`" for name, maker in facts["parts_made_by"].items())
    lines = [f"Trained on {facts['trained_on']}. Made by `{facts['made_by']}`; {others}.", ""]
    lines += ["| data | label | stars | which | mean absolute error | median error | bias |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for data in ("real", "mock"):
        for row in measured[data]:
            digits = 0 if row["label"] == "teff" else 3
            numbers = [f"{row[name]:.{digits}f}" for name in ("mae", "mae_err", "median_error", "bias")]
            lines.append(
                f"| {data} | {row['label']} [{UNITS[row['label']]}] | {row['count']} | {row['group']} "
                f"| {numbers[0]} +- {numbers[1]} | {numbers[2]} | {numbers[3]} |"
            )
    lines += ["", "| data | label | interval | stars inside |", "| --- | --- | --- | --- |"]
    for row in measured["real_coverage"]:
        share = f"{100 * row['share']:.1f} +- {100 * row['share_err']:.1f} %"
        lines.append(f"| real | {row['label']} | {100 * row['nominal']:.0f} % | {share} |")
    lines += ["", "Share of real rotation periods within 10 %, of stars that the finder had not seen:", ""]
    return "\n".join([*lines, *period_lines(), "", _match_line(measured)])


def _match_line(measured: dict[str, Any]) -> str:
    match = measured["match_mock"]
    return (
        "Share of mock light curves that find their own spectrum as one of the first ten, by "
        f"`match_lightcurve:match_spectrum` among {match['stars']} stars: {match['recall_10']:.3f} +- "
        f"{match['its_standard_error']:.3f} (chance: {match['chance']:.3f})."
    )
