"""chat-migrate doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import api_options, common_options
from migrate.cli.spelling import API_OPTIONS, command_of, same_options
from migrate.model.errors import AGAIN, MigrateError, Step

if TYPE_CHECKING:
    from migrate.twilio_api.connect import ApiSettings


@click.command(cls=Command)
@fleet_options()
@api_options
@common_options
def doctor(settings: ApiSettings, screen: Screen, fleet: FleetAsked | None) -> None:
    """Check this machine, the credentials, and what Twilio lets them do.

    It reads a page of each list and writes nothing. What fails in a way that may pass is tried again for
    --retry-budget seconds, as by every command, and is then called unknown, not wrong. What it says is safe to paste
    into a ticket: no secret, no name of yours, and of SIDs the first letters; but of two accounts that contradict
    each other both whole SIDs.

    \b
    Example:
      chat-migrate doctor
    """
    if fleet:
        from migrate.cli.commands.fleet_after import doctor_fleet

        doctor_fleet(fleet, settings, screen)
        return
    from migrate.doctor import diagnose
    from migrate.model.diagnosis import unreached, wrong

    checks = list(diagnose(settings, Path.cwd()))
    from migrate.report.diagnosis import diagnosis_view

    screen.result({"checks": [check.to_json() for check in checks]}, lambda: diagnosis_view(checks))
    if problems := wrong(checks):
        raise MigrateError(
            f"Not as it should be: {', '.join(problems)}",
            remedy=("Fix that, and look again with: ", AGAIN),
        )
    if unknown := unreached(checks):
        raise MigrateError(
            f"Twilio did not answer, and it is not known whether all is well: {', '.join(unknown)}",
            remedy=("Look again later with: ", AGAIN),
        )
    run = Step("run", {"out": "migration"})
    screen.next("extract, map, and see what would change:", command_of(run, *same_options(*API_OPTIONS)))
