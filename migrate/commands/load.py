"""chat-migrate load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.options import FILE, FOLDER, ReportFile, api_options, common_options
from migrate.screen import Screen

if TYPE_CHECKING:
    from migrate.model.plan import Plan
    from migrate.twilio_api.api import ApiSettings


CHANGES_PENDING = 3


@click.command()
@click.argument("mapped", type=FOLDER)
@click.option("--plan-out", type=FILE, metavar="FILE", help="Save the plan.")
@click.option(
    "--report", "reports", type=ReportFile(), multiple=True, metavar="FILE",
    help="Write a report: .md or .json. Repeatable.",
)  # fmt: skip
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 if there is something to change.")
@api_options
@common_options
def load(
    mapped: Path,
    plan_out: Path | None,
    reports: tuple[Path, ...],
    detailed_exitcode: bool,
    settings: ApiSettings,
    screen: Screen,
) -> None:
    """Show what would change in Conversations. A dry run: it only reads.

    \b
    Example:
      chat-migrate load mapped --plan-out plan.json --report report.md
    """
    from migrate.load.planning import make_plan
    from migrate.report.text import plan_view
    from migrate.twilio_api.api import open_api

    files = [(path, path.suffix) for path in reports] + ([(plan_out, ".json")] if plan_out else [])
    with open_api(settings) as api:
        plan = make_plan(api, mapped)
    for path, suffix in files:
        write_report(plan, path, suffix)
    screen.result(plan.to_json(), lambda: plan_view(plan))
    if detailed_exitcode and plan.changes:
        sys.exit(CHANGES_PENDING)


def write_report(plan: Plan, path: Path, suffix: str) -> None:
    """Write a plan as a report, in the format that a suffix names."""
    from migrate.model.digest import canonical_json
    from migrate.report.markdown import plan_report
    from migrate.snapshot.files import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, plan_report(plan) if suffix == ".md" else canonical_json(plan.to_json()))
