"""chat-migrate load, and rollback, which undoes what it wrote."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.applying import ApplyOptions, alone, apply_options, carry_out, refuse_by_findings
from migrate.cli.commands.reporting import ground_now, overtaken, refusals_now, write_report
from migrate.cli.commands.warnings import warn_of_clock
from migrate.cli.console import Screen
from migrate.cli.options import FormatFile, ServiceSid, api_options, common_options, same_command
from migrate.cli.paths import InFile, InFolder, OutFile
from migrate.load.limits import OF_A_ROLLBACK, refuse_beyond
from migrate.load.proposals import INFERRED, with_proposals
from migrate.model.errors import MigrateError, RefusedError
from migrate.model.plan import JOURNAL, ROLLBACK

if TYPE_CHECKING:
    from migrate.model.plan import Plan
    from migrate.report.wording import Refusals
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings

CHANGES_PENDING = 3
# What a saved plan makes superfluous.
NOT_AGAIN = ("mapped", "plan_file", "plan_out", "services", "only_credentials", "reports", "record")
# What belongs to a look, and to the journal of another plan.
NOT_TO_GO_ON = (*NOT_AGAIN, "apply", "journal", "detailed_exitcode", "replay", "as_json")


@click.command()
@click.argument("mapped", type=InFolder(), required=False)
@click.option(
    "--plan", "plan_file", type=InFile(exists=True, journal=JOURNAL), metavar="FILE",
    help="A saved plan, instead of a mapped folder.",
)  # fmt: skip
@click.option("--service", "services", type=ServiceSid(), multiple=True, help="Only this service. Repeatable.")
@click.option("--only-credentials", is_flag=True, help="Only the credentials in push-config.yaml.")
@click.option("--plan-out", type=OutFile(), metavar="FILE", help="Save the plan.")
@click.option(
    "--report", "reports", type=FormatFile("a report", ".html", ".md", ".json"), multiple=True, metavar="FILE",
    help="Write a report: .html, .md or .json. Repeatable.",
)  # fmt: skip
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 if there is something to change.")
@apply_options(also={INFERRED: "write what is only proposed, too"})
@api_options
@common_options
def load(
    mapped: Path | None,
    plan_file: Path | None,
    services: tuple[str, ...],
    only_credentials: bool,
    plan_out: Path | None,
    reports: tuple[Path, ...],
    detailed_exitcode: bool,
    applying: ApplyOptions,
    settings: ApiSettings,
    screen: Screen,
) -> None:
    """Show what would change in Conversations, and change it with --apply.

    Without --apply it only reads. With it, every write is journalled first and read back afterwards; what somebody
    else has changed since the plan was made is left alone. After an interruption, `load --plan FILE --apply` goes
    on, with the file that the last line names.

    What is only inferred is proposed, and not written until push-config.yaml or a rule says so; --force inferred
    writes it as well.

    \b
    Example:
      chat-migrate load mapped --plan-out plan.json --report report.html
      chat-migrate load --plan plan.json --apply
    """
    from migrate.load.plan_file import journal_of, plan_beside, save_plan, stale_objects
    from migrate.twilio_api.connect import open_api

    _check_usage(mapped, plan_file, services, only_credentials=only_credentials)
    with open_api(settings) as api, alone(api, screen, applying):
        plan = as_made = _plan(api, mapped, plan_file, services, only_credentials=only_credentials)
        if INFERRED in applying.lifted:
            plan = with_proposals(as_made)
        refused = _unfinished_beside(mapped, plan_out, plan, applying) if mapped else []
        file = plan_file or plan_out or plan_beside((mapped or Path()).resolve().parent, plan)
        if plan_file and plan is not as_made:
            # Another plan than the file has: it gets a file and a journal of its own.
            file = plan_out or plan_file.with_suffix(f".{INFERRED}.json")
        journal = applying.journal or journal_of(file)
        stale = stale_objects(api, plan, journal) if plan_file and not applying.apply else []
        ground = ground_now(api, plan, applying.max_services)
        warn_of_clock(api, screen)
        refused += overtaken(plan, plan.plan_id, stale, journal)
        refused += refusals_now(settings, ground, applying.lifted)
        _name_the_other_journals(plan, file, journal, screen)
        for path in (*reports, *([plan_out] if plan_out else [])):
            suffix = ".json" if path == plan_out else path.suffix
            write_report(plan, path, suffix, refused, dry_run=not (applying.apply and plan.objects))
        if not applying.apply or not plan.objects:
            written = [*reports, *([plan_out] if plan_out else [])]
            where = f"see {written[0]}" if written else "use --report FILE, or --json"
            _show(plan, stale, refused, where, screen)
            if applying.apply:  # nothing can be written, and what blocks it is to be known all the same
                refuse_by_findings(ground, applying)
            if detailed_exitcode and plan.objects:
                sys.exit(CHANGES_PENDING)
            return
        if plan_file is None or (file != plan_file and not journal.exists()):
            save_plan(plan, file)
        again = same_command("--plan", str(file), without=NOT_AGAIN)
        carry_out(api, plan, applying, screen, journal=journal, where=f"see {file}", again=again)


def _check_usage(
    mapped: Path | None, plan_file: Path | None, services: Sequence[str], *, only_credentials: bool
) -> None:
    """Raise `click.UsageError` for options that do not go together."""
    if (mapped is None) == (plan_file is None):
        raise click.UsageError("Name either a mapped folder or --plan FILE")
    if plan_file and (services or only_credentials):
        raise click.UsageError("A plan is narrowed when it is made; --plan FILE is made already")
    if services and only_credentials:
        raise click.UsageError("--service and --only-credentials exclude each other")


def _plan(
    api: TwilioApi, mapped: Path | None, plan_file: Path | None, services: Sequence[str], *, only_credentials: bool
) -> Plan:
    from migrate.load.plan_file import read_plan
    from migrate.load.planning import make_plan

    if plan_file:
        return read_plan(plan_file)
    return make_plan(api, mapped or Path(), services, only_credentials=only_credentials)


def _unfinished_beside(
    mapped: Path, plan_out: Path | None, plan: Plan, applying: ApplyOptions
) -> list[tuple[str, str]]:
    """What a dry run that saves no plan tells of journals beside it; otherwise that error is raised."""
    from migrate.load.plan_file import refuse_beside_unfinished

    def going_on(file: Path) -> str:
        return same_command("--plan", str(file), "--apply", without=NOT_TO_GO_ON)

    try:
        refuse_beside_unfinished(plan_out or mapped.resolve().parent, plan, going_on)
    except MigrateError as error:
        if applying.apply or plan_out:
            raise
        return [("unfinished" if isinstance(error, RefusedError) else "no-journal", f"{error.what}. {error.remedy}")]
    return []


def _name_the_other_journals(plan: Plan, file: Path, journal: Path, screen: Screen) -> None:
    """Say whose writes a rollback of this plan would not undo."""
    from migrate.load.plan_file import partly_applied
    from migrate.report.limit import listed

    if plan.objects and (others := partly_applied(file.resolve().parent, journal)):
        named = listed([str(other) for other in others])
        screen.say(f"Another plan was applied in part: {named}. To undo all, roll back that journal and {journal}")


def _show(plan: Plan, stale: Sequence[str], refused: Refusals, where: str, screen: Screen) -> None:
    """Show a plan that is not applied. Raises `StaleError` if somebody has changed the target since it was made."""
    from migrate.model.errors import StaleError
    from migrate.report.text import plan_view
    from migrate.report.wording import count

    screen.result(plan.to_json(), lambda: plan_view(plan, where=where, refusals=refused))
    if stale:
        raise StaleError(
            f"Somebody changed {len(stale):,} of {count(len(plan.objects), 'object')} since it was planned: "
            f"{stale[0]}",
            remedy="Make it anew with: chat-migrate load MAPPED --plan-out FILE",
        )


@click.command()
@click.argument("journal_file", metavar="JOURNAL", type=InFile(exists=True, journal=ROLLBACK))
@apply_options(OF_A_ROLLBACK)
@api_options
@common_options
def rollback(journal_file: Path, applying: ApplyOptions, settings: ApiSettings, screen: Screen) -> None:
    """Undo what a journal says was written, where nobody has changed it since.

    Without --apply it only shows what it would do. A rollback is journalled in turn.

    \b
    Example:
      chat-migrate rollback plan.journal.jsonl
      chat-migrate rollback plan.journal.jsonl --apply
    """
    from migrate.load.journal import written_journal
    from migrate.load.rollback import plan_rollback
    from migrate.twilio_api.connect import open_api
    from migrate.twilio_api.login import is_one_account

    with open_api(settings) as api, alone(api, screen, applying):
        undone = written_journal(journal_file)
        if not is_one_account(api.account_sid, undone.account_sid):
            raise RefusedError(
                f"{journal_file} is of account {undone.account_sid}, and the credentials are for {api.account_sid}",
                remedy="Use the credentials of that account",
            )
        plan = plan_rollback(api, undone)
        plan_id = f"rollback of {undone.plan_id}"  # what is left to undo gets less, and stays one rollback
        journal = applying.journal or journal_file.with_suffix(ROLLBACK)
        if not applying.apply or not plan.changes:
            ground = ground_now(api, plan, applying.max_services)
            if applying.apply:  # that nothing is to be undone says nothing, where another server was asked
                refuse_beyond(ground, applying.lifted, OF_A_ROLLBACK)
            refused = overtaken(plan, plan_id, (), journal)
            refused += refusals_now(settings, ground, applying.lifted, OF_A_ROLLBACK)
            _show(plan, (), refused, "use --json", screen)
            return
        carry_out(
            api,
            plan,
            applying,
            screen,
            journal=journal,
            where="use --json without --apply",
            again=same_command(without=("record",)),
            renew=f"Look at what is left with: chat-migrate rollback {quote(str(journal_file))}",
            plan_id=plan_id,
            limits=OF_A_ROLLBACK,
        )
