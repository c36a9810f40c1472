"""Retiring: which of Chat's bindings would be deleted, and what became of them. Numbers, no names of users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from migrate.model.coverage import Counts

# deleted: by this run; gone: it was not there any more; changed: it is not as the snapshot has it; shared: listed by
# Conversations, too, and perhaps the same object there; unready: the registration that made its device ready is gone,
# or another; failed: Twilio refused, or could not be asked.
JOURNAL = ".retire.jsonl"  # how the journal ends, in a name that begins as the snapshot's
Fate = Literal["deleted", "gone", "changed", "shared", "unready", "failed"]
FATES: tuple[Fate, ...] = ("deleted", "gone", "changed", "shared", "unready", "failed")


@dataclass(frozen=True)
class ServiceRetirement:
    """One service: its coverage, and of its ready bindings how many are to be deleted.

    `by_device` and `by_platform` say how those are ready. `shared` and `needed` are ready too, but never deleted: the
    first are Conversations' own, or may be; the second Chat has seen later than Conversations has, or for a push that
    they would lose. `earlier` were deleted by an earlier run.
    """

    service_sid: str
    friendly_name: str
    coverage: Counts
    by_device: int
    by_platform: int
    shared: int
    needed: int
    earlier: int

    @property
    def deletions(self) -> int:
        """How many bindings are to be deleted."""
        return self.by_device + self.by_platform

    def to_json(self) -> dict[str, Any]:
        """The service as it stands in `--json`."""
        return {
            "service_sid": self.service_sid,
            "friendly_name": self.friendly_name,
            "deletions": {"by_device": self.by_device, "by_platform": self.by_platform},
            "shared": self.shared,
            "needed": self.needed,
            "earlier": self.earlier,
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

    def to_json(self) -> dict[str, Any]:
        """The retirement as it stands in `--json`: no identity, no endpoint."""
        return {
            "account_sid": self.account_sid,
            "snapshot": {"digest": self.snapshot, "as_of": self.snapshot_as_of},
            "live": {"as_of": self.live_as_of},
            "services": [service.to_json() for service in self.services],
            "deletions": self.deletions,
        }


@dataclass
class Retired:
    """What became of the bindings that were to be deleted, and the first failure in words."""

    fates: Counter[Fate] = field(default_factory=Counter)
    failure: str = ""

    def add(self, fate: Fate, failure: str = "") -> None:
        """Count one more."""
        self.fates[fate] += 1
        self.failure = self.failure or failure

    def to_json(self) -> Mapping[str, int]:
        """The numbers by fate."""
        return {fate: self.fates[fate] for fate in FATES}
