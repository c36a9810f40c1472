"""The answer to why a user gets no push: facts, what they amount to, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from migrate.map.outcome import ACTIONS
from migrate.model.masking import mask
from migrate.model.push_config import in_order, unreadable_of
from migrate.why.facts import Binding, Facts, PushError
from migrate.why.reasons import Verdict, judge
from migrate.why.switches import SWITCHES, in_chat, in_conversations


@dataclass(frozen=True)
class Answer:
    """What is known of a user in a service, and the verdict."""

    facts: Facts

    @cached_property
    def verdict(self) -> Verdict:
        """Why the user gets no push: the reasons, and what is not known."""
        return judge(self.facts)

    def identity(self, text: str | None, *, whole: bool) -> str | None:
        """An identity, masked unless it is asked for."""
        return text if text is None or whole else mask(text)

    def to_json(self, *, whole_identity: bool = False) -> dict[str, Any]:
        """The answer as one JSON document."""
        facts, verdict = self.facts, self.verdict
        return {
            "identity": self.identity(facts.identity, whole=whole_identity),
            "service": {"service_sid": facts.service_sid, "friendly_name": facts.service_name},
            "verdict": verdict.first.to_json(),
            "others": [reason.to_json() for reason in verdict.reasons[1:]],
            "unknown": list(verdict.unknown),
            "read": {"chat": facts.chat.to_json(), "conversations": facts.conversations.to_json()},
            "bindings": [self._binding(one, whole=whole_identity) for one in facts.bindings],
            "settings": {
                "chat": {push: in_chat(facts.notifications, push) for push in SWITCHES},
                "conversations": {push: in_conversations(facts, push) for push in SWITCHES},
                "unreadable": sorted(unreadable_of({} if facts.settings is None else facts.settings)),
            },
            "credentials": {sid: self._credential(sid) for sid in sorted(facts.credentials)},
            "push_errors": {
                "since": facts.errors.since,
                "until": facts.errors.until,
                "of_service": _told(facts.errors.of_service),
                "unread": facts.errors.unread,
                "partly": facts.errors.partly,
            },
            "plan": self._plan(),
        }

    def _binding(self, one: Binding, *, whole: bool) -> dict[str, Any]:
        facts = self.facts
        return {
            "sid": one.sid,
            "listed_by": list(one.sides),
            "made_by": one.made_by,
            "identity": self.identity(one.identity, whole=whole),
            "device": one.endpoint and mask(one.endpoint),
            "binding_type": one.binding_type,
            "credential_sid": one.credential_sid,
            "message_types": None if one.message_types is None else list(one.message_types),
            "last_seen": one.last_seen.isoformat() if one.last_seen else None,
            "is_expired": facts.is_expired(one),
            "is_registration": facts.is_registration(one),
            "is_device_shared": None if facts.shared is None else one.sid in facts.shared,
            "push_errors": _told(facts.errors.of_bindings.get(one.sid, ())),
        }

    def _credential(self, sid: str) -> dict[str, Any] | None:
        """A credential as far as it is known; None where the account does not have it."""
        found = self.facts.credentials[sid]
        if found is None:
            return None
        return {
            "friendly_name": found.friendly_name,
            "type": found.type,
            "sandbox": found.sandbox,
            "updated": found.updated.isoformat() if found.updated else None,
            "push_errors": _told(self.facts.errors.of_credentials.get(sid, ())),
        }

    def _plan(self) -> dict[str, Any] | None:
        planned = self.facts.planned
        if planned is None:
            return None
        change = planned.change
        changes: Mapping[str, Any] = (
            {path: {"existing": change.existing.get(path), "desired": change.desired[path]} for path in change.fields}
            if change
            else {}
        )
        return {
            "mapped": planned.folder,
            "left_out": planned.left_out,
            "desired": None if planned.desired is None else in_order(planned.desired),
            "changes": changes,
            "proposed": [proposal.path for proposal in planned.waiting],
            "push_credential_sids": {kind: sorted(sids) for kind, sids in sorted(planned.targets.items())},
            "bindings": {
                sid: {
                    "outcome": found.binding["outcome"],
                    "action": found.binding["action"],
                    "device_must": ACTIONS[found.binding["action"]],
                }
                for sid, found in sorted(planned.of_bindings.items())
            },
            "doubt": planned.doubt,
        }


def _told(errors: tuple[PushError, ...]) -> list[dict[str, Any]]:
    return [error.to_json() for error in errors]
