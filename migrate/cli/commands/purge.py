"""chat-migrate purge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from migrate.cli.commands.applying import ask
from migrate.cli.console import Screen
from migrate.cli.help import Command
from migrate.cli.options import common_options
from migrate.cli.paths import InFolder
from migrate.cli.spelling import same_command
from migrate.load.limits import OLDEST_SNAPSHOT


@click.command(cls=Command)
@click.argument(
    "folders",
    type=InFolder(exists=True, stays_here="a store has rules of its own for what is old"),
    nargs=-1,
    required=True,
)
@click.option(
    "--older-than", type=click.IntRange(0), default=OLDEST_SNAPSHOT.days, show_default=True, metavar="DAYS",
    help="What is older than this is removed.",
)  # fmt: skip
@click.option("--apply", is_flag=True, help="Remove it. Without this nothing is removed.")
@click.option("--yes", is_flag=True, help="Do not ask before it is removed.")
@common_options
def purge(folders: tuple[Path, ...], older_than: int, apply: bool, yes: bool, screen: Screen) -> None:
    """Remove snapshots, and the bindings of mapped folders, that are older than Twilio lets personal data be kept.

    So it does with live records that `verify` could not read, and kept beside its numbers. It looks in these folders
    at any depth, and follows no links. Of a mapped folder the push configuration stays. A snapshot or a mapped folder
    that holds a file of somebody else's is left alone and reported. Cassettes, lists of pending users and copies
    elsewhere it does not know: look after those yourself.

    \b
    Example:
      chat-migrate purge .
      chat-migrate purge . --apply
    """
    from migrate.purge import find_kept, remove
    from migrate.report.purge import purge_view

    now, found = datetime.now(UTC), find_kept(folders)
    old = [
        kept for kept in found if kept.as_of and not kept.obstacle and now - kept.as_of > timedelta(days=older_than)
    ]
    if apply and old:
        if not yes:
            screen.show(purge_view(found, dict.fromkeys(old, "remove"), now, dry_run=True))
            ask(len(old), "folders that are to be removed for good", "Nothing was removed")
        for kept in old:
            remove(kept)
    fates = dict.fromkeys(old, "removed" if apply else "remove")
    data = {"kept": [kept.to_json() for kept in found if kept not in fates], "old": [kept.to_json() for kept in old]}
    screen.result({**data, "removed": apply}, lambda: purge_view(found, fates, now, dry_run=not apply))
    if old and not apply:
        screen.next("remove them for good:", same_command("--apply", without=("as_json",)))
