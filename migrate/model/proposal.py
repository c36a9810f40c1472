"""Proposals: values that are only inferred, and that are not written before a person or a rule has said so.

SDKs cannot choose message types, so what bindings subscribe to says what devices can receive, and not what was
switched on (FACTS.md, "Binding"). A switch that Chat does not state is therefore proposed, and what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from migrate.model.push_config import FIELD_BY_PATH, FIELDS, Settings, Value
from migrate.model.sids import is_service_sid
from migrate.model.text import printable

_ORDER = {item.path: place for place, item in enumerate(FIELDS)}


@dataclass(frozen=True)
class Proposal:
    """One setting of a service with the value that is proposed for it, and what speaks for that.

    `reason` is why it is inferred, in words; `bindings` is the number of live bindings that subscribe to its push,
    and `platforms` the same by their binding type. `follows` is the switch that it rests on, empty where it rests on
    none: once a person has stated that switch as off, there is nothing left to decide.
    """

    service_sid: str
    path: str
    value: Value
    reason: str
    bindings: int = 0
    platforms: Mapping[str, int] = field(default_factory=dict)
    follows: str = ""

    @property
    def subscribers(self) -> str:
        """The bindings that speak for it: `15 live bindings subscribe to it (apn 9, fcm 6)`."""
        what = "live binding subscribes" if self.bindings == 1 else "live bindings subscribe"
        by_type = ", ".join(f"{printable(name[:20])} {number:,}" for name, number in self.platforms.items())
        return f"{self.bindings:,} {what} to it" + (f" ({by_type})" if by_type else "")

    @property
    def evidence(self) -> str:
        """What speaks for it, in one printable line."""
        return f"{printable(self.reason)}; {self.subscribers}"

    def sort_key(self) -> tuple[str, int]:
        """By service, and in reading order."""
        return self.service_sid, _ORDER[self.path]

    def to_json(self) -> dict[str, Any]:
        """The proposal as it stands in summary.json and plan.json."""
        return {
            "service_sid": self.service_sid,
            "path": self.path,
            "value": self.value,
            "reason": self.reason,
            "bindings": self.bindings,
            "platforms": dict(self.platforms),
            "follows": self.follows,
        }

    def is_so(self, settings: Settings) -> bool:
        """Whether settings have the value already; what is not set is the same as off, or as an empty text."""
        return settings.get(self.path, type(self.value)()) == self.value

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proposal:
        """The proposal that `to_json` wrote. Raises LookupError, TypeError or ValueError for anything else."""
        names = ("service_sid", "path", "value", "reason", "bindings", "platforms", "follows")
        found = cls(*(data[name] for name in names))
        texts = (found.service_sid, found.reason, found.follows, *found.platforms)
        numbers = (found.bindings, *found.platforms.values())
        if not all(isinstance(text, str) for text in texts) or not is_service_sid(found.service_sid):
            raise TypeError(f"not a proposal: {found}")
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise TypeError(f"not a proposal: {found}")
        if type(found.value) is not FIELD_BY_PATH[found.path].type or found.follows not in ("", *FIELD_BY_PATH):
            raise ValueError(f"not a proposal: {found}")
        return found


def waiting(proposals: Iterable[Proposal], stated: Settings, live: Settings | None) -> tuple[Proposal, ...]:
    """The proposals for one service that wait for a decision, in reading order.

    What the push configuration has `stated` is decided, and so is what follows from a switch that it states as off.
    What is `live` in Conversations as proposed stays so, and needs no decision; None where that is not known.
    """
    found = (
        proposal
        for proposal in proposals
        if proposal.path not in stated
        and stated.get(proposal.follows) is not False
        and not (live is not None and proposal.is_so(live))
    )
    return tuple(sorted(found, key=Proposal.sort_key))
