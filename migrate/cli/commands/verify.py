"""chat-migrate verify."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.warnings import warn
from migrate.cli.console import Screen
from migrate.cli.engine_options import executor_of, scheduler_option
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import FormatFile, api_options, common_options, rules_option
from migrate.cli.paths import InSnapshot, OutFolder, or_fleet
from migrate.cli.spelling import API_OPTIONS, command_of, same_command, same_options
from migrate.model.errors import AGAIN, RefusedError, Step, UsageError
from migrate.verify.coverage import refuse_nothing
from migrate.verify.coverage_folder import SCRATCH

if TYPE_CHECKING:
    from migrate.map.rules import Rules
    from migrate.twilio_api.connect import ApiSettings
    from migrate.verify.coverage import Counts
    from migrate.verify.verification import Verified


@click.command(cls=Command)
@click.argument("snapshot", type=or_fleet(InSnapshot()))
@click.option(
    "--against", type=InSnapshot(), metavar="SNAPSHOT", help="Compare with this snapshot, instead of what is live."
)
@click.option(
    "--coverage", type=OutFolder("coverage", grows=True), default="coverage", show_default=True, metavar="DIR",
    help="The folder that each run adds a Parquet file to: numbers only.",
)  # fmt: skip
@click.option(
    "--pending", type=FormatFile("a list", ".csv", ".parquet", apart=True, stays=False), metavar="FILE",
    help="Also write who is still pending: .csv or .parquet. It holds identities.",
)  # fmt: skip
@click.option(
    "--fail-under", type=click.FloatRange(0, 100), metavar="PERCENT", help="Exit with 4 if fewer bindings are ready."
)
@scheduler_option
@fleet_options("snapshot", "fail_under", "rules_file", "scheduler")
@rules_option
@api_options
@common_options
def verify(
    snapshot: Path,
    against: Path | None,
    coverage: Path,
    pending: Path | None,
    fail_under: float | None,
    scheduler: str | None,
    rules: Rules | None,
    settings: ApiSettings,
    screen: Screen,
    fleet: FleetAsked | None,
) -> None:
    """Show who has registered with Conversations by now, and who is still pending.

    Reads the bindings that are live in Conversations; writes nothing to Twilio. Of the rules, it goes by the lifetime
    of a binding and by the prefixes of message types.

    \b
    Example:
      chat-migrate verify snapshot --pending pending.csv
      chat-migrate verify snapshot --fail-under 95
    """
    if fleet:
        from migrate.cli.commands.fleet_after import verify_fleet

        with executor_of(scheduler, [snapshot], snapshot / "AC") as executor:
            verify_fleet(fleet, snapshot, settings, screen, rules=rules, fail_under=fail_under, executor=executor)
        return
    if against and (settings.record or settings.replay):
        raise UsageError("--against stays offline: --record and --replay do not go with it")
    with executor_of(scheduler, [snapshot, *([against] if against else [])], coverage / SCRATCH) as executor:
        done = _verify(snapshot, against, coverage, pending, rules, settings, screen, executor)
    from migrate.model.text import share
    from migrate.report.coverage import coverage_view

    rejected = str(done.rejected) if done.rejected else None
    screen.result(
        {**done.coverage.to_json(), "file": str(done.file), "rejected_file": rejected},
        lambda: coverage_view(done.coverage, str(snapshot), _files(done, pending)),
    )
    total = done.coverage.total
    refuse_nothing(total, kept=f"The numbers are kept in {done.file}")
    if fail_under is not None and not total.reaches(fail_under):
        raise RefusedError(
            f"{share(total.ready, total.expected)} of the bindings that are waited for are ready, and --fail-under "
            f"asks for {fail_under:g} %",
            kept=f"The numbers are kept in {done.file}",
            remedy=("Wait, and run the same again: ", AGAIN),
        )
    _say_next(snapshot, total, screen)


def _files(done: Verified, pending: Path | None) -> list[tuple[str, str]]:
    """The files that a run has written, as its closing table has them."""
    private = "it holds identities: keep it as the snapshot"
    files = [("Coverage", str(done.file))]
    if pending:
        files.append(("Pending", f"{pending} ({done.pending:,} rows; {private})"))
    if done.rejected:
        files.append(("Rejected", f"{done.rejected} ({done.coverage.live_rejected:,} records; {private})"))
    return files


def _say_next(snapshot: Path, total: Counts, screen: Screen) -> None:
    """Say what comes after: to wait for more, or to retire what is no longer needed."""
    from migrate.retire.limits import MIN_READY

    if total.reaches(MIN_READY):
        retire = Step("retire", {"snapshot": snapshot})
        screen.next("see what Chat's bindings can be retired:", command_of(retire, *same_options(*API_OPTIONS)))
    else:
        screen.next(
            "remind those who are pending (--pending FILE lists them), and look again:",
            same_command(without=("record", "replay", "as_json", "fail_under")),
        )


def _verify(
    snapshot: Path,
    against: Path | None,
    coverage: Path,
    pending: Path | None,
    rules: Rules | None,
    settings: ApiSettings,
    screen: Screen,
    executor: Executor | None,
) -> Verified:
    from migrate.extract.progress import ExtractProgress
    from migrate.snapshot.manifest import read_manifest
    from migrate.twilio_api.connect import open_api
    from migrate.twilio_api.doubts import doubt_of_account, doubt_of_clock
    from migrate.verify.verification import verify_snapshot

    if against:
        return verify_snapshot(snapshot, coverage, against, rules=rules, pending=pending, executor=executor)
    progress = ExtractProgress(read_manifest(snapshot).rows_by_service)
    with open_api(settings) as api, screen.progress(progress):
        done = verify_snapshot(
            snapshot, coverage, api, rules=rules, pending=pending, progress=progress, executor=executor
        )
        warn(screen, doubt_of_account(api), doubt_of_clock(api))
        return done
