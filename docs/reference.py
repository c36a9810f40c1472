"""Writes docs/commands.md from the command line's own help: `make docs`."""

from __future__ import annotations

import click

from migrate.cli.app import cli

_WIDTH = 100
_HEADER = """\
# Commands

Made by `make docs` from what `chat-migrate COMMAND --help` says; a test keeps it true.
"""


def reference() -> str:
    """The page: each command's help, in the order of their names."""
    pages = [_HEADER]
    group = click.Context(cli, info_name="chat-migrate", **cli.context_settings)
    for name, command in sorted(cli.commands.items()):
        context = click.Context(
            command, parent=group, info_name=name, max_content_width=_WIDTH, terminal_width=_WIDTH
        )
        pages.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(pages)


if __name__ == "__main__":
    click.echo(reference(), nl=False)
