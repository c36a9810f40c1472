"""chat-migrate rehearse."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from migrate.cli.commands.applying import done_of
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import FormatFile, common_options, overwrite_option
from migrate.cli.paths import InMapped, InSnapshot, or_fleet
from migrate.cli.spelling import command_of
from migrate.load.proposals import INFERRED
from migrate.model.errors import Step
from migrate.rehearse.points import Rehearsal


@click.command(cls=Command)
@click.argument("mapped", type=or_fleet(InMapped()))
@click.option(
    "--snapshot",
    type=InSnapshot(),
    metavar="DIR",
    help="The snapshot whose account the stand-in serves; by default the one that was mapped.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N",
    help="Decides which requests fail; another seed is another rehearsal.",
)  # fmt: skip
@click.option(
    "--fault-rate", type=click.FloatRange(0, 0.5), default=0.1, show_default=True, metavar="SHARE",
    help="Of all requests, 0 to 0.5 fail.",
)  # fmt: skip
@click.option(
    "--report", "reports", type=FormatFile("a report", ".md", ".json"), multiple=True, metavar="FILE",
    help="Write a report: .md or .json. Repeatable.",
)  # fmt: skip
@overwrite_option("a report")
@click.option(
    "--force", "forced", type=click.Choice([INFERRED]), multiple=True, metavar="inferred",
    help="Rehearse the load with --force inferred: what is only proposed is written, too.",
)  # fmt: skip
@fleet_options("mapped", "seed", "fault_rate", "forced", offline=True)
@common_options
def rehearse(
    mapped: Path,
    snapshot: Path | None,
    seed: int,
    fault_rate: float,
    reports: tuple[Path, ...],
    forced: tuple[str, ...],
    screen: Screen,
    fleet: FleetAsked | None,
) -> None:
    """Try out the whole load, a retirement and the rollback, on a local stand-in for your account.

    Offline, and without credentials: the stand-in serves the snapshot with what was set in Conversations then, lets
    some of its devices register there, and fails as networks do. Nothing in the two folders is changed.

    \b
    Example:
      chat-migrate rehearse mapped --report rehearsal.md
    """
    if fleet:
        from migrate.cli.commands.fleet_offline import rehearse_fleet

        rehearse_fleet(fleet, mapped, screen, seed=seed, fault_rate=fault_rate, inferred=bool(forced))
        return
    from migrate.rehearse.rehearsal import rehearse_load
    from migrate.report.rehearsal import rehearsal_view

    def begin(name: str) -> None:
        if _is_terminal():
            screen.say(f"Rehearsing: {name}")

    call = partial(
        rehearse_load, mapped, snapshot, seed=seed, fault_rate=fault_rate, begin=begin, inferred=bool(forced)
    )
    held, failure = done_of(call, Rehearsal)
    screen.result(held.to_json(), lambda: rehearsal_view(held))
    for path in reports:
        _write(held, path)
    if failure:
        raise failure
    screen.next(
        "make the plan, with a report to read:",
        command_of(Step("load", {"mapped": mapped, "plan_out": "plan.json", "report": "report.html"})),
    )


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _write(held: Rehearsal, path: Path) -> None:
    """Write a report, in the format that its name ends in."""
    from migrate.model.digest import canonical_json
    from migrate.report.rehearsal import rehearsal_report
    from migrate.storage.files import write_whole

    write_whole(path, rehearsal_report(held) if path.suffix == ".md" else canonical_json(held.to_json()))
