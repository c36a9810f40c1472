"""load and rollback for a fleet: a look at every account, one question, and the writes of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.cli.commands.applying import ApplyOptions, agreed_on
from migrate.cli.commands.fleet_reading import report_of_account
from migrate.cli.commands.fleet_shared import Display, ended, finish, live, write_reports
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked
from migrate.model.errors import Step

if TYPE_CHECKING:
    from migrate.fleet.applying import Planned
    from migrate.fleet.outcome import FleetResult
    from migrate.twilio_api.connect import ApiSettings

CHANGES_PENDING = 3


def load_fleet(asked: FleetAsked, folder: Path, applying: ApplyOptions, settings: ApiSettings, screen: Screen) -> int:
    """Plan each account, or apply the plans that are saved. Gives the exit code for --detailed-exitcode."""
    limits: dict[str, Any] = {"force": applying.lifted, "max_services": applying.max_services}
    with live(asked, folder, settings, screen, writes=applying.apply) as (fleet, display, said):
        if applying.apply:
            terms = _terms(asked, applying, settings, screen, display, "To be applied")
            done = ended(lambda: fleet.apply(**limits, **terms, say=said.say))
        else:
            done = ended(lambda: fleet.plan(**limits, on_plan=report_of_account))
        page = write_reports(done[0], folder)
    if applying.apply:
        finish(done, screen, f"see {page}", "see who has registered:", Step("verify", {"snapshot": folder}))
        return 0
    changes = any(account.exit_code == CHANGES_PENDING for account in done[0].accounts)
    wave = Step("load", {"mapped": folder, "only": asked.only or "5%", "apply": True})
    finish(done, screen, f"see {page}", f"read {page}, then apply it to a first wave:", wave if changes else None)
    return CHANGES_PENDING if changes else 0


def rollback_fleet(
    asked: FleetAsked, folder: Path, applying: ApplyOptions, settings: ApiSettings, screen: Screen
) -> None:
    """Undo each account's journal, or show what that would do."""
    limits: dict[str, Any] = {"force": applying.lifted, "max_services": applying.max_services}
    with live(asked, folder, settings, screen, writes=applying.apply) as (fleet, display, said):
        if applying.apply:
            terms = _terms(asked, applying, settings, screen, display, "To be undone")
            done = ended(lambda: fleet.rollback(**limits, **terms, say=said.say))
        else:
            done = ended(lambda: fleet.rollback_look(**limits))
        page = write_reports(done[0], folder)
    if applying.apply:
        again = Step("load", {"mapped": folder})
        finish(done, screen, f"see {page}", "before you load again, make new plans:", again)
        return
    is_there = any(account.exit_code == CHANGES_PENDING for account in done[0].accounts)
    undo = Step("rollback", {"journal": folder, "only": asked.only, "apply": True})
    finish(done, screen, f"see {page}", "apply it:", undo if is_there else None)


def _terms(
    asked: FleetAsked,
    applying: ApplyOptions,
    settings: ApiSettings,
    screen: Screen,
    display: Display,
    heading: str,
) -> dict[str, Any]:
    """How the accounts are asked for: all in one question, or each in turn."""

    looked: list[FleetResult] = []

    def confirm(planned: Sequence[Planned]) -> bool:
        from migrate.report.fleet_decision import fleet_decision

        services = sum(len(one.plan.objects) for one in planned)
        hosts = [("Conversations", settings.conversations_url)]
        left_alone = looked.pop() if looked else None  # which is shown once, also where each account is asked for
        with display.paused():
            return agreed_on(
                lambda: fleet_decision(planned, hosts, "look without --apply first", heading, left_alone),
                screen,
                (len(planned), services),
                "accounts and of services that are to be changed",
                yes=applying.yes,
            )

    return {"confirm": confirm, "one_by_one": asked.one_by_one, "on_look": looked.append}
