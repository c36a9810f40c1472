"""What is counted over the bindings of one service while they are mapped."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from migrate.map.credentials import Note
from migrate.map.decision import Decision, Facts
from migrate.map.mapped_folder import CredentialUse
from migrate.model.finding import MAX_EXAMPLES, Finding

NONE = "none"  # a field that is null


class TaskCounts:
    """What a task has counted: bindings of each service by the facts that decide about them.

    `decisions` has what was decided, each once.
    """

    def __init__(self) -> None:
        self.decisions: dict[Facts, Decision] = {}
        self._counts: dict[tuple[int, Facts], int] = {}
        self._sids: dict[tuple[int, Facts], list[str]] = {}

    def add(self, service: int, facts: Facts, count: int, sids: Sequence[str]) -> None:
        """Count bindings of a service, by its place in the task; `sids` holds at least the smallest of theirs."""
        key = service, facts
        self._counts[key] = self._counts.get(key, 0) + count
        if sids:
            self._sids[key] = heapq.nsmallest(MAX_EXAMPLES, (*self._sids.get(key, ()), *sids))

    def by_service(self, services: int = 1) -> list[ServiceCounts]:
        """What was counted of so many services, in the order of their places."""
        found = [ServiceCounts() for _ in range(services)]
        for (service, facts), count in self._counts.items():
            found[service].add(self.decisions[facts], facts, count, self._sids.get((service, facts), ()))
        return found


@dataclass
class ServiceCounts:
    """What was counted over bindings of one service. Counts add up, in any order, to the same result."""

    rows: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    binding_types: Counter[str] = field(default_factory=Counter)
    subscribers: Counter[str] = field(default_factory=Counter)  # live bindings by target message type
    types: Counter[tuple[str, str]] = field(default_factory=Counter)  # the same, by binding type too
    askers: Counter[str] = field(default_factory=Counter)  # live bindings by what they ask for: Chat's message type
    used: Counter[tuple[str, str]] = field(default_factory=Counter)  # bindings by credential and binding type
    live: Counter[str] = field(default_factory=Counter)  # live bindings by credential
    successors: dict[str, set[str | None]] = field(default_factory=dict)  # what live bindings are to register with
    notes: Counter[Note] = field(default_factory=Counter)
    examples: dict[Note, list[str]] = field(default_factory=dict)

    def add(self, decision: Decision, facts: Facts, count: int, sids: Iterable[str]) -> None:
        """Count the bindings that share a decision; `sids` holds at least the smallest of theirs."""
        binding_type = NONE if facts.binding_type is None else facts.binding_type
        credential = NONE if facts.credential_sid is None else facts.credential_sid
        self.rows += count
        self.outcomes[decision.outcome] += count
        self.actions[decision.action] += count
        self.binding_types[binding_type] += count
        self.used[credential, binding_type] += count
        if not facts.expired:
            self.subscribers.update(dict.fromkeys(decision.target_message_types or (), count))
            self.types.update(
                dict.fromkeys(((target, binding_type) for target in decision.target_message_types or ()), count)
            )
            self.askers.update(dict.fromkeys(decision.asked_for, count))
            self.live[credential] += count
            self.successors.setdefault(credential, set()).add(decision.target_credential_sid)
        sids = list(sids)
        for note in decision.notes:
            self._note(note, count, sids)

    def merge(self, other: ServiceCounts) -> None:
        """Add what another has counted."""
        self.rows += other.rows
        for name in ("outcomes", "actions", "binding_types", "subscribers", "types", "askers", "used", "live"):
            getattr(self, name).update(getattr(other, name))
        for credential, successors in other.successors.items():
            self.successors.setdefault(credential, set()).update(successors)
        for note, count in other.notes.items():
            self._note(note, count, other.examples[note])

    def _note(self, note: Note, count: int, sids: Iterable[str]) -> None:
        self.notes[note] += count
        self.examples[note] = heapq.nsmallest(MAX_EXAMPLES, (*self.examples.get(note, ()), *sids))

    def findings(self, service_sid: str) -> list[Finding]:
        """The notes as findings of a service."""
        return [
            Finding(code, service_sid, subject, count, tuple(self.examples[code, subject]))
            for (code, subject), count in self.notes.items()
        ]

    def platforms(self, target: str) -> dict[str, int]:
        """The live bindings that subscribe to one of Conversations' message types, by their binding type."""
        return {kind: count for (name, kind), count in sorted(self.types.items()) if name == target}

    def credentials(self) -> list[CredentialUse]:
        """The credentials that the bindings use, as they stand in summary.json, in the order of their SID.

        `push_credential_sid` is what the token server is to hand out in their place: the same one, another, or
        null while undecided. Those that only expired bindings have need none.
        """
        types: dict[str, dict[str, int]] = {}
        for (sid, kind), count in sorted(self.used.items()):
            types.setdefault(sid, {})[kind] = count
        types.pop(NONE, None)
        return [
            {
                "credential_sid": sid,
                "bindings": counts,
                "live": self.live[sid],
                "push_credential_sid": self._next(sid),
            }
            for sid, counts in types.items()
        ]

    def _next(self, sid: str) -> str | None:
        """What live bindings of a credential are to register with; None unless that is one for all of them."""
        successors = self.successors.get(sid, {sid})
        return next(iter(successors)) if len(successors) == 1 else None
