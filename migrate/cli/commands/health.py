"""chat-migrate health."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrate.cli.commands.warnings import warn
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import api_options, common_options
from migrate.cli.paths import InFile, InSnapshot, OutFolder, or_fleet
from migrate.model.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from migrate.push_errors.health import Health
    from migrate.push_errors.measuring import HealthOptions
    from migrate.twilio_api.connect import ApiSettings

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_MOST_DAYS = 30  # that Twilio keeps alerts (FACTS.md, "Push errors")


class Span(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """A length of time, such as 90m, 24h or 7d."""

    name = "LENGTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it; at most 30 days."""
        found = re.fullmatch(r"([0-9]{1,6})([mhd])", str(value))
        length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()
        if not timedelta() < length <= timedelta(days=_MOST_DAYS):
            self.fail(f"{value!r} is not a length of time such as 90m, 24h or 7d, at most {_MOST_DAYS}d", param, ctx)
        return length


@click.command(cls=Command)
@click.option(
    "--since", type=Span(), default="24h", show_default=True, help="How far back to look: 90m, 24h, 7d; at most 30d."
)
@click.option(
    "--out", type=or_fleet(OutFolder("health", grows=True)), default="health", show_default=True, metavar="DIR",
    help="The folder that each run adds a Parquet file to: errors by hour, numbers and SIDs only.",
)  # fmt: skip
@click.option(
    "--snapshot", type=InSnapshot(), metavar="SNAPSHOT",
    help="Count the live devices by this snapshot, and find the credentials of bindings that alerts name.",
)  # fmt: skip
@click.option(
    "--compare", type=InFile("health", exists=True), metavar="BEFORE",
    help="Compare with an earlier run: one of the Parquet files in --out, from before the cut-over.",
)  # fmt: skip
@click.option(
    "--fail-over", type=click.FloatRange(0), metavar="N",
    help="Exit with 4 above N errors a day for 100 live devices; with --compare, above N more than before.",
)  # fmt: skip
@click.option("--restart", is_flag=True, help="Start an interrupted reading over, instead of resuming it.")
@fleet_options("since", "out", "fail_over", "restart", needs="out")
@api_options
@common_options
def health(
    since: timedelta,
    out: Path,
    snapshot: Path | None,
    compare: Path | None,
    fail_over: float | None,
    restart: bool,
    settings: ApiSettings,
    screen: Screen,
    fleet: FleetAsked | None,
) -> None:
    """Show which pushes APNs and FCM refused, by credential, service and code.

    Reads Twilio's Alerts, which Monitor keeps for 30 days; writes nothing to Twilio.

    \b
    Example:
      chat-migrate health --snapshot snapshot
      chat-migrate health --since 7d
    """
    if fleet:
        from migrate.cli.commands.fleet_after import health_fleet

        health_fleet(fleet, out, since, settings, screen, fail_over=fail_over, restart=restart)
        return
    if fail_over is not None and snapshot is None and compare is None:
        raise UsageError(
            "--fail-over is for 100 live devices, and their number is not known",
            remedy="Name a snapshot that has them: --snapshot SNAPSHOT",
        )
    from migrate.push_errors.health_folder import read_measured
    from migrate.push_errors.measuring import HealthOptions

    before = read_measured(compare) if compare else None
    found = _measure(out, HealthOptions(since, before=before, restart=restart), snapshot, settings, screen)
    from migrate.report.health import health_view

    screen.result(found.to_json(), lambda: health_view(found))
    _refuse_excess(found, fail_over)


def _measure(
    out: Path, options: HealthOptions, snapshot: Path | None, settings: ApiSettings, screen: Screen
) -> Health:
    from dataclasses import replace

    from migrate.extract.progress import AlertsProgress
    from migrate.push_errors.measuring import measure_health
    from migrate.twilio_api.connect import open_api
    from migrate.twilio_api.doubts import doubt_of_account, doubt_of_clock

    if snapshot:
        from migrate.map.rules_toml import default_rules
        from migrate.snapshot.reader import read_snapshot

        options = replace(options, snapshot=read_snapshot(snapshot), lifetime=default_rules().lifetime)
    progress = AlertsProgress()
    options = replace(options, progress=partial(progress.add, "alerts"))
    with open_api(settings) as api, screen.progress(progress):
        progress.requests_now = lambda: api.throttle.running
        progress.trouble = lambda: api.trouble
        found = measure_health(api, out, options)
        warn(screen, doubt_of_account(api), doubt_of_clock(api))
    return found


def _refuse_excess(found: Health, fail_over: float | None) -> None:
    """Raise `RefusedError` where there are more errors than a script allows, or it cannot be told."""
    if fail_over is None:
        return
    kept = f"The numbers are kept in {found.file}"
    if found.excess is None:
        raise RefusedError(
            "How many errors that is for 100 live devices is not known: there is no live device",
            kept=kept,
            remedy="Name a snapshot that has live devices: --snapshot SNAPSHOT",
        )
    if found.excess > fail_over:
        more = " more than before" if found.before else ""
        raise RefusedError(
            f"{found.excess:,.1f} errors a day for 100 live devices{more}, and --fail-over allows {fail_over:g}",
            kept=kept,
            remedy="See above which credentials fail, and what to do",
        )
