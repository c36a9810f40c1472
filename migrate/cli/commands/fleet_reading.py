"""extract and run for a fleet: what reads from Twilio, account by account, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.cli.commands.fleet_shared import ended, live
from migrate.cli.commands.reporting import write_report
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked
from migrate.model.errors import Step

if TYPE_CHECKING:
    from migrate.extract.extraction import ExtractOptions
    from migrate.map.rules import Rules
    from migrate.model.plan import Plan
    from migrate.twilio_api.connect import ApiSettings


def extract_fleet(
    asked: FleetAsked, out: Path, options: ExtractOptions, settings: ApiSettings, screen: Screen
) -> None:
    """Make a snapshot of each account; one that is finished stays."""
    with live(asked, out, settings, screen, may_be_new=True) as command:
        done = ended(lambda: command.fleet.extract(options))
        where = f"chat-migrate show {out}"
        command.finish(done, where, "translate them into push configuration:", Step("map", {"snapshot": out}))


def run_fleet(
    asked: FleetAsked,
    out: Path,
    options: ExtractOptions,
    settings: ApiSettings,
    screen: Screen,
    *,
    rules: Rules | None,
    like: Path | None,
    executor: Executor | None,
) -> None:
    """Extract, map and plan each account, with its reports, and write the report of the fleet."""
    with live(asked, out, settings, screen, may_be_new=True) as command:
        done = ended(lambda: command.fleet.run(options, rules, like, on_plan=report_of_account, executor=executor))
        page = out / "report.html"
        again = f"read {page}; edit what needs it, and look again:"
        command.finish(done, f"see {page}", again, Step("load", {"mapped": out}), report="report")


def report_of_account(sid: str, folder: Path, plan: Plan, refusals: Sequence[tuple[str, str]]) -> None:
    """Write the reports of an account's plan beside it, as `run` does for one account."""
    for name in ("report.html", "report.md"):
        write_report(plan, folder / name, Path(name).suffix, refusals)
