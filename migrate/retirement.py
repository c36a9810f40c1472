"""Retirement: which of Chat's bindings are no longer needed, by a verification just made. Joins that and load."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrate.extract.meter import Meter
from migrate.load.planning import read_live
from migrate.load.retire_journal import RetireJournal, read_retire_journal
from migrate.load.sids import Sids
from migrate.map.rules import Rules
from migrate.model.errors import UsageError
from migrate.model.registration import SAME_PUSH
from migrate.model.retirement import Retirement, ServiceRetirement
from migrate.snapshot.coverage import write_coverage
from migrate.snapshot.reader import batches
from migrate.twilio_api.api import TwilioApi
from migrate.verification import Comparison, compared, told


@dataclass(frozen=True)
class Choice:
    """Which of the bindings that are ready are to be deleted: of some services, or all where none is named.

    Those that are ready by another device of the same platform only `also_by_platform`.
    """

    services: Collection[str] = ()
    also_by_platform: bool = False


@dataclass(frozen=True)
class Prepared:
    """A retirement whose lists are there: what is to be deleted, its journal, and the coverage that was written."""

    retirement: Retirement
    journal: RetireJournal
    coverage_file: Path
    _work: Comparison
    _choice: Choice

    def to_json(self) -> dict[str, Any]:
        """The retirement as it stands in `--json`, with its files."""
        return {
            **self.retirement.to_json(),
            "coverage_file": str(self.coverage_file),
            "journal": str(self.journal.path),
        }

    def pushes_off(self, api: TwilioApi) -> dict[str, list[str]]:
        """Of services with deletions, by SID, the pushes that are on in Chat, and not in Conversations.

        Where it is not known what Chat has, it is taken to push new messages. Raises `TwilioError`.
        """
        services = {row["sid"]: row["notifications"] for row in self._work.source.services()}
        found = {}
        for service in self.retirement.services:
            if service.deletions:
                live = read_live(api, service.service_sid) or {}
                wanted = _pushed(services.get(service.service_sid))
                if off := [push for push in wanted if live.get(f"{push}.enabled") is not True]:
                    found[service.service_sid] = off
        return found

    def rows(self) -> Iterator[dict[str, Any]]:
        """The bindings to delete, as the snapshot has them, each with its `service_sid`."""
        deleted = self.journal.deleted
        for service in self.retirement.services:
            if service.deletions:
                for batch in batches(self._work.lists[service.service_sid]):
                    for row in _wanted(batch, self._choice, deleted).to_pylist():
                        yield {**row, "service_sid": service.service_sid}


@contextmanager
def prepared(
    api: TwilioApi,
    snapshot: Path,
    coverage: Path,
    journal: Path,
    choice: Choice,
    *,
    rules: Rules | None = None,
    meter: Meter | None = None,
    command: str = "",
) -> Iterator[Prepared]:
    """Compare a snapshot with what is live in Conversations, and say which of its bindings are to be deleted.

    The coverage folder gets the numbers, as `verify_snapshot` writes them. Nothing is deleted. Raises what `compared`
    and `read_retire_journal` raise, and `UsageError` for a service that the snapshot does not have.
    """
    command = command or f"chat-migrate retire {quote(str(snapshot))} --coverage {quote(str(coverage))}"
    with compared(snapshot, coverage, api, "ready", rules=rules, meter=meter, command=command) as work:
        with told(command):
            found = _prepare(work, snapshot, coverage, journal, api, choice)
        yield found


def _prepare(
    work: Comparison, snapshot: Path, coverage: Path, journal: Path, api: TwilioApi, choice: Choice
) -> Prepared:
    found = work.coverage
    unknown = set(choice.services) - {service.service_sid for service in found.services}
    if unknown:
        raise UsageError(f"{snapshot} has no service {min(unknown)}")
    kept = read_retire_journal(journal, found.snapshot, api.account_sid, api.addresses.base("chat"))
    services = tuple(
        _count(work, index, choice, kept.deleted)
        for index, service in enumerate(found.services)
        if not choice.services or service.service_sid in choice.services
    )
    retirement = Retirement(found.account_sid, found.snapshot, found.snapshot_as_of, found.live_as_of, services)
    return Prepared(retirement, kept, write_coverage(coverage, found), work, choice)


def _pushed(notifications: str | None) -> list[str]:
    """What Conversations must push where Chat does as its `notifications` say."""
    chat = json.loads(notifications) if notifications else {"new_message": {"enabled": True}}
    return [push for name, push in SAME_PUSH.items() if (chat.get(name) or {}).get("enabled") is True]


def _count(work: Comparison, index: int, choice: Choice, deleted: Sids) -> ServiceRetirement:
    service = work.coverage.services[index]
    numbers = {"by_device": 0, "by_platform": 0, "shared": 0, "needed": 0, "earlier": 0}
    for batch in batches(work.lists[service.service_sid], ("sid", "by_platform", "is_shared", "is_needed")):
        wanted = _wanted(batch, choice, deleted)
        by_platform = pc.sum(wanted["by_platform"]).as_py() or 0
        numbers["by_platform"] += by_platform
        numbers["by_device"] += wanted.num_rows - by_platform
        numbers["shared"] += pc.sum(batch["is_shared"]).as_py() or 0
        numbers["needed"] += pc.sum(pc.and_not(batch["is_needed"], batch["is_shared"])).as_py() or 0
        numbers["earlier"] += pc.sum(deleted.among(batch["sid"])).as_py() or 0
    return ServiceRetirement(service.service_sid, service.friendly_name, service.total, **numbers)


def _wanted(batch: pa.RecordBatch, choice: Choice, deleted: Sids) -> pa.RecordBatch:
    """The rows to delete: neither shared nor needed, not deleted already, and ready in a way that was chosen."""
    left = pc.or_(pc.or_(batch["is_shared"], batch["is_needed"]), deleted.among(batch["sid"]))
    if not choice.also_by_platform:
        left = pc.or_(left, batch["by_platform"])
    return batch.filter(pc.invert(left))
