"""The command line: all commands, and what holds for each of them."""

from __future__ import annotations

import signal
import sys

import click

from migrate import __version__
from migrate.commands.completion import completion
from migrate.commands.doctor import doctor
from migrate.commands.extract import extract
from migrate.commands.load import load, rollback
from migrate.commands.mapping import explain, map_, rules
from migrate.commands.purge import purge
from migrate.commands.rehearse import rehearse
from migrate.commands.retire import retire
from migrate.commands.run import run
from migrate.commands.standin import standin
from migrate.commands.verify import verify
from migrate.failures import INTERRUPTED, Commands
from migrate.screen import spell_on


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chat-migrate")
def cli() -> None:
    """Move push notifications from Twilio Programmable Chat to Conversations.

    Nothing is written to Twilio without --apply. Credentials come from the environment: TWILIO_ACCOUNT_SID with
    TWILIO_AUTH_TOKEN, or with TWILIO_API_KEY and TWILIO_API_SECRET.

    \b
    Example:
      chat-migrate run --replay demo --out out/demo
    """


COMMANDS = (
    extract,
    map_,
    rules,
    explain,
    load,
    rollback,
    verify,
    retire,
    run,
    standin,
    rehearse,
    doctor,
    purge,
    completion,
)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed by whoever called
            spell_on(stream)
    # Whoever ends it by SIGTERM gets what Ctrl-C does: pages in hand are stored, and the exit code says so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup would have it: the terminal was closed
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        cli(prog_name="chat-migrate")
    except KeyboardInterrupt:  # before a command was there to say more
        sys.exit(INTERRUPTED)
