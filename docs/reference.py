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
    """The page: what the program's help says, then each command's, in the order of the work."""
    group = click.Context(cli, info_name="chat-migrate", terminal_width=_WIDTH, **cli.context_settings)
    pages = [_HEADER, _block(group)]
    for name in cli.list_commands(group):
        context = click.Context(cli.commands[name], parent=group, info_name=name, terminal_width=_WIDTH)
        pages.append(f"## {name}\n\n{_block(context)}")
    return "\n".join(pages)


def _block(context: click.Context) -> str:
    return f"```text\n{context.get_help()}\n```\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
