"""A plan: the ordered changes that make the live configuration the desired one, and the findings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from migrate.model.counted_errors import CountedErrors
from migrate.model.digest import digest
from migrate.model.documents import AccountSid, Count, DocumentError, ServiceSid, builtins, decode, is_same, moment
from migrate.model.finding import Finding, count_by_severity
from migrate.model.proposal import Proposal
from migrate.model.push_config import Settings, in_order, is_value_of
from migrate.model.push_credential import CREDENTIAL, CredentialChange

PLAN_FORMAT = 4
NOTIFICATIONS: Literal["notifications"] = "notifications"
JOURNAL = ".journal.jsonl"  # how the journal of a saved plan ends, in the place of .json
ROLLBACK = ".rollback.jsonl"  # and that of a journal's rollback, in the place of .jsonl


class Change(Struct, frozen=True):
    """One service's settings, `existing` → `desired`; `fields` are the paths that differ, in reading order.

    `existing` is everything that is live, `desired` everything that the push configuration states.
    """

    service_sid: ServiceSid
    friendly_name: str
    existing: Settings
    desired: Settings
    fields: Annotated[tuple[str, ...], Meta(min_length=1)]
    kind: Literal["notifications"] = NOTIFICATIONS

    @property
    def subject(self) -> str:
        """What is changed, in a message: the service's SID."""
        return self.service_sid

    @classmethod
    def from_json(cls, data: Any) -> Change:
        """The change as it stands in plan.json. Raises `DocumentError` for anything else."""
        change = decode(data, cls)
        if not set(change.fields) <= set(change.desired):
            raise DocumentError("fields: not those that are desired")
        return replace(change, existing=settings_of(change.existing), desired=settings_of(change.desired))


AnyChange = Change | CredentialChange


class Plan(Struct, frozen=True, dict=True):
    """Changes in the order of their service SID, findings the worst first, and the digests of what they rest on.

    `credentials` are written before the services. `target` is the address of the Conversations API that it was made
    from, `as_of` the snapshot's time. `bindings` counts the snapshot's bindings by outcome; `services` has the
    friendly name of every service that the plan speaks of, `unchanged` the SIDs of those that need nothing, `missing`
    of those that Conversations lacks.

    `devices` are the live bindings of each service that has some: each is a device that its settings reach.
    `push_errors` are those before the snapshot; None where it has none.

    `proposals` are what is only inferred, not live already, and not written, by service and in reading order; `live`
    has all settings of each service with one, as they were when the plan was made.
    """

    account_sid: AccountSid
    target: str
    as_of: str
    snapshot: str
    rules: str
    push_config: str
    bindings: dict[str, Count]
    services: dict[str, str]
    changes: tuple[Change, ...]
    unchanged: tuple[str, ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    credentials: tuple[CredentialChange, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    live: dict[str, Settings] = {}
    devices: dict[str, Count] = {}
    push_errors: CountedErrors | None = None

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
        """The plan that `to_json` wrote, unaltered. Raises `DocumentError` for anything else."""
        saved = decode(data, _Saved)
        changes = [Change.from_json(change) for change in saved.changes if not _is_credential(change)]
        credentials = [CredentialChange.from_json(change) for change in saved.changes if _is_credential(change)]
        live = {sid: settings_of(settings) for sid, settings in saved.live.items()}
        facts = {**data, **saved.digests, "bindings": saved.counts.get("bindings"), "changes": (), "live": {}}
        plan = replace(decode(facts, cls), changes=tuple(changes), credentials=tuple(credentials), live=live)
        if plan.as_of:
            moment(plan.as_of)
        if not plan._proposes_what_is_open():
            raise DocumentError("proposals: not what is open")
        # Its id covers all of it: what somebody has changed by hand is no plan that anybody has seen.
        if not is_same(plan.to_json(), data):
            raise DocumentError("its id is not that of its content")
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
            "changes": [*(change.to_json() for change in self.credentials), *builtins(self.changes)],
            "unchanged": list(self.unchanged),
            "missing": list(self.missing),
            "findings": [finding.to_json() for finding in self.findings],
            "proposals": builtins(self.proposals),
            "live": builtins(self.live),
            **({"devices": self.devices} if self.devices else {}),  # which plans of earlier versions have not
            **({"push_errors": builtins(self.push_errors)} if self.push_errors else {}),  # nor these
            "counts": {
                "services": len(self.changes) + len(self.unchanged) + len(self.missing),
                "changes": len(self.objects),
                "fields": self.fields,
                "proposals": len(self.proposals),
                "bindings": self.bindings,
                "findings": count_by_severity(self.findings),
            },
        }


class _Saved(Struct, frozen=True):
    """What stands elsewhere in plan.json than in a `Plan`."""

    digests: dict[str, Any]
    counts: dict[str, Any]
    changes: tuple[dict[str, Any], ...]
    live: dict[str, Any]


def _is_credential(change: Mapping[str, Any]) -> bool:
    return change.get("kind") == CREDENTIAL


def settings_of(data: Any) -> Settings:
    """Settings of known paths and right types, in reading order. Raises `DocumentError` for anything else."""
    settings = decode(data, dict[str, Any])
    if not all(is_value_of(path, value) for path, value in settings.items()):
        raise DocumentError("a setting is not known, or its value of another type")
    return in_order(settings)
