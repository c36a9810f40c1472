"""The command line: all commands, and what holds for each of them."""

from __future__ import annotations

import sys
from collections import UserDict
from importlib import import_module
from typing import Any

import click

from migrate import __version__
from migrate.cli.console import spell_on
from migrate.cli.failures import Commands

# Where each command is: the module, and its name there where that is another.
_HOMES = {
    "extract": "extract",
    "map": "mapping:map_",
    "rules": "mapping",
    "explain": "mapping",
    "show": "show",
    "check": "show",
    "load": "load",
    "rollback": "load",
    "verify": "verify",
    "retire": "retire",
    "run": "run",
    "standin": "standin",
    "rehearse": "rehearse",
    "doctor": "doctor",
    "purge": "purge",
    "completion": "completion",
}


class _Commands(UserDict[str, Any]):
    """The commands by name, each imported when it is asked for, so that one does not wait for the others."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self.data[name].partition(":")
        command: click.Command = getattr(import_module(f"migrate.cli.commands.{module}"), attribute or name)
        return command


@click.group(cls=Commands, commands=_Commands(_HOMES), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chat-migrate")
def cli() -> None:
    """Move push notifications from Twilio Programmable Chat to Conversations.

    Nothing is written to Twilio without --apply. Credentials come from the environment: TWILIO_ACCOUNT_SID with
    TWILIO_AUTH_TOKEN, or with TWILIO_API_KEY and TWILIO_API_SECRET.

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
