"""Reads what a file or a folder of this program holds: offline, without credentials, and leaving all as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from migrate.inspect.holdings import (
    CoverageHeld,
    HealthHeld,
    Held,
    JournalHeld,
    MappedHeld,
    PlanHeld,
    RetirementHeld,
    RunHeld,
    SnapshotHeld,
)
from migrate.inspect.kinds import Kind, recognise
from migrate.load.journal import written_journal
from migrate.load.limits import OF_A_PLAN, Ground
from migrate.load.plan_file import journal_of, read_plan
from migrate.load.preview import refusals_now
from migrate.map.mapped_folder import CONFIG, RULES, open_mapped
from migrate.map.mapped_writer import is_edited
from migrate.map.reviewed import open_reviewed
from migrate.map.rules_toml import default_rules
from migrate.model.errors import InputError, MigrateError, RefusedError
from migrate.model.plan import Plan
from migrate.push_errors.health_folder import PREFIX, read_measured
from migrate.retire.journal import begun_retire_journal
from migrate.snapshot.manifest import read_manifest
from migrate.snapshot.reader import Snapshot, read_snapshot, said_of
from migrate.snapshot.unfinished import read_begun
from migrate.storage.synced_log import SyncedLog
from migrate.verify.coverage_folder import read_runs


def open_held(path: Path) -> Held:
    """Read what a path holds; nothing is written, and nothing is asked for.

    Raises `InputError` for what is nothing that can be shown, or cannot be read.
    """
    found = recognise(path)
    if found is None:
        raise InputError(
            f"{path} is no snapshot, mapped folder, plan, journal or coverage that can be recognised",
            remedy="Name one that this program has written",
        )
    if found.kind not in _OPEN:
        raise InputError(f"{path} is {found.name}, which is not shown", remedy=found.use)
    return _OPEN[found.kind](path)


def _snapshot(path: Path) -> SnapshotHeld:
    manifest = read_manifest(path)
    if manifest.status != "finished":
        return SnapshotHeld(path, manifest, _names(Snapshot(path, manifest)), begun=read_begun(path))
    try:
        snapshot = read_snapshot(path)
    except RefusedError as damage:
        return SnapshotHeld(path, manifest, _names(Snapshot(path, manifest)), damage=damage)
    return SnapshotHeld(path, manifest, _names(snapshot), said_of(snapshot, default_rules().lifetime))


def _names(snapshot: Snapshot) -> dict[str, str]:
    import pyarrow as pa

    try:
        return {str(row["sid"]): row["friendly_name"] or "" for row in snapshot.services()}
    except (OSError, pa.ArrowException, LookupError):  # an unfinished or a damaged one may lack them
        return {}


def _mapped(path: Path) -> MappedHeld:
    mapped, edited = open_mapped(path), tuple(name for name in (CONFIG, RULES) if is_edited(path, name))
    try:
        edits = open_reviewed(path).edits
    except MigrateError:  # it has no proof of what was mapped, or rules that cannot be read
        return MappedHeld(path, mapped, edited, None)
    return MappedHeld(path, mapped, edited, edits)


def _plan(path: Path) -> PlanHeld:
    return PlanHeld(path, read_plan(path), journal_of(path))


def _journal(path: Path) -> JournalHeld:
    journal = written_journal(path)
    return JournalHeld(path, journal, *_times(journal.log))


def _retirement(path: Path) -> RetirementHeld:
    journal = begun_retire_journal(path)
    return RetirementHeld(path, journal, *_times(journal.log))


def _times(log: SyncedLog) -> tuple[str, str]:
    """When the first line and the last were written; empty where they do not say."""
    first = last = ""
    with log.reading() as lines:
        for line in lines:
            last = str(line.get("at", ""))
            first = first or last
    return first, last


def _health(path: Path) -> HealthHeld:
    files = sorted(path.glob(f"{PREFIX}*.parquet")) if path.is_dir() else [path]
    runs = [(file, read_measured(file)) for file in files]
    return HealthHeld(path, tuple(sorted(runs, key=lambda run: run[1].until)))


def _run(path: Path) -> RunHeld:
    found = [recognised for one in sorted(path.iterdir()) if (recognised := recognise(one))]
    return RunHeld(path, tuple(one for one in found if one.kind in _OPEN))


_OPEN: Mapping[Kind, Callable[[Path], Held]] = {
    "snapshot": _snapshot,
    "mapped": _mapped,
    "plan": _plan,
    "journal": _journal,
    "retire-journal": _retirement,
    "coverage": lambda path: CoverageHeld(path, read_runs(path)),
    "health": _health,
    "run": _run,
}


def refusals_of(plan: Plan) -> list[tuple[str, str]]:
    """What blocks a plan, as far as it or its secrets tell: the name of each limit, and what is wrong."""
    return refusals_now(Ground(plan, plan.account_sid, plan.target, datetime.now(UTC)), names=OF_A_PLAN)
