"""Coverage: how many of a snapshot's bindings have a subscription in Conversations by now. Numbers, no names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from migrate.model.catalogue import CATALOGUE
from migrate.model.errors import RefusedError
from migrate.model.finding import Finding, nothing_expected
from migrate.model.text import listed


@dataclass(frozen=True)
class Counts:
    """Bindings by where they stand.

    Each of the snapshot's `bindings` is one of: `ready_device` (its identity has registered the same device with
    Conversations), `ready_platform` (another device of the same platform, which is taken for its successor),
    `expired` (past its lifetime when the snapshot was made), `pending`. `new` and `unclear` count live bindings:
    registered with Conversations and no successor of any in the snapshot; and such as prove nothing, because Chat's
    names and Conversations' are the same for what they subscribe to.
    """

    bindings: int = 0
    ready_device: int = 0
    ready_platform: int = 0
    pending: int = 0
    expired: int = 0
    new: int = 0
    unclear: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(Counts)))

    @property
    def ready(self) -> int:
        """The bindings whose user can be reached through Conversations."""
        return self.ready_device + self.ready_platform

    @property
    def expected(self) -> int:
        """The bindings that are waited for: all but the expired."""
        return self.bindings - self.expired

    @property
    def percent(self) -> float | None:
        """The ready ones of those that are expected, to a tenth and never rounded up; None where none is expected."""
        return self.ready * 1000 // self.expected / 10 if self.expected else None

    def reaches(self, percent: float) -> bool:
        """Whether at least so many percent of the expected ones are ready; of none no percentage is."""
        return self.expected > 0 and self.ready * 100 >= percent * self.expected

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is to be said where no binding is expected: there are none at all, or all had expired."""
        return nothing_expected(self.bindings, self.expired)

    def to_json(self) -> dict[str, Any]:
        """The numbers by name, and the percentage."""
        return {**asdict(self), "percent": self.percent}


@dataclass(frozen=True)
class ServiceCoverage:
    """One service: its counts by platform (`fcm` stands for `gcm` too; None: the binding names no type).

    `rejected` counts live records that do not have the shape of a binding: they prove nothing.
    """

    service_sid: str
    friendly_name: str
    platforms: dict[str | None, Counts] = field(default_factory=dict)
    rejected: int = 0

    @property
    def total(self) -> Counts:
        """The counts of all platforms."""
        return total(self.platforms.values())

    def to_json(self) -> dict[str, Any]:
        """The service as it stands in `--json`."""
        return {
            "service_sid": self.service_sid,
            "friendly_name": self.friendly_name,
            "platforms": [{"platform": name, **counts.to_json()} for name, counts in self.platforms.items()],
            "total": self.total.to_json(),
            "rejected": self.rejected,
        }


@dataclass(frozen=True)
class Coverage:
    """A snapshot beside what is live. Times are ISO 8601 in UTC, `snapshot` is a digest.

    `live_source` is the API that the live side was read through, `live_bindings` how many there were of all kinds.
    `narrowed` says that the snapshot covers a part of the account only. `rejected` are records of the snapshot that
    do not have the shape of a binding, and so are not waited for.
    """

    account_sid: str
    snapshot: str
    snapshot_as_of: str
    live_source: str
    live_as_of: str
    live_bindings: int
    narrowed: bool
    services: tuple[ServiceCoverage, ...]
    rejected: int = 0

    @property
    def total(self) -> Counts:
        """The counts of all services."""
        return total(service.total for service in self.services)

    @property
    def live_rejected(self) -> int:
        """How many live records do not have the shape of a binding, in all services."""
        return sum(service.rejected for service in self.services)

    def to_json(self) -> dict[str, Any]:
        """The coverage as it stands in `--json`: no identity, no endpoint."""
        return {
            "account_sid": self.account_sid,
            "snapshot": {"digest": self.snapshot, "as_of": self.snapshot_as_of, "narrowed": self.narrowed},
            "live": {"source": self.live_source, "as_of": self.live_as_of, "bindings": self.live_bindings},
            "rejected": {"snapshot": self.rejected, "live": self.live_rejected},
            "services": [service.to_json() for service in self.services],
            "total": self.total.to_json(),
            "findings": [finding.to_json() for finding in self.total.findings],
        }


def refuse_nothing(counted: Counts, *, kept: str, services: Collection[str] = ()) -> None:
    """Raise `RefusedError` where no binding is waited for: then nothing is shown to be ready.

    `services` are those that were named, where the counts are of them alone.
    """
    for finding in counted.findings:
        entry = CATALOGUE[finding.code]
        if not services:
            raise RefusedError(entry.meaning, kept=kept, remedy=entry.remedy)
        named = listed([*dict.fromkeys(services)])
        expired = f"All bindings of {named} had expired when the snapshot was made"
        what = expired if counted.bindings else f"The snapshot has no binding of {named}"
        raise RefusedError(
            f"{what}, so there is nothing to wait for",
            kept=kept,
            remedy="Name another service with --service, or none for all of the snapshot",
        )


def total(parts: Iterable[Counts]) -> Counts:
    """The sum of some counts."""
    return sum(parts, Counts())
