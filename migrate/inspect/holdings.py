"""What a file or a folder of this program holds, as data; `reading` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrate.inspect.kinds import Kind, Recognised
from migrate.load.journal import CredentialEntry, Entry, Journal
from migrate.map.mapped_folder import Mapped
from migrate.map.reviewed import Edit
from migrate.model.errors import MigrateError, RefusedError
from migrate.model.finding import Finding
from migrate.model.plan import Plan
from migrate.push_errors.health_folder import Measured
from migrate.retire.journal import RetireJournal
from migrate.snapshot.manifest import Manifest
from migrate.snapshot.unfinished import Begun
from migrate.verify.coverage_folder import CoverageRun


@dataclass(frozen=True)
class SnapshotHeld:
    """A snapshot: `begun` is how far an unfinished one has come; `damage` is the error for one that is not whole.

    `names` are those of its services, by SID; empty where they cannot be read.
    """

    path: Path
    manifest: Manifest
    names: Mapping[str, str]
    findings: tuple[Finding, ...] = ()
    begun: Begun | None = None
    damage: RefusedError | None = None

    @property
    def rows(self) -> Mapping[str, int]:
        """Bindings by service, with a zero for one that has none."""
        return dict.fromkeys(self.names, 0) | dict(self.begun.rows if self.begun else self.manifest.rows_by_service)

    def to_json(self) -> dict[str, Any]:
        """The manifest, with identities masked, and what else there is."""
        services = [
            {"service_sid": sid, "friendly_name": self.names.get(sid, ""), "bindings": rows}
            for sid, rows in sorted(self.rows.items())
        ]
        return {
            **self.manifest.to_public_json(),
            "services": services,
            "findings": [finding.to_json() for finding in self.findings],
            "begun": self.begun.to_json() if self.begun else None,
            "damage": self.damage.what if self.damage else None,
        }


@dataclass(frozen=True)
class MappedHeld:
    """A mapped folder as it stands now; `edited` are the files that a person has edited since it was mapped, and
    `edits` what was edited in push-config.yaml, None where that is unknown.
    """

    path: Path
    mapped: Mapped
    edited: tuple[str, ...]
    edits: tuple[Edit, ...] | None

    def to_json(self) -> dict[str, Any]:
        """The summary as it stands, what push-config.yaml states, and what was edited."""
        return {
            **self.mapped.as_it_stands.to_json(),
            "push_config": self.mapped.config.to_json(),
            "edited": list(self.edited),
            "edits": None if self.edits is None else [edit.to_json() for edit in self.edits],
        }


@dataclass(frozen=True)
class PlanHeld:
    """A plan, and its journal, which may not be there."""

    path: Path
    plan: Plan
    journal: Path

    def to_json(self) -> dict[str, Any]:
        """The content of plan.json."""
        return self.plan.to_json()


@dataclass(frozen=True)
class JournalHeld:
    """The journal of a load or of a rollback: the writes, and the times of its first and its last line."""

    path: Path
    journal: Journal
    first: str
    last: str

    @property
    def state(self) -> str:
        """`finished`, `unfinished`, or `open` where the end of a write was not seen."""
        if self.journal.finished:
            return "finished"
        return "open" if any(entry.status is None for entry in self.journal.entries) else "unfinished"

    def to_json(self) -> dict[str, Any]:
        """The journal with its writes in their order."""
        journal = self.journal
        return {
            "plan_id": journal.plan_id,
            "account_sid": journal.account_sid,
            "target": journal.target,
            "state": self.state,
            "first": self.first,
            "last": self.last,
            "writes": [_entry_json(entry) for entry in journal.entries],
        }


@dataclass(frozen=True)
class RetirementHeld:
    """The journal of a retirement: SIDs alone, of what was deleted, and of deletes whose end was not seen."""

    path: Path
    journal: RetireJournal
    first: str
    last: str

    def to_json(self) -> dict[str, Any]:
        """The numbers, and the SIDs of deletes that are open."""
        journal = self.journal
        return {
            "snapshot": journal.snapshot,
            "account_sid": journal.account_sid,
            "target": journal.target,
            "conversations": journal.conversations or None,
            "first": self.first,
            "last": self.last,
            "deleted": len(journal.deleted),
            "open": sorted(journal.begun),
        }


@dataclass(frozen=True)
class CoverageHeld:
    """The runs of `verify` in a coverage folder, the latest last."""

    path: Path
    runs: tuple[CoverageRun, ...]

    def to_json(self) -> dict[str, Any]:
        """Each run with its numbers by service and platform."""
        return {"runs": [run.to_json() for run in self.runs]}


@dataclass(frozen=True)
class HealthHeld:
    """The runs of `health` in its folder, the latest last."""

    path: Path
    runs: tuple[tuple[Path, Measured], ...]

    def to_json(self) -> dict[str, Any]:
        """Each run with its totals."""
        return {"runs": [{"file": str(file), **run.to_json(None)} for file, run in self.runs]}


@dataclass(frozen=True)
class RunHeld:
    """What `chat-migrate run` has written into one folder, and what came beside it: each path with its kind."""

    path: Path
    contents: tuple[Recognised, ...]

    def to_json(self) -> dict[str, Any]:
        """The paths by kind."""
        return {"contents": [{"path": str(found.path), "kind": found.kind} for found in self.contents]}


Held = SnapshotHeld | MappedHeld | PlanHeld | JournalHeld | RetirementHeld | CoverageHeld | HealthHeld | RunHeld


def kind_of_held(held: Held) -> str:
    """The kind of what was read, as `recognise` calls it."""
    return _KINDS[type(held)]


_KINDS: Mapping[type, Kind] = {
    SnapshotHeld: "snapshot",
    MappedHeld: "mapped",
    PlanHeld: "plan",
    JournalHeld: "journal",
    RetirementHeld: "retire-journal",
    CoverageHeld: "coverage",
    HealthHeld: "health",
    RunHeld: "run",
}


def _entry_json(entry: Entry | CredentialEntry) -> dict[str, Any]:
    if isinstance(entry, Entry):
        after = None if entry.after is None else dict(entry.after)
        return {
            "kind": "notifications",
            "service_sid": entry.service_sid,
            "friendly_name": entry.friendly_name,
            "before": dict(entry.before),
            "desired": dict(entry.desired),
            "status": entry.status,
            "after": after,
        }
    return {
        "kind": "credential",
        "credential_sid": entry.sid,
        "friendly_name": entry.friendly_name,
        "type": entry.type,
        "before": entry.before.to_json() if entry.before else None,
        "status": entry.status,
        "after": entry.after.to_json() if entry.after else None,
    }


def failure_of(held: Held) -> MigrateError | None:
    """The error that a command ends with once it has shown what there is; None for what is whole."""
    return held.damage if isinstance(held, SnapshotHeld) else None
