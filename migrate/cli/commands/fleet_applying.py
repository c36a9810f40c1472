"""load and rollback for a fleet: a look at every account, one question, and the writes of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.cli.commands.applying import ApplyOptions, agreed_on
from migrate.cli.commands.fleet_reading import report_of_account
from migrate.cli.commands.fleet_shared import CHANGES_PENDING, FleetCommand, ended, live, spell_remedies
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked
from migrate.model.errors import Step

if TYPE_CHECKING:
    from migrate.fleet.applying import Planned
    from migrate.fleet.outcome import FleetResult
    from migrate.twilio_api.connect import ApiSettings


def load_fleet(asked: FleetAsked, folder: Path, applying: ApplyOptions, settings: ApiSettings, screen: Screen) -> int:
    """Plan each account, or apply the plans that are saved. Gives the exit code for --detailed-exitcode."""
    limits: dict[str, Any] = {"force": applying.lifted, "max_services": applying.max_services}
    with live(asked, folder, settings, screen, writes=applying.apply) as command:
        if applying.apply:
            terms = _terms(asked, applying, settings, command, "To be applied")
            done = ended(lambda: command.fleet.apply(**limits, **terms))
            where, step = f"see {folder / 'applied.html'}", Step("verify", {"snapshot": folder})
            command.finish(done, where, "see who has registered:", step, report="applied")
            return 0
        done = ended(lambda: command.fleet.plan(**limits, on_plan=report_of_account))
        page = folder / "report.html"
        changes = done[0].exit_code == CHANGES_PENDING
        is_wave = asked.only or not asked.sids
        wave = {"only": asked.only or "5%"} if is_wave else {}  # who names accounts means these
        what = f"read {page}, then apply it{' to a first wave' if is_wave else ''}:"
        begun = Step("load", {"mapped": folder, **wave, "apply": True}) if changes else None
        command.finish(done, f"see {page}", what, begun, report="report")
    return CHANGES_PENDING if changes else 0


def rollback_fleet(
    asked: FleetAsked, folder: Path, applying: ApplyOptions, settings: ApiSettings, screen: Screen
) -> None:
    """Undo each account's journal, or show what that would do."""
    limits: dict[str, Any] = {"force": applying.lifted, "max_services": applying.max_services}
    with live(asked, folder, settings, screen, writes=applying.apply) as command:
        if applying.apply:
            terms = _terms(asked, applying, settings, command, "To be undone")
            done = ended(lambda: command.fleet.rollback(**limits, **terms))
            where, step = f"see {folder / 'undone.html'}", Step("load", {"mapped": folder})
            command.finish(done, where, "before you load again, make new plans:", step, report="undone")
            return
        done = ended(lambda: command.fleet.rollback_look(**limits))
        undo = Step("rollback", {"journal": folder, "apply": True}) if done[0].exit_code == CHANGES_PENDING else None
        command.finish(done, "use --json", "apply it:", undo)


def _terms(
    asked: FleetAsked,
    applying: ApplyOptions,
    settings: ApiSettings,
    command: FleetCommand,
    heading: str,
) -> dict[str, Any]:
    """How the accounts are asked for: all in one question, or each in turn."""

    looked: list[FleetResult] = []

    def look(found: FleetResult) -> None:
        spell_remedies(found)
        looked.append(found)

    def confirm(planned: Sequence[Planned]) -> bool:
        from migrate.report.fleet_decision import fleet_decision

        services = sum(len(one.plan.objects) for one in planned)
        hosts = [("Conversations", settings.conversations_url)]
        left_alone = looked.pop() if looked else None  # which is shown once, also where each account is asked for
        with command.display.paused():
            return agreed_on(
                lambda: fleet_decision(planned, hosts, "look without --apply first", heading, left_alone),
                command.screen,
                (len(planned), services),
                "accounts and of services that are to be changed",
                yes=applying.yes,
            )

    return {"confirm": confirm, "one_by_one": asked.one_by_one, "on_look": look, "say": command.said.say}
