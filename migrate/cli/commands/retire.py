"""chat-migrate retire."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.applying import ask, refuse_nothing
from migrate.cli.commands.warnings import warn_of_addresses, warn_of_clock
from migrate.cli.console import Screen
from migrate.cli.options import ServiceSid, api_options, common_options, rules_option, same_command
from migrate.cli.paths import InSnapshot, OutFile, OutFolder
from migrate.load.limits import refuse, too_old
from migrate.model.clock import REMEDY
from migrate.model.errors import MigrateError, OtherAccountError, PartlyAppliedError, RefusedError
from migrate.retire.retirement import JOURNAL, Retired, Retirement
from migrate.runtime.interrupts import resumable
from migrate.verify.coverage import total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.map.rules import Rules
    from migrate.retire.selection import Prepared
    from migrate.snapshot.manifest import Manifest
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings

MIN_READY = 90.0
MOST_BINDINGS = 1_000
# What may be lifted. None of it stands between what is not shown and a delete: that is the rule's alone. At Twilio's
# own address `other-address` is not lifted either.
LIMITS = ("other-address", "few-ready", "many-bindings", "old-snapshot")


@click.command()
@click.argument("snapshot", type=InSnapshot())
@click.option("--service", "services", type=ServiceSid(), multiple=True, help="Only this service. Repeatable.")
@click.option(
    "--coverage", type=OutFolder(grows=True), default="coverage", show_default=True, metavar="DIR",
    help="The folder of `verify`; with --apply it gets the numbers of this run, too.",
)  # fmt: skip
@click.option("--apply", is_flag=True, help="Delete them. Without this nothing is ever deleted.")
@click.option("--yes", is_flag=True, help="Do not ask before they are deleted.")
@click.option("--journal", type=OutFile(journal=True), metavar="FILE", help="The journal of what is deleted.")
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
    coverage: Path,
    apply: bool,
    yes: bool,
    journal: Path | None,
    lifted: tuple[str, ...],
    min_ready: float,
    max_bindings: int,
    rules: Rules | None,
    settings: ApiSettings,
    screen: Screen,
) -> None:
    """Delete Chat's bindings of devices that are ready in Conversations, so that no phone is pushed twice.

    It cannot be undone: no API makes bindings. Without --apply it only shows what it would delete. A binding is
    deleted only where everything that it gives its device is shown to be given by the device's registration in
    Conversations, just before the delete; what is unknown counts as needed, and no --force lifts that. The same
    command resumes after an interruption.

    \b
    Example:
      chat-migrate retire snapshot
      chat-migrate retire snapshot --apply
    """
    from migrate.extract.progress import ExtractProgress
    from migrate.retire.selection import prepared
    from migrate.snapshot.manifest import read_manifest
    from migrate.twilio_api.connect import open_api

    if apply and settings.replay:
        raise click.UsageError("--apply and --replay exclude each other: a recording cannot be written to")
    journal = journal or snapshot.resolve().with_name(snapshot.resolve().name + JOURNAL)
    manifest = read_manifest(snapshot)
    progress = ExtractProgress(manifest.rows_by_service)
    with open_api(settings) as api, ExitStack() as stack:
        if apply:
            api.addresses.refuse_mixture()
            refuse(_elsewhere(manifest, api), lifted, _firm(api))
        with screen.progress(progress):
            found = stack.enter_context(
                prepared(api, snapshot, coverage, journal, services, rules=rules, progress=progress, command=_again())
            )
        warn_of_clock(api, screen)
        _show(found, snapshot, screen, is_dry=not apply)
        chosen = total(service.coverage for service in found.retirement.services)
        refuse_nothing(chosen, kept="Nothing was deleted", services=services)
        if apply:
            _refuse_where_pushes_are_off(found.retirement)
            violated = [*_unproven(api), *_untimed(api), *_violations(found, api, min_ready, max_bindings)]
            refuse(violated, lifted, _firm(api))
            kept = found.keep_coverage()
            retired = _delete(api, found, screen, yes=yes) if found.retirement.deletions else Retired()
            _tell(found, kept, retired, screen)


def _again() -> str:
    """The command that resumes; a recording is not repeated, for it is never overwritten."""
    return same_command(without=("record",))


def _show(found: Prepared, snapshot: Path, screen: Screen, *, is_dry: bool) -> None:
    from migrate.load.rate_limit import WRITES_PER_SECOND
    from migrate.report.retirement import retirement_view

    files = [("Journal", str(found.journal.path))] if found.journal.path.exists() or not is_dry else []
    seconds = found.retirement.deletions / WRITES_PER_SECOND
    view = partial(retirement_view, found.retirement, str(snapshot), seconds, files, dry_run=is_dry)
    if is_dry:
        screen.result(found.to_json(), view)
    elif not screen.json:
        screen.show(view())


def _firm(api: TwilioApi) -> tuple[str, ...]:
    """The limits that `--force` does not lift. A rehearsal on this machine may go by any snapshot."""
    from migrate.model.address import is_on_this_machine

    is_rehearsal = all(map(is_on_this_machine, api.places.values()))
    return ("other-account", *([] if is_rehearsal else ["other-address"]))


def _elsewhere(manifest: Manifest, api: TwilioApi) -> Iterator[tuple[str, str]]:
    """Where a snapshot is of another account, or of another server: the limit's name, and what is wrong."""
    from migrate.model.address import is_same_server, other_address, place

    if manifest.account_sid != api.account_sid:
        what = f"the snapshot is of account {manifest.account_sid}, and the credentials are for {api.account_sid}"
        yield "other-account", what
    then, now = manifest.addresses, api.places
    if not then:
        yield "other-address", "the snapshot does not say from which address it was made; extract again"
    elif "chat" not in then and not is_same_server(then["conversations"], now["chat"]):
        what = f"the snapshot was read through Conversations at {place(then['conversations'])}"
        yield "other-address", f"{what}, and this would delete at {place(now['chat'])}"
    elif side := other_address(then, now):
        yield (
            "other-address",
            f"the snapshot was made from {place(then[side])}, and this would go by {place(now[side])}",
        )


def _unproven(api: TwilioApi) -> Iterator[tuple[str, str]]:
    """The limit that does not hold where nothing shows whose account it is."""
    from migrate.twilio_api.proof import prove_account

    if not prove_account(api):
        what = f"no answer says that it is of account {api.account_sid}, and an API key may be another account's"
        yield "other-account", f"{what}; use TWILIO_AUTH_TOKEN"


def _untimed(api: TwilioApi) -> Iterator[tuple[str, str]]:
    """The limit that does not hold where the age of a registration is not known: by no clock, or by an absurd one."""
    if api.clock is None:
        yield "clock", "no answer says what time it is; find out what takes the Date out of Twilio's answers"
    elif api.clock.is_refused:
        yield "clock", f"{api.clock}; {REMEDY[0].lower()}{REMEDY[1:]}"


def _refuse_where_pushes_are_off(retirement: Retirement) -> None:
    """Raise `RefusedError` where nothing is to be deleted because Conversations does not push what Chat does.

    This is not a limit: such bindings are left alone whatever is lifted. The error names what helps. After a run that
    deleted all that could be, the same command has nothing to do, and that is no error.
    """
    off = [service for service in retirement.services if service.off]
    if retirement.deletions or any(service.earlier for service in retirement.services) or not off:
        return
    more = f" and of {len(off) - 1:,} more services" if len(off) > 1 else ""
    raise RefusedError(
        f"Not applied: [pushes-off] Conversations does not push {', '.join(off[0].off)} of "
        f"{off[0].service_sid}{more}, as Chat does or may do",
        kept="Nothing was deleted",
        remedy="Load the push configuration first, and decide its proposals (state them in push-config.yaml, trust "
        "them under [inference] in the rules, or load them with --force inferred): chat-migrate load MAPPED",
    )


def _violations(found: Prepared, api: TwilioApi, min_ready: float, most: int) -> Iterator[tuple[str, str]]:
    """Every limit that does not hold: its name, and what is wrong, with the remedy."""
    from migrate.report.wording import share

    few = [one for one in found.retirement.services if one.deletions and not one.coverage.reaches(min_ready)]
    if few:
        listed = ", ".join(
            f"{one.service_sid} ({share(one.coverage.ready, one.coverage.expected)})" for one in few[:5]
        )
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
    from migrate.load.account_lock import only_loader
    from migrate.retire.delete import Retirer
    from migrate.retire.journal import held_retire_journal

    journal = found.journal
    with only_loader(Path(click.get_app_dir("chat-migrate")), api.account_sid) as said:
        if said:
            screen.say(said)
        warn_of_addresses(api, screen)
        if not yes:
            ask(found.retirement.deletions, "bindings that are to be deleted for good")
        api.reset_budget()
        kept, remedy = f"What was deleted is in {journal.path}", f"Go on with: {_again()}"

        def what_is_done() -> str:
            return f"Interrupted: {len(journal.deleted):,} bindings are deleted"

        with held_retire_journal(journal):
            try:
                with resumable(what=what_is_done, kept=lambda: kept, remedy=remedy):
                    return Retirer(api, journal).run(found.rows())
            except OtherAccountError as error:
                error.kept = kept
                raise
            except OSError as error:
                what = f"The journal cannot be written: {(error.strerror or str(error)).lower()}"
                raise MigrateError(what, kept=kept, remedy=f"Make space. {remedy}") from error


def _tell(found: Prepared, coverage: Path, retired: Retired, screen: Screen) -> None:
    """Tell what became of the bindings. Raises the error that says what is left to do, if anything is."""
    from migrate.report.retirement import retired_view

    journal = str(found.journal.path)
    told = {
        **found.to_json(),
        "coverage_file": str(coverage),
        "rejected_file": None,
        "retired": retired.to_json(),
        "needed_because": dict(sorted(retired.reasons.items())),
    }
    files = [("Coverage", str(coverage)), ("Journal", journal)]
    if rejected := found.rejected_beside(coverage):
        told["rejected_file"] = str(rejected)
        files.append(("Rejected", f"{rejected} (it holds identities: keep it as the snapshot)"))
    screen.result(told, lambda: retired_view(retired, files))
    failed = retired.outcomes["failed"]
    if failed:
        kind = PartlyAppliedError if retired.outcomes["deleted"] else MigrateError
        raise kind(
            f"{failed:,} of {found.retirement.deletions:,} bindings could not be deleted",
            kept=f"What was deleted is in {journal}",
            remedy=f"Go on with: {_again()}",
        )
