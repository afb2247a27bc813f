"""Sphinx directives that put generated Markdown into a page."""

from __future__ import annotations

from typing import Any, ClassVar

from command_pages import catalog_page, command_page, model_page
from docutils import nodes
from docutils.statemachine import StringList
from project_pages import architecture
from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """``{desa-generated} commands``, ``catalogs``, ``model`` or ``architecture``."""

    required_arguments = 1
    pages: ClassVar[dict[str, Any]] = {
        "commands": command_page,
        "catalogs": catalog_page,
        "model": model_page,
        "architecture": architecture,
    }

    def run(self) -> list[nodes.Node]:
        """Parse the Markdown in place."""
        text = self.pages[self.arguments[0]]()
        node = nodes.Element()
        node.document = self.state.document
        self.state.nested_parse(StringList(text.splitlines(), source="generated"), 0, node, match_titles=True)
        return node.children


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("desa-generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
