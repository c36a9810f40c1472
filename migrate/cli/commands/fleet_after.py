"""verify, health and doctor for a fleet."""

from __future__ import annotations

from concurrent.futures import Executor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.cli.commands.fleet_shared import ended, live
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked
from migrate.model.errors import Step

if TYPE_CHECKING:
    from migrate.map.rules import Rules
    from migrate.twilio_api.connect import ApiSettings


def verify_fleet(
    asked: FleetAsked,
    folder: Path,
    settings: ApiSettings,
    screen: Screen,
    *,
    rules: Rules | None,
    fail_under: float | None,
    executor: Executor | None,
) -> None:
    """See who has registered, in each account."""
    with live(asked, folder, settings, screen) as command:
        done = ended(lambda: command.fleet.verify(rules, fail_under=fail_under, executor=executor))
        command.finish(done, f"see {folder / 'verified.html'}", report="verified")


def health_fleet(
    asked: FleetAsked,
    folder: Path,
    since: timedelta,
    settings: ApiSettings,
    screen: Screen,
    *,
    fail_over: float | None,
    restart: bool,
) -> None:
    """See which pushes were refused, in each account."""
    from migrate.push_errors.measuring import HealthOptions

    with live(asked, folder, settings, screen, may_be_new=True) as command:
        done = ended(lambda: command.fleet.health(HealthOptions(since, restart=restart), fail_over=fail_over))
        command.finish(done, f"see {folder / 'health.html'}", report="health")


def doctor_fleet(asked: FleetAsked, settings: ApiSettings, screen: Screen) -> None:
    """Check the credentials of each account, and what Twilio lets them do."""
    with live(asked, None, settings, screen) as command:
        done = ended(command.fleet.doctor)
        command.finish(done, "use --json", "extract, map, and see what would change:", Step("run", {"out": "fleet"}))
