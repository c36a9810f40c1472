"""chat-migrate retire."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.commands.applying import ask
from migrate.interrupts import resumable
from migrate.load.limits import refuse, too_old
from migrate.model.errors import MigrateError, PartlyAppliedError
from migrate.model.retirement import JOURNAL, Retired
from migrate.options import FILE, FOLDER, ServiceSid, api_options, common_options, rules_option, same_command
from migrate.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.map.rules import Rules
    from migrate.retirement import Prepared
    from migrate.twilio_api.api import ApiSettings, TwilioApi

MIN_READY = 90.0
MOST_BINDINGS = 1_000
LIMITS = ("pushes-off", "few-ready", "many-bindings", "old-snapshot")


@click.command()
@click.argument("snapshot", type=FOLDER)
@click.option("--service", "services", type=ServiceSid(), multiple=True, help="Only this service. Repeatable.")
@click.option(
    "--also-by-platform", is_flag=True,
    help="Also bindings whose user came back with another device: which one it replaces is a guess.",
)  # fmt: skip
@click.option(
    "--coverage", type=FOLDER, default="coverage", show_default=True, metavar="DIR",
    help="The folder of `verify`, which gets the numbers of this run, too.",
)  # fmt: skip
@click.option("--apply", is_flag=True, help="Delete them. Without this nothing is ever deleted.")
@click.option("--yes", is_flag=True, help="Do not ask before they are deleted.")
@click.option("--journal", type=FILE, metavar="FILE", help="The journal of what is deleted.")
@click.option(
    "--force", "lifted", type=click.Choice(LIMITS), multiple=True, metavar="LIMIT",
    help=f"Lift this limit: {', '.join(LIMITS)}. Repeatable.",
)  # fmt: skip
@click.option(
    "--min-ready", type=click.FloatRange(0, 100), default=MIN_READY, show_default=True, metavar="PERCENT",
    help="The least of a service's bindings that must be ready.",
)  # fmt: skip
@click.option(
    "--max-bindings", type=click.IntRange(1), default=MOST_BINDINGS, show_default=True, metavar="N",
    help="The most bindings that may be deleted.",
)  # fmt: skip
@rules_option
@api_options
@common_options
def retire(
    snapshot: Path,
    services: tuple[str, ...],
    also_by_platform: bool,
    coverage: Path,
    apply: bool,
    yes: bool,
    journal: Path | None,
    lifted: tuple[str, ...],
    min_ready: float,
    max_bindings: int,
    rules: Rules,
    settings: ApiSettings,
    screen: Screen,
) -> None:
    """Delete Chat's bindings of devices that are ready in Conversations, so that nobody is pushed twice.

    It cannot be undone: no API makes bindings. Without --apply it only shows what it would delete. Each binding is
    compared with the snapshot just before; one that Conversations lists too is never deleted, for it may be the same
    object there. The same command goes on after an interruption.

    \b
    Example:
      chat-migrate retire snapshot
      chat-migrate retire snapshot --apply
    """
    from migrate.extract.meter import Meter
    from migrate.retirement import Choice, prepared
    from migrate.snapshot.manifest import read_manifest
    from migrate.twilio_api.api import open_api

    if apply and settings.replay:
        raise click.UsageError("--apply and --replay exclude each other: a recording cannot be written to")
    journal = journal or snapshot.resolve().with_name(snapshot.resolve().name + JOURNAL)
    choice, meter = Choice(services, also_by_platform), Meter(read_manifest(snapshot).rows_by_service)
    with open_api(settings) as api, ExitStack() as stack:
        with screen.progress(meter):
            found = stack.enter_context(
                prepared(api, snapshot, coverage, journal, choice, rules=rules, meter=meter, command=same_command())
            )
        _show(found, snapshot, screen, is_dry=not apply)
        if apply:
            refuse(_violations(found, api, min_ready, max_bindings), lifted)
            retired = _delete(api, found, screen, yes=yes) if found.retirement.deletions else Retired()
            _tell(found, retired, screen)


def _show(found: Prepared, snapshot: Path, screen: Screen, *, is_dry: bool) -> None:
    from migrate.load.pace import WRITES_PER_SECOND
    from migrate.report.retirement import retirement_view

    files = [("Coverage", str(found.coverage_file)), ("Journal", str(found.journal.path))]
    seconds = found.retirement.deletions / WRITES_PER_SECOND
    view = partial(retirement_view, found.retirement, str(snapshot), seconds, files, dry_run=is_dry)
    if is_dry:
        screen.result(found.to_json(), view)
    elif not screen.json:
        screen.show(view())


def _violations(found: Prepared, api: TwilioApi, min_ready: float, most: int) -> Iterator[tuple[str, str]]:
    """Every limit that does not hold: its name, and what is wrong, with the remedy."""
    off = found.pushes_off(api)
    if off:
        sid, pushes = next(iter(off.items()))
        more = f" and of {len(off) - 1:,} more services" if len(off) > 1 else ""
        yield (
            "pushes-off",
            (f"Conversations does not push {', '.join(pushes)} of {sid}{more}, as Chat does; load first"),
        )
    few = [one for one in found.retirement.services if one.deletions and not one.coverage.reaches(min_ready)]
    if few:
        listed = ", ".join(f"{one.service_sid} ({one.coverage.percent:.1f} %)" for one in few[:5])
        more = f" and {len(few) - 5:,} more" if len(few) > 5 else ""
        yield (
            "few-ready",
            (
                f"less than {min_ready:g} % of the bindings are ready of {listed}{more}; wait for them, name the "
                "other services with --service, or lower --min-ready"
            ),
        )
    if found.retirement.deletions > most:
        number = found.retirement.deletions
        yield "many-bindings", f"it deletes {number:,} bindings, more than {most:,}; raise --max-bindings"
    as_of = datetime.fromisoformat(found.retirement.snapshot_as_of)
    if problem := too_old(as_of, api.server_time or datetime.now(UTC)):
        yield "old-snapshot", f"{problem}; extract anew, and retire by that"


def _delete(api: TwilioApi, found: Prepared, screen: Screen, *, yes: bool) -> Retired:
    from migrate.load.exclusion import only_loader
    from migrate.load.retire import Retirer
    from migrate.load.retire_journal import held_retire_journal

    journal = found.journal
    with only_loader(Path(click.get_app_dir("chat-migrate")), api.account_sid) as said:
        if said:
            screen.say(said)
        if not yes:
            ask(found.retirement.deletions, "bindings that are to be deleted for good")
        api.rested()
        kept, remedy = f"What was deleted is in {journal.path}", f"Go on with: {same_command()}"

        def what_is_done() -> str:
            return f"Interrupted: {len(journal.deleted):,} bindings are deleted"

        with held_retire_journal(journal):
            try:
                with resumable(what=what_is_done, kept=lambda: kept, remedy=remedy):
                    return Retirer(api, journal).run(found.rows())
            except OSError as error:
                what = f"The journal cannot be written: {(error.strerror or str(error)).lower()}"
                raise MigrateError(what, kept=kept, remedy=f"Make space. {remedy}") from error


def _tell(found: Prepared, retired: Retired, screen: Screen) -> None:
    """Tell what became of the bindings. Raises the error that says what is left to do, if anything is."""
    from migrate.report.retirement import retired_view

    journal = str(found.journal.path)
    screen.result({**found.to_json(), "retired": retired.to_json()}, lambda: retired_view(retired, journal))
    failed = retired.fates["failed"]
    if failed:
        kind = PartlyAppliedError if retired.fates["deleted"] else MigrateError
        raise kind(
            f"{failed:,} of {found.retirement.deletions:,} bindings could not be deleted",
            kept=f"What was deleted is in {journal}",
            remedy=f"Go on with: {same_command()}",
        )
