"""A plan: the ordered changes that make the live configuration the desired one, and the findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from migrate.model.digest import canonical_json, digest
from migrate.model.finding import Finding, count_by_severity
from migrate.model.proposal import Proposal
from migrate.model.push_config import FIELD_BY_PATH, Settings, in_order
from migrate.model.push_credential import CREDENTIAL, CredentialChange
from migrate.model.sids import is_account_sid, is_service_sid

PLAN_FORMAT = 4
NOTIFICATIONS = "notifications"
JOURNAL = ".journal.jsonl"  # how the journal of a saved plan ends, in the place of .json
ROLLBACK = ".rollback.jsonl"  # and that of a journal's rollback, in the place of .jsonl


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
    kind: str = NOTIFICATIONS

    @property
    def subject(self) -> str:
        """What is changed, in a message: the service's SID."""
        return self.service_sid

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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Change:
        """The change that `to_json` wrote. Raises LookupError, TypeError or ValueError for anything else."""
        change = cls(
            data["service_sid"],
            data["friendly_name"],
            settings_of(data["existing"]),
            settings_of(data["desired"]),
            tuple(data["fields"]),
            data["kind"],
        )
        texts = (change.service_sid, change.friendly_name)
        if not all(isinstance(text, str) for text in texts) or not is_service_sid(change.service_sid):
            raise TypeError(f"not a change: {change}")
        if change.kind != NOTIFICATIONS or not change.fields or not set(change.fields) <= set(change.desired):
            raise ValueError(f"not a change: {change}")
        return change


AnyChange = Change | CredentialChange


@dataclass(frozen=True)
class Plan:
    """Changes in the order of their service SID, findings the worst first, and the digests of what they rest on.

    `credentials` are written before the services. `target` is the address of the Conversations API that it was made
    from, `as_of` the snapshot's time. `bindings` counts the snapshot's bindings by outcome; `services` has the
    friendly name of every service that the plan speaks of, `unchanged` the SIDs of those that need nothing, `missing`
    of those that Conversations lacks.

    `proposals` are what is only inferred, not live already, and not written, by service and in reading order; `live`
    has all settings of each service with one, as they were when the plan was made.
    """

    account_sid: str
    target: str
    as_of: str
    snapshot: str
    rules: str
    push_config: str
    bindings: dict[str, int]
    services: dict[str, str]
    changes: tuple[Change, ...]
    unchanged: tuple[str, ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    credentials: tuple[CredentialChange, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    live: dict[str, Settings] = field(default_factory=dict)

    @property
    def objects(self) -> tuple[AnyChange, ...]:
        """Everything that would be written, in the order in which it is."""
        return (*self.credentials, *self.changes)

    @cached_property
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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` wrote, unaltered. Raises LookupError, TypeError or ValueError for anything else."""
        if data["format_version"] != PLAN_FORMAT:
            raise ValueError("another format")
        plan = cls(
            account_sid=data["account_sid"],
            target=data["target"],
            as_of=data["as_of"],
            **{name: data["digests"][name] for name in ("snapshot", "rules", "push_config")},
            bindings=data["counts"]["bindings"],
            services=data["services"],
            changes=tuple(Change.from_json(change) for change in data["changes"] if not _is_credential(change)),
            unchanged=tuple(data["unchanged"]),
            missing=tuple(data["missing"]),
            findings=tuple(Finding.from_json(finding) for finding in data["findings"]),
            credentials=tuple(
                CredentialChange.from_json(change) for change in data["changes"] if _is_credential(change)
            ),
            proposals=tuple(Proposal.from_json(proposal) for proposal in data["proposals"]),
            live={sid: settings_of(settings) for sid, settings in data["live"].items()},
        )
        texts = [plan.account_sid, plan.target, plan.as_of, *plan.unchanged, *plan.missing]
        texts += [plan.snapshot, plan.rules, plan.push_config, *plan.services, *plan.services.values()]
        texts += [*plan.bindings, *(found.service_sid for found in plan.findings if found.service_sid is not None)]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a name is no text")
        if not is_account_sid(plan.account_sid):
            raise ValueError("the account is none")
        if not all(type(number) is int for number in plan.bindings.values()):
            raise TypeError("a count is no number")
        if not plan._proposes_what_is_open():
            raise ValueError("a proposal for what is decided")
        if plan.as_of and datetime.fromisoformat(plan.as_of).tzinfo is None:
            raise ValueError("a time without a zone")
        # Its id covers all of it: what somebody has changed by hand is no plan that anybody has seen.
        if canonical_json(plan.to_json()) != canonical_json(data):
            raise ValueError("it does not add up")
        return plan

    def _proposes_what_is_open(self) -> bool:
        """Whether each proposal is for a setting that no change states, of a service whose live settings are here."""
        stated = {(change.service_sid, path) for change in self.changes for path in change.desired}
        existing = {change.service_sid: change.existing for change in self.changes}
        named = {proposal.service_sid for proposal in self.proposals}
        return (
            set(self.live) == named <= set(self.services)
            and all(existing.get(sid, settings) == settings for sid, settings in self.live.items())
            and all((one.service_sid, one.path) not in stated for one in self.proposals)
            and not any(one.is_so(self.live[one.service_sid]) for one in self.proposals)
        )

    def _content(self) -> dict[str, Any]:
        return {
            "format_version": PLAN_FORMAT,
            "account_sid": self.account_sid,
            "target": self.target,
            "as_of": self.as_of,
            "digests": {
                "snapshot": self.snapshot,
                "rules": self.rules,
                "push_config": self.push_config,
            },
            "services": self.services,
            "changes": [change.to_json() for change in self.objects],
            "unchanged": list(self.unchanged),
            "missing": list(self.missing),
            "findings": [finding.to_json() for finding in self.findings],
            "proposals": [proposal.to_json() for proposal in self.proposals],
            "live": {sid: dict(settings) for sid, settings in self.live.items()},
            "counts": {
                "services": len(self.changes) + len(self.unchanged) + len(self.missing),
                "changes": len(self.objects),
                "fields": self.fields,
                "proposals": len(self.proposals),
                "bindings": self.bindings,
                "findings": count_by_severity(self.findings),
            },
        }


def _is_credential(change: Mapping[str, Any]) -> bool:
    return bool(change["kind"] == CREDENTIAL)


def settings_of(data: Any) -> Settings:
    """Settings of known paths and right types. Raises LookupError or TypeError for anything else."""
    if not isinstance(data, Mapping) or not all(
        type(value) is FIELD_BY_PATH[path].type for path, value in data.items()
    ):
        raise TypeError(f"not settings: {data}")
    return in_order(data)
