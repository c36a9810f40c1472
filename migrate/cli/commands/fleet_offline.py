"""map, rehearse and diff for a fleet: what stays offline, and takes the accounts from the fleet's folder."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.cli.commands.fleet_shared import ended, offline
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked
from migrate.model.errors import Step

if TYPE_CHECKING:
    from migrate.fleet.stages_after import DiffKind
    from migrate.map.rules import Rules


def map_fleet(
    asked: FleetAsked,
    folder: Path,
    out: Path | None,
    screen: Screen,
    *,
    overwrite: bool,
    rules: Rules | None,
    like: Path | None,
    executor: Executor | None,
) -> None:
    """Map each account's snapshot, into the same folder or another."""
    there = out or folder
    with offline(asked, folder, screen) as command:
        done = ended(lambda: command.fleet.map(there, rules, like, overwrite=overwrite, executor=executor))
        command.finish(done, f"chat-migrate show {there}", "see what would change:", Step("load", {"mapped": there}))


def rehearse_fleet(asked: FleetAsked, folder: Path, screen: Screen, **how: Any) -> None:
    """Rehearse each account's load, one after the other."""
    with offline(asked, folder, screen) as command:
        done = ended(lambda: command.fleet.rehearse(**how))
        where = f"see {folder / 'AC…' / 'rehearsal.json'}"
        command.finish(done, where, "plan, and look at the report:", Step("load", {"mapped": folder}))


def diff_fleet(
    asked: FleetAsked, before: Path, after: Path, kind: DiffKind, screen: Screen, executor: Executor | None
) -> int:
    """Compare each account that both folders have. Gives the exit code for --detailed-exitcode."""
    with offline(asked, before, screen) as command:
        done = ended(lambda: command.fleet.diff(after, kind, executor=executor))
        command.finish(done, "use --json")
    return done[0].exit_code
