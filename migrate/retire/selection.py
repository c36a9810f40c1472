"""Retirement: which of Chat's bindings are no longer needed, by a verification just made. Joins that and load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.extract.progress import ExtractProgress
from migrate.map.rules import Rules
from migrate.model.errors import UsageError
from migrate.retire.evidence import (
    CredentialsBySid,
    Row,
    Sides,
    find_credentials,
    listed_evidence,
    now_of,
    read_sides,
)
from migrate.retire.journal import RetireJournal, read_retire_journal
from migrate.retire.replacement import Evidence, pushes_off, why_needed
from migrate.retire.retirement import Retirement, ServiceRetirement
from migrate.snapshot.reader import batches
from migrate.twilio_api.client import TwilioApi
from migrate.verify.comparison import Comparison
from migrate.verify.coverage import ServiceCoverage
from migrate.verify.coverage_folder import rejected_beside, write_coverage
from migrate.verify.verification import compared, resuming

if TYPE_CHECKING:
    from migrate.storage.sid_set import Sids

_OFF = ("push-off", "media-off")  # conditions of the rule that a load helps against


@dataclass(frozen=True)
class Prepared:
    """A retirement whose lists are there: what is to be deleted, and its journal. Nothing has been written."""

    retirement: Retirement
    journal: RetireJournal
    _coverage: Path
    _candidates: _Candidates

    def keep_coverage(self) -> Path:
        """Add the numbers to the coverage folder, as `verify_snapshot` does. Raises `MigrateError`."""
        with resuming():
            return write_coverage(self._coverage, self._candidates.work.coverage, self._candidates.work.rejected)

    def rejected_beside(self, kept: Path) -> Path | None:
        """The file with the live records that did not fit, beside the numbers that were kept, if there were any."""
        return rejected_beside(kept) if self._candidates.work.rejected else None

    def rows(self) -> Iterator[Row]:
        """The bindings to delete as the snapshot has them; with `service_sid`, `registration` and `is_shared`."""
        some = {service.service_sid for service in self.retirement.services if service.deletions}
        for row in self._candidates.rows(some):
            if self._candidates.why_left(row) is None:
                yield row


@contextmanager
def prepared(
    api: TwilioApi,
    snapshot: Path,
    coverage: Path,
    journal: Path,
    services: Collection[str] = (),
    *,
    rules: Rules | None = None,
    progress: ExtractProgress | None = None,
) -> Iterator[Prepared]:
    """Compare a snapshot with what is live in Conversations, and say which of its bindings are to be deleted: of some
    services, or of all where none is named.

    Nothing is deleted, and nothing stays in the coverage folder. `rules` say whom verification calls ready; what may
    be deleted goes by no rule that can be changed. Raises what `compared` and `read_retire_journal` raise,
    `TwilioError`, `UsageError` for a service that the snapshot does not have, and `RefusedError` where one of the two
    sides is Twilio's and the other is not.
    """
    api.addresses.refuse_mixture()
    was_there = coverage.exists()
    try:
        with compared(snapshot, coverage, api, "ready", rules=rules, progress=progress) as work:
            with resuming():
                found = _prepare(work, snapshot, coverage, journal, api, services)
            yield found
    finally:
        if not was_there and coverage.is_dir() and not any(coverage.iterdir()):
            coverage.rmdir()


def _prepare(
    work: Comparison,
    snapshot: Path,
    coverage: Path,
    journal: Path,
    api: TwilioApi,
    services: Collection[str],
) -> Prepared:
    found = work.coverage
    if unknown := set(services) - {service.service_sid for service in found.services}:
        raise UsageError(f"{snapshot} has no service {min(unknown)}")
    sides = api.addresses.chat, api.addresses.conversations
    kept = read_retire_journal(journal, found.snapshot, api.account_sid, *sides)
    chosen = [service for service in found.services if not services or service.service_sid in services]
    candidates = _Candidates(work, kept.deleted)
    candidates.look(api, [service.service_sid for service in chosen])
    retirement = Retirement(
        found.account_sid,
        found.snapshot,
        found.snapshot_as_of,
        found.live_as_of,
        candidates.count(chosen),
    )
    return Prepared(retirement, kept, coverage, candidates)


class _Candidates:
    """The bindings that verification calls ready, and what both sides push as it stood when they were listed."""

    def __init__(self, work: Comparison, deleted: Sids) -> None:
        self.work = work
        self._deleted = deleted
        self._sides: dict[str, Sides] = {}
        self._credentials: CredentialsBySid = {}
        self._now = datetime.max.replace(tzinfo=UTC)

    def look(self, api: TwilioApi, service_sids: Collection[str]) -> None:
        """Read what these services push, where they have candidates, and which credentials those go by."""
        named: set[str | None] = set()
        some: dict[str, None] = {}
        for row in self.rows(service_sids):
            some[row["service_sid"]] = None
            named |= {row["credential_sid"], row["registration"]["credential_sid"]}
        self._sides = read_sides(api, list(some))
        self._credentials = find_credentials(api, sorted(filter(None, named)), tries=None)
        self._now = now_of(api)

    def rows(self, service_sids: Collection[str]) -> Iterator[Row]:
        """The candidates of some services, in their order, as the snapshot has them."""
        for batch in batches(self.work.lists):
            for row in batch.to_pylist():
                if row["service_sid"] in service_sids:
                    yield row

    def why_left(self, row: Row) -> tuple[str, str] | None:
        """Why a candidate is not to be deleted: its outcome and the reason; None if it is."""
        if row["sid"] in self._deleted:
            return "earlier", ""
        needed = why_needed(self._evidence(row))
        return (needed.outcome, needed.name) if needed else None

    def count(self, services: Sequence[ServiceCoverage]) -> tuple[ServiceRetirement, ...]:
        """How many of each service's candidates are to be deleted, and why the others are not."""
        counted = {service.service_sid: _Counted() for service in services}
        for row in self.rows(counted):
            outcome, reason = self.why_left(row) or ("deleted", "")
            of = counted[row["service_sid"]]
            of.outcomes[outcome] += 1
            if outcome == "needed":
                of.reasons[reason] += 1
            if reason in _OFF:
                of.off |= dict.fromkeys(pushes_off(self._evidence(row)))
        return tuple(_told(service, counted[service.service_sid]) for service in services)

    def _evidence(self, row: Row) -> Evidence:
        return listed_evidence(row, self._sides[row["service_sid"]], self._credentials, self._now)


@dataclass
class _Counted:
    """What is counted over the candidates of a service: by outcome, the needed ones by reason, and pushes off."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    off: dict[str, None] = field(default_factory=dict)


def _told(service: ServiceCoverage, counted: _Counted) -> ServiceRetirement:
    outcomes = counted.outcomes
    return ServiceRetirement(
        service_sid=service.service_sid,
        friendly_name=service.friendly_name,
        coverage=service.total,
        deletions=outcomes["deleted"],
        shared=outcomes["shared"],
        needed=outcomes["needed"],
        earlier=outcomes["earlier"],
        reasons=dict(sorted(counted.reasons.items())),
        off=tuple(counted.off),
        rejected=service.rejected,
    )
