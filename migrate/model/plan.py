"""A plan: the ordered changes that make the live configuration the desired one, and the findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrate.model.digest import digest
from migrate.model.finding import Finding, count_by_severity
from migrate.model.push_config import Settings

PLAN_FORMAT = 1


@dataclass(frozen=True)
class Change:
    """One service's settings, `existing` → `desired`; `fields` are the paths that differ, in reading order.

    `existing` is everything that is live, `desired` everything that the push configuration states.
    """

    service_sid: str
    friendly_name: str
    existing: Settings
    desired: Settings
    fields: tuple[str, ...]
    kind: str = "notifications"

    def to_json(self) -> dict[str, Any]:
        """The change as it stands in plan.json."""
        return {
            "service_sid": self.service_sid,
            "friendly_name": self.friendly_name,
            "kind": self.kind,
            "existing": dict(self.existing),
            "desired": dict(self.desired),
            "fields": list(self.fields),
        }


@dataclass(frozen=True)
class Plan:
    """Changes in the order of their service SID, findings the worst first, and the digests of what they rest on.

    `bindings` counts the snapshot's bindings by outcome; `services` has the friendly name of every service that
    the plan speaks of, `unchanged` the SIDs of those that need nothing, `missing` of those that Conversations lacks.
    """

    account_sid: str
    snapshot: str
    rules: str
    push_config: str
    bindings: dict[str, int]
    services: dict[str, str]
    changes: tuple[Change, ...]
    unchanged: tuple[str, ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def plan_id(self) -> str:
        """The digest of everything else in the plan: equal plans have equal ids."""
        return digest(self._content())

    @property
    def fields(self) -> int:
        """The number of settings that would change."""
        return sum(len(change.fields) for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """The content of plan.json. It holds no time, no secret and no personal data."""
        return {"plan_id": self.plan_id, **self._content()}

    def _content(self) -> dict[str, Any]:
        return {
            "format_version": PLAN_FORMAT,
            "account_sid": self.account_sid,
            "digests": {
                "snapshot": self.snapshot,
                "rules": self.rules,
                "push_config": self.push_config,
            },
            "services": self.services,
            "changes": [change.to_json() for change in self.changes],
            "unchanged": list(self.unchanged),
            "missing": list(self.missing),
            "findings": [finding.to_json() for finding in self.findings],
            "counts": {
                "services": len(self.changes) + len(self.unchanged) + len(self.missing),
                "changes": len(self.changes),
                "fields": self.fields,
                "bindings": self.bindings,
                "findings": count_by_severity(self.findings),
            },
        }
