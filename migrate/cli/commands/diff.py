"""chat-migrate diff."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.load import CHANGES_PENDING
from migrate.cli.console import Screen
from migrate.cli.engine_options import executor_of, scheduler_option
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import FLEET, Command, shared_option
from migrate.cli.options import FormatFile, common_options, overwrite_option
from migrate.cli.paths import InEither, or_fleet

if TYPE_CHECKING:
    from migrate.diff.difference import Difference
    from migrate.fleet.stages_after import DiffKind


@click.command(cls=Command)
@click.argument("before", metavar="A", type=or_fleet(InEither()))
@click.argument("after", metavar="B", type=or_fleet(InEither()))
@click.option(
    "--report", "reports", type=FormatFile("a report", ".html", ".md", ".json"), multiple=True, metavar="FILE",
    help="Write a report: .html, .md or .json. Repeatable.",
)  # fmt: skip
@overwrite_option("a report")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 if anything differs.")
@scheduler_option
@fleet_options("before", "after", "detailed_exitcode", "scheduler", offline=True)
@shared_option(FLEET)(
    "--of", "kind", type=click.Choice(["snapshot", "mapped", "plan"]), default="mapped", show_default=True,
    metavar="KIND", help="What `diff` compares of each account: snapshot, mapped or plan.",
)  # fmt: skip
@common_options
def diff(
    before: Path,
    after: Path,
    reports: tuple[Path, ...],
    detailed_exitcode: bool,
    scheduler: str | None,
    kind: DiffKind,
    screen: Screen,
    fleet: FleetAsked | None,
) -> None:
    """Show what has changed between two snapshots, two mapped folders or two plans.

    Compares services, settings, credentials, rules, findings and every binding. A is the earlier one, such as the
    one that was signed off. Stays offline, and shows no identity and no endpoint.

    \b
    Example:
      chat-migrate diff snapshot snapshot-today --detailed-exitcode
      chat-migrate diff mapped mapped-today --report changes.html
    """
    if fleet:
        from migrate.cli.commands.fleet_offline import diff_fleet

        with executor_of(scheduler, [before, after], None) as executor:
            done = diff_fleet(fleet, before, after, kind, screen, executor)
        sys.exit(done if detailed_exitcode else 0)
    from migrate.diff.comparing import difference
    from migrate.report.diff import difference_view

    with executor_of(scheduler, [before, after], None) as executor:
        found = difference(before, after, executor)
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
