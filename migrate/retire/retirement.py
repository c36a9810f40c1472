"""Retiring: which of Chat's bindings would be deleted, and what became of them. Numbers, no names of users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from migrate.model.errors import AGAIN, MigrateError, PartlyAppliedError
from migrate.verify.coverage import Counts

# deleted: by this run; gone: it was not there any more; changed: it is not as the snapshot has it; shared: listed by
# Conversations, too, and perhaps the same object there; unready: the registration that made its device ready is gone,
# or another; needed: it is not shown that the registration gives its device all that it does; failed: Twilio refused,
# or could not be asked.
JOURNAL = ".retire.jsonl"  # how the journal ends, in a name that begins as the snapshot's
RetireOutcome = Literal["deleted", "gone", "changed", "shared", "unready", "needed", "failed"]
RETIRE_OUTCOMES: tuple[RetireOutcome, ...] = ("deleted", "gone", "changed", "shared", "unready", "needed", "failed")


@dataclass(frozen=True)
class ServiceRetirement:
    """One service: its coverage, and of its ready bindings how many are to be deleted.

    `shared` and `needed` are ready too, and never deleted: the first are Conversations' own, or may be; of the second
    it is not shown that a registration replaces them. `reasons` counts the needed by the names of the rule's
    conditions (`migrate.retire.replacement`). `earlier` were deleted by an earlier run. `off` are pushes that Chat
    makes, or may make, and Conversations does not, where that is why some are needed. `rejected` counts live
    records that do not have the shape of a binding: they prove nothing.
    """

    service_sid: str
    friendly_name: str
    coverage: Counts
    deletions: int
    shared: int
    needed: int
    earlier: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    off: tuple[str, ...] = ()
    rejected: int = 0

    def to_json(self) -> dict[str, Any]:
        """The service as it stands in `--json`."""
        return {
            "service_sid": self.service_sid,
            "friendly_name": self.friendly_name,
            "deletions": {"by_device": self.deletions},
            "shared": self.shared,
            "needed": self.needed,
            "needed_because": dict(self.reasons),
            "pushes_off": list(self.off),
            "earlier": self.earlier,
            "rejected": self.rejected,
            "coverage": self.coverage.to_json(),
        }


@dataclass(frozen=True)
class Retirement:
    """What is to be deleted, by service; `snapshot` is its digest, times are ISO 8601 in UTC."""

    account_sid: str
    snapshot: str
    snapshot_as_of: str
    live_as_of: str
    services: tuple[ServiceRetirement, ...]

    @property
    def deletions(self) -> int:
        """How many bindings are to be deleted in all."""
        return sum(service.deletions for service in self.services)

    @property
    def reasons(self) -> Counter[str]:
        """How many are needed, by reason, in all."""
        return sum((Counter(service.reasons) for service in self.services), Counter[str]())

    def to_json(self) -> dict[str, Any]:
        """The retirement as it stands in `--json`: no identity, no endpoint."""
        return {
            "account_sid": self.account_sid,
            "snapshot": {"digest": self.snapshot, "as_of": self.snapshot_as_of},
            "live": {"as_of": self.live_as_of},
            "services": [service.to_json() for service in self.services],
            "deletions": self.deletions,
        }


@dataclass(frozen=True)
class Ending:
    """What became of one binding; `reason` is the condition for which it was left alone, `failure` is in words."""

    outcome: RetireOutcome
    reason: str = ""
    failure: str = ""


@dataclass
class Retired:
    """What became of the bindings that were to be deleted: how many have each outcome, for which reasons they
    turned out to be needed, and the first failure in words.
    """

    outcomes: Counter[RetireOutcome] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failure: str = ""

    def add(self, ending: Ending) -> None:
        """Count one more."""
        self.outcomes[ending.outcome] += 1
        if ending.outcome == "needed":
            self.reasons[ending.reason] += 1
        self.failure = self.failure or ending.failure

    def to_json(self) -> Mapping[str, int]:
        """The numbers by outcome."""
        return {outcome: self.outcomes[outcome] for outcome in RETIRE_OUTCOMES}


@dataclass(frozen=True)
class Retiring:
    """A retirement that was carried out, as far as it went, or only looked at: then `retired` is None.

    `journal` has each delete; `coverage` is the file with the numbers of the verification, and `rejected` that with
    the live records that did not fit, if there were any.
    """

    retirement: Retirement
    journal: Path
    retired: Retired | None = None
    coverage: Path | None = None
    rejected: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as it stands in `--json`."""
        journal = str(self.journal) if self.journal.exists() else None
        told = {**self.retirement.to_json(), "journal": journal}
        if self.retired is None:
            return told
        return {
            **told,
            "coverage_file": str(self.coverage),
            "rejected_file": str(self.rejected) if self.rejected else None,
            "retired": self.retired.to_json(),
            "needed_because": dict(sorted(self.retired.reasons.items())),
        }

    def failure(self) -> MigrateError | None:
        """The error that says what is left to do, if anything is."""
        outcomes = self.retired.outcomes if self.retired else Counter[RetireOutcome]()
        if not outcomes["failed"]:
            return None
        kind = PartlyAppliedError if outcomes["deleted"] else MigrateError
        error = kind(
            f"{outcomes['failed']:,} of {self.retirement.deletions:,} bindings could not be deleted",
            kept=f"What was deleted is in {self.journal}",
            remedy=("Resume with: ", AGAIN),
        )
        error.result = self
        return error
