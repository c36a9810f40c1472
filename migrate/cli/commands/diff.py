"""chat-migrate diff."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.load import CHANGES_PENDING
from migrate.cli.console import Screen
from migrate.cli.help import Command
from migrate.cli.options import FormatFile, common_options, overwrite_option
from migrate.cli.paths import InEither

if TYPE_CHECKING:
    from migrate.diff.difference import Difference


@click.command(cls=Command)
@click.argument("before", metavar="A", type=InEither())
@click.argument("after", metavar="B", type=InEither())
@click.option(
    "--report", "reports", type=FormatFile("a report", ".html", ".md", ".json"), multiple=True, metavar="FILE",
    help="Write a report: .html, .md or .json. Repeatable.",
)  # fmt: skip
@overwrite_option("a report")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 if anything differs.")
@common_options
def diff(before: Path, after: Path, reports: tuple[Path, ...], detailed_exitcode: bool, screen: Screen) -> None:
    """Show what has changed between two snapshots, two mapped folders or two plans.

    Compares services, settings, credentials, rules, findings and every binding. A is the earlier one, such as the
    one that was signed off. Stays offline, and shows no identity and no endpoint.

    \b
    Example:
      chat-migrate diff snapshot snapshot-today --detailed-exitcode
      chat-migrate diff mapped mapped-today --report changes.html
    """
    from migrate.diff.comparing import difference
    from migrate.report.diff import difference_view

    found = difference(before, after)
    for path in reports:
        _write(found, path)
    where = f"see {reports[0]}" if reports else "use --report FILE, or --json"
    screen.result(found.to_json(), lambda: difference_view(found, where=where))
    if detailed_exitcode and found.differs:
        sys.exit(CHANGES_PENDING)


def _write(found: Difference, path: Path) -> None:
    """Write a report, in the format that its name ends in."""
    from migrate.model.digest import canonical_json
    from migrate.storage.files import write_whole

    if path.suffix == ".html":
        from migrate.report.html.diff import difference_page as view
    elif path.suffix == ".md":
        from migrate.report.diff_markdown import difference_report as view
    else:
        write_whole(path, canonical_json(found.to_json()))
        return
    write_whole(path, view(found))
