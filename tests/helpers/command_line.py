"""The command line without its work: whether a command takes the arguments that a text gives it."""

from __future__ import annotations

from collections.abc import Sequence

import click
import typer

from desa.cli import app


def parsed(words: Sequence[str]) -> None:
    """Fail unless `desa` has such a command, with such arguments."""
    left = list(words)
    command: click.Command = typer.main.get_command(app)
    context = click.Context(command)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        name = left.pop(0)
        found = command.get_command(context, name)  # type: ignore[attr-defined]
        assert found is not None, f"no command {name} in: desa {' '.join(words)}"
        command, context = found, click.Context(found, parent=context)
        if not left and getattr(command, "invoke_without_command", False):
            return
    command.make_context("desa", left)
