"""Sphinx configuration. Build with ``make docs``; a warning is an error."""

from __future__ import annotations

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

import lowshotgan
from lowshotgan.cli import COMMANDS, cli

project = "lowshotgan"
author = "The lowshotgan authors"
copyright = "The lowshotgan authors, Apache-2.0"
version = release = lowshotgan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_static_path = ["static"]
html_title = f"lowshotgan {version}"


class CommandHelp(Directive):
    """``{command-help} finetune``: what ``lowshotgan finetune --help`` prints."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        parent = click.Context(cli, info_name="lowshotgan")
        context = click.Context(COMMANDS[name], info_name=name, parent=parent, max_content_width=90, terminal_width=90)
        return [nodes.literal_block(text=COMMANDS[name].get_help(context), language="text")]


def setup(app: Sphinx) -> None:
    app.add_directive("command-help", CommandHelp)
