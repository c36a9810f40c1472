"""chat-migrate rollback, which undoes what load wrote."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.applying import APPLYING, ApplyOptions, PlanTerms, apply_options, show_applied, terms_of
from migrate.cli.commands.reporting import overtaken, show_plan
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import api_options, common_options
from migrate.cli.paths import InFile, or_fleet
from migrate.cli.spelling import command_of, same_command, spelled
from migrate.load.limits import OF_A_ROLLBACK
from migrate.model.errors import Step
from migrate.model.plan import ROLLBACK

if TYPE_CHECKING:
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings


@click.command(cls=Command)
@click.argument("journal_file", metavar="JOURNAL", type=or_fleet(InFile("journal", exists=True, journal=ROLLBACK)))
@fleet_options("journal_file", *APPLYING, writes=True)
@apply_options(OF_A_ROLLBACK)
@api_options
@common_options
def rollback(
    journal_file: Path, applying: ApplyOptions, settings: ApiSettings, screen: Screen, fleet: FleetAsked | None
) -> None:
    """Undo what a journal says was written, where it has not been changed since.

    Without --apply it only shows what it would do. A rollback is journalled in turn.

    \b
    Example:
      chat-migrate rollback plan.journal.jsonl
      chat-migrate rollback plan.journal.jsonl --apply
    """
    if fleet:
        from migrate.cli.commands.fleet_applying import rollback_fleet

        rollback_fleet(fleet, journal_file, applying, settings, screen)
        return
    from migrate.load.rollback import undo_of
    from migrate.load.writing import only_writer
    from migrate.twilio_api.connect import open_api

    with open_api(settings) as api, only_writer(api, screen.say) if applying.apply else nullcontext():
        journal = applying.journal or undo_of(journal_file)
        with spelled(rollback=lambda step: command_of(step, *api.options)):
            if applying.apply:
                _undo(api, journal_file, journal, applying, screen)
            else:
                _look_at_undo(api, journal_file, journal, applying, screen, recorded=bool(settings.replay))


def _undo(api: TwilioApi, journal_file: Path, journal: Path, applying: ApplyOptions, screen: Screen) -> None:
    from migrate.load.rollback import rollback_plan

    terms = terms_of(
        api, applying, screen, PlanTerms("look without --apply first", heading="To be undone", explain=True)
    )
    done = show_applied(
        lambda: rollback_plan(api, journal_file, undo=journal, **terms),
        screen,
        lambda plan: show_plan(plan, (), "use --json", screen, "Nothing is left to undo"),
    )
    if done.plan.objects:
        screen.next(
            "before you load again, make a new plan:",
            command_of(Step("load", {"mapped": "MAPPED", "plan_out": "FILE"}), *api.options),
        )


def _look_at_undo(
    api: TwilioApi, journal_file: Path, journal: Path, applying: ApplyOptions, screen: Screen, *, recorded: bool
) -> None:
    from migrate.load.preview import ground_now, refusals_now
    from migrate.load.rollback import journal_to_undo, plan_rollback, rollback_id

    undone = journal_to_undo(api, journal_file)
    plan = plan_rollback(api, undone)
    refused = overtaken(plan, rollback_id(undone), (), journal)
    ground = ground_now(api, plan, applying.max_services)
    refused += refusals_now(ground, applying.lifted, OF_A_ROLLBACK, recorded=recorded)
    show_plan(plan, refused, "use --json", screen, "Dry run")
    if plan.objects and not refused:
        screen.next("apply it:", same_command("--apply", without=("record", "replay", "as_json")))
