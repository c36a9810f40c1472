"""The command line: all commands, and what holds for each of them."""

from __future__ import annotations

import sys
from collections import UserDict
from importlib import import_module
from typing import Any, ClassVar

import click

from migrate import __version__
from migrate.cli.console import spell_on
from migrate.cli.failures import Commands
from migrate.cli.help import Sections

# The commands as `--help` lists them, in the order of the work. Each is placed here, by one line: its name, and the
# module where it is, with its name there where that is another.
SECTIONS = {
    "Prepare": {
        "doctor": "doctor",
        "run": "run",
        "extract": "extract",
        "map": "mapping:map_",
        "rules": "mapping",
        "check": "show",
    },
    "Rehearse": {
        "rehearse": "rehearse",
        "standin": "standin",
    },
    "Cut over": {
        "diff": "diff",
        "load": "load",
        "rollback": "rollback",
    },
    "Afterwards": {
        "verify": "verify",
        "health": "health",
        "why": "why",
        "retire": "retire",
        "purge": "purge",
    },
    "Tools": {
        "show": "show",
        "explain": "mapping",
        "completion": "completion",
    },
}
_HOMES = {name: home for section in SECTIONS.values() for name, home in section.items()}


class _Commands(UserDict[str, Any]):
    """The commands by name, each imported when it is asked for, so that one does not wait for the others."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self.data[name].partition(":")
        command: click.Command = getattr(import_module(f"migrate.cli.commands.{module}"), attribute or name)
        return command


class _Program(Commands, Sections):
    """All commands, in sections."""

    sections: ClassVar = {section: tuple(commands) for section, commands in SECTIONS.items()}


@click.group(cls=_Program, commands=_Commands(_HOMES), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chat-migrate")
def cli() -> None:
    """Move push notifications from Twilio Programmable Chat to Conversations.

    Nothing is written to Twilio without --apply. Credentials come from the environment: TWILIO_ACCOUNT_SID with
    TWILIO_AUTH_TOKEN, or with TWILIO_API_KEY and TWILIO_API_SECRET. Each command has a --help of its own.

    \b
    Example:
      chat-migrate run --replay demo --out out/demo
    """


def main() -> None:
    """Run the command that was asked for. Raises `SystemExit`, always."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed by whoever called
            spell_on(stream)
    cli(prog_name="chat-migrate")
