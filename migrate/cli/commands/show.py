"""chat-migrate show and check: what lies on the disk, and whether it can be loaded. Both stay offline."""

from __future__ import annotations

from pathlib import Path

import click

from migrate.cli.commands.reporting import overtaken
from migrate.cli.console import Screen
from migrate.cli.help import Command
from migrate.cli.options import common_options
from migrate.cli.paths import InAny, InMapped


@click.command(cls=Command)
@click.argument("path", metavar="PATH", type=InAny())
@common_options
def show(path: Path, screen: Screen) -> None:
    """Show what a snapshot, a mapped folder, a plan, a journal, a coverage folder or a fleet's folder holds.

    Offline, and without credentials. A plan is shown as `load --plan` shows it. Identities and endpoints are not
    shown. A snapshot is compared with its checksums: a damaged one is shown, and ends with exit code 4.

    \b
    Example:
      chat-migrate show snapshot
      chat-migrate show plan.json
    """
    from migrate.fleet.folder import has_accounts
    from migrate.inspect.kinds import recognise

    found = recognise(path)
    if found.kind == "fleet" if found else has_accounts(path):
        from migrate.cli.commands.fleet_show import show_fleet

        show_fleet(path, screen)
        return
    from migrate.inspect.holdings import PlanHeld, failure_of, kind_of_held
    from migrate.inspect.reading import open_held, refusals_of
    from migrate.report.holdings import held_view

    held = open_held(path)
    refusals: list[tuple[str, str]] = []
    if isinstance(held, PlanHeld):
        refusals = [*overtaken(held.plan, held.plan.plan_id, (), held.journal), *refusals_of(held.plan)]
    data = {**held.to_json(), "kind": kind_of_held(held), "path": str(path)}
    screen.result(data, lambda: held_view(held, refusals))
    if failure := failure_of(held):
        raise failure


@click.command(cls=Command)
@click.argument("mapped", type=InMapped())
@common_options
def check(mapped: Path, screen: Screen) -> None:
    """Check a mapped folder before it is loaded: push-config.yaml, the rules, and secrets by reference.

    Offline, and without credentials. Every mistake is reported with its line, and what push-config.yaml states is
    checked as `load` checks it. Each secret is looked up and read as before it is sent, and never shown. Exits with 1
    for a mistake, and with 4 where `load --apply` would be refused.

    \b
    Example:
      chat-migrate check mapped
    """
    from migrate.inspect.checking import check_mapped
    from migrate.report.checking import checked_view

    checked = check_mapped(mapped)
    screen.result(checked.to_json(), lambda: checked_view(checked))
    if failure := checked.failure:
        raise failure
