"""chat-migrate extract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.warnings import warn
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import EACH_ACCOUNT, api_options, common_options, extract_options
from migrate.cli.paths import OutFolder, or_fleet
from migrate.cli.spelling import command_of, extract_command, spelled
from migrate.model.errors import InputError, Step

if TYPE_CHECKING:
    from migrate.extract.extraction import ExtractOptions
    from migrate.extract.progress import ExtractProgress
    from migrate.twilio_api.connect import ApiSettings


@click.command(cls=Command)
@click.option(
    "--out", type=or_fleet(OutFolder("snapshot")), required=True, metavar="DIR", help="The snapshot's folder."
)
@fleet_options("out", *EACH_ACCOUNT)
@extract_options
@api_options
@common_options
def extract(
    out: Path,
    options: ExtractOptions,
    progress: ExtractProgress,
    settings: ApiSettings,
    screen: Screen,
    fleet: FleetAsked | None,
) -> None:
    """Copy all bindings, services and credentials into a snapshot.

    An unfinished snapshot is resumed; a finished one is never overwritten.

    \b
    Example:
      chat-migrate extract --out snapshot
    """
    if fleet:
        from migrate.cli.commands.fleet_reading import extract_fleet

        extract_fleet(fleet, out, options, settings, screen)
        return
    from migrate.extract.extraction import extract_snapshot
    from migrate.snapshot.reader import Snapshot, said_of
    from migrate.twilio_api.connect import open_api
    from migrate.twilio_api.doubts import doubt_of_account, doubt_of_clock

    with open_api(settings) as api, spelled(extract_command(out, options, api)), screen.progress(progress):
        manifest = extract_snapshot(api, out, options, progress)
    warn(screen, doubt_of_account(api), doubt_of_clock(api))
    from migrate.map.rules_toml import default_rules
    from migrate.report.text import extract_view

    findings = said_of(Snapshot(out, manifest), default_rules().lifetime)
    data = {**manifest.to_public_json(), "findings": [finding.to_json() for finding in findings]}
    screen.result(data, lambda: extract_view(manifest, str(out), findings))
    beside = out.parent / "mapped"
    reviewed = _mapped_of(click.get_current_context().params["expect"])
    to_map = Step("map", {"snapshot": out, "out": "MAPPED" if beside.exists() else beside, "like": reviewed})
    screen.next("translate it into push configuration:", command_of(to_map))


def _mapped_of(snapshot: Path | None) -> Path | None:
    """The mapped folder beside an earlier snapshot that was made from it, whose review is to be carried over."""
    from migrate.map.mapped_folder import open_mapped

    if snapshot is None:
        return None
    beside = snapshot.parent / "mapped"
    try:
        return beside if open_mapped(beside).snapshot == snapshot.resolve() else None
    except (InputError, OSError):
        return None
