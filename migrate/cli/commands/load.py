"""chat-migrate load."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.applying import APPLYING, ApplyOptions, PlanTerms, apply_options, show_applied, terms_of
from migrate.cli.commands.planned import (
    NOT_AGAIN,
    Given,
    PlanFile,
    name_the_other_journals,
    refuse_beside,
    unfinished_beside,
)
from migrate.cli.commands.reporting import overtaken, show_plan
from migrate.cli.commands.warnings import warn
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import FormatFile, ServiceSid, api_options, common_options, overwrite_option
from migrate.cli.paths import InFile, InMapped, OutFile, or_fleet
from migrate.cli.spelling import command_of, same_command, spelled
from migrate.load.limits import NOTHING_WRITTEN
from migrate.load.proposals import INFERRED
from migrate.model.errors import StaleError, Step
from migrate.model.plan import JOURNAL

if TYPE_CHECKING:
    from migrate.model.plan import Plan
    from migrate.report.wording import Refusals
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings

CHANGES_PENDING = 3
NOT_TO_APPLY = (*NOT_AGAIN, "apply", "detailed_exitcode", "as_json")
NOT_TO_PLAN = ("plan_out", "reports", "record", "detailed_exitcode", "as_json")


@click.command(cls=Command)
@click.argument("mapped", type=or_fleet(InMapped()), required=False)
@click.option(
    "--plan", "plan_file", type=InFile("plan", exists=True, journal=JOURNAL), metavar="FILE",
    help="A saved plan, instead of a mapped folder.",
)  # fmt: skip
@click.option("--service", "services", type=ServiceSid(), multiple=True, help="Only this service. Repeatable.")
@click.option("--only-credentials", is_flag=True, help="Only the credentials in push-config.yaml.")
@click.option("--plan-out", type=OutFile("plan"), metavar="FILE", help="Save the plan.")
@click.option(
    "--report", "reports", type=FormatFile("a report", ".html", ".md", ".json", takes=("plan",)), multiple=True,
    metavar="FILE", help="Write a report: .html, .md or .json. Repeatable.",
)  # fmt: skip
@overwrite_option("a report")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 if there is something to change.")
@fleet_options("mapped", "detailed_exitcode", *APPLYING, writes=True, needs="mapped")
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
    fleet: FleetAsked | None,
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
    if fleet:
        from migrate.cli.commands.fleet_applying import load_fleet

        done = load_fleet(fleet, mapped or Path(), applying, settings, screen)
        sys.exit(done if detailed_exitcode else 0)
    from migrate.load.proposals import with_proposals
    from migrate.load.writing import only_writer
    from migrate.twilio_api.connect import open_api

    given = Given(mapped, plan_file, services, only_credentials, plan_out, reports)
    given.check()
    with open_api(settings) as api, only_writer(api, screen.say) if applying.apply else nullcontext():
        as_made = given.plan(api)
        plan = with_proposals(as_made) if INFERRED in applying.lifted else as_made
        kept = PlanFile.of(given, plan, applying, is_other=plan is not as_made)
        with spelled(load=partial(_load_command, api, mapped), rollback=lambda step: command_of(step, *api.options)):
            if applying.apply and plan.objects:
                inferred = len(as_made.proposals) - len(plan.proposals)
                _apply(api, plan, given, kept, applying, screen, inferred=inferred)
            else:
                _look(api, plan, given, kept, applying, screen, recorded=bool(settings.replay))
    if detailed_exitcode and plan.objects and not applying.apply and not kept.is_done(plan):
        sys.exit(CHANGES_PENDING)


def _load_command(api: TwilioApi, mapped: Path | None, step: Step) -> str:
    """How a step of this command is spelt: the folder that was given in the place of one that is not known."""
    known = {"mapped": mapped} if mapped and "mapped" in step.arguments else {}
    return command_of(Step(step.stage, {**step.arguments, **known}), *api.options)


def _apply(
    api: TwilioApi,
    plan: Plan,
    given: Given,
    kept: PlanFile,
    applying: ApplyOptions,
    screen: Screen,
    *,
    inferred: int,
) -> None:
    """Apply a plan, with the files that are asked for."""
    from migrate.load.apply import apply_plan
    from migrate.load.edited import snapshot_beside
    from migrate.load.preview import ground_now, refusals_now
    from migrate.map.mapped_folder import snapshot_of
    from migrate.model.text import count

    if given.mapped:
        refuse_beside(api, given.mapped, given.plan_out, plan)
    kept.refuse_done(plan)
    given.refuse_edited(plan, kept.journal)
    name_the_other_journals(plan, kept, screen)
    refusals = refusals_now(ground_now(api, plan, applying.max_services), applying.lifted) if given.written else []
    reports = given.write(plan, refusals, dry_run=False)
    where = f"see {given.reports[0] if given.reports else kept.path}"
    if not (given.reports or kept.is_there):
        where = "look without --apply first"
    also = ((INFERRED, f"{count(inferred, 'setting')} that Chat does not state"),) if inferred else ()
    terms = terms_of(api, applying, screen, PlanTerms(where, lifted=also, agreed=kept.keep))
    snapshot = snapshot_of(given.mapped) if given.mapped else snapshot_beside(plan, kept.path)
    resume = same_command("--plan", str(kept.path), without=NOT_AGAIN)
    with spelled(lambda: resume if kept.is_there else ""):
        try:
            show_applied(lambda: apply_plan(api, plan, kept.journal, **terms), screen)
        except BaseException:
            if kept.drop_unless_begun() and not refusals:  # or they would be in the way of the same command
                for path in reports:
                    path.unlink(missing_ok=True)
            raise
    if snapshot:  # which a plan does not name
        screen.next(
            "ring a test phone of each platform; then see who has registered:",
            command_of(Step("verify", {"snapshot": snapshot}), *api.options),
        )


def _look(
    api: TwilioApi,
    plan: Plan,
    given: Given,
    kept: PlanFile,
    applying: ApplyOptions,
    screen: Screen,
    *,
    recorded: bool,
) -> None:
    """Show a plan, and what an apply would end with; with --apply, one that has nothing to write."""
    from migrate.load.plan_file import stale_objects
    from migrate.load.preview import ground_now, refusals_now
    from migrate.twilio_api.doubts import doubt_of_clock

    refused = unfinished_beside(api, given.mapped, given.plan_out, plan, applying) if given.mapped else []
    stale = stale_objects(api, plan, kept.journal) if given.plan_file and not applying.apply else []
    ground = ground_now(api, plan, applying.max_services)
    warn(screen, doubt_of_clock(api))
    refused += overtaken(plan, plan.plan_id, stale, kept.journal)
    if is_done := bool(plan.objects) and kept.is_done(plan):  # what limits say of it is of no use
        screen.say(f"This plan was applied already: {kept.journal}")
    else:
        refused += refusals_now(ground, applying.lifted, recorded=recorded)
    name_the_other_journals(plan, kept, screen)
    given.write(plan, refused, dry_run=True)
    where = f"see {given.written[0]}" if given.written else "use --report FILE, or --json"
    show_plan(plan, refused, where, screen, "Nothing to apply" if applying.apply else "Dry run")
    if stale:
        raise _stale(plan, kept, stale)
    given.refuse_edited(plan, kept.journal)
    if applying.apply:  # what blocks it is to be known all the same
        from migrate.load.apply import apply_plan

        apply_plan(api, plan, kept.journal, force=applying.lifted)
    if not is_done:
        _say_next(api, plan, given, kept, refused, screen)


def _say_next(api: TwilioApi, plan: Plan, given: Given, kept: PlanFile, refused: Refusals, screen: Screen) -> None:
    """Say what comes after a look at a plan."""
    from migrate.load.plan_file import free_plan
    from migrate.map.mapped_folder import snapshot_of

    config = given.mapped / "push-config.yaml" if given.mapped else Path("push-config.yaml")
    ours = ("record", "detailed_exitcode", "as_json", "apply", "yes")
    again = same_command(without=(*ours, "journal") if given.mapped else ours)
    if plan.objects and refused:
        screen.next("decide what blocks it, then look again:", again)
    elif plan.objects and kept.is_there:
        apply = same_command("--plan", str(kept.path), "--apply", without=NOT_TO_APPLY)
        screen.next("read it, then apply it:", apply)
    elif plan.objects:
        plan_out = free_plan(Path("plan.json"))
        screen.next(
            "save the plan that is to be applied, with a report to read:",
            same_command(
                "--plan-out", str(plan_out), "--report", str(plan_out.with_suffix(".html")), without=NOT_TO_PLAN
            ),
        )
    elif plan.proposals or any(found.severity == "blocker" for found in plan.findings):
        screen.next(f"decide what waits (edit {config}), then look again:", again)
    elif given.mapped:
        screen.next(
            "see who has registered with Conversations:",
            command_of(Step("verify", {"snapshot": snapshot_of(given.mapped)}), *api.options),
        )


def _stale(plan: Plan, kept: PlanFile, stale: Sequence[str]) -> StaleError:
    """The error for a saved plan after which somebody has changed the target."""
    from migrate.load.plan_file import free_plan
    from migrate.model.text import count, listed

    return StaleError(
        f"Somebody changed {len(stale):,} of {count(len(plan.objects), 'object')} since it was planned: "
        f"{listed(stale)}",
        kept=NOTHING_WRITTEN,
        remedy=("Make a new plan with: ", Step("load", {"mapped": "MAPPED", "plan_out": free_plan(kept.path)})),
    )
