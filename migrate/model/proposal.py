"""Proposals: values that are only inferred, and that are not written before a person or a rule has said so.

SDKs cannot choose message types, so what bindings subscribe to says what devices can receive, and not what was
switched on (FACTS.md, "Binding"). A switch that Chat does not state is therefore proposed, and what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from migrate.model.documents import Count, ServiceSid, builtins
from migrate.model.push_config import FIELDS, SettingPath, SettingPathOrNone, Settings, Value, is_value_of
from migrate.model.text import printable

_ORDER = {item.path: place for place, item in enumerate(FIELDS)}


class Proposal(Struct, frozen=True):
    """One setting of a service with the value that is proposed for it, and what speaks for that.

    `reason` is why it is inferred, in words; `bindings` is the number of live bindings that subscribe to its push,
    and `platforms` the same by their binding type. `follows` is the switch that it rests on, empty where it rests on
    none: once a person has stated that switch as off, there is nothing left to decide.
    """

    service_sid: ServiceSid
    path: SettingPath
    value: Value
    reason: str
    bindings: Count = 0
    platforms: Mapping[str, Count] = {}
    follows: SettingPathOrNone = ""

    def __post_init__(self) -> None:
        if not is_value_of(self.path, self.value):
            raise ValueError(f"not a value of {self.path}")

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
        return dict(builtins(self))

    def is_so(self, settings: Settings) -> bool:
        """Whether settings have the value already; what is not set is the same as off, or as an empty text."""
        return settings.get(self.path, type(self.value)()) == self.value


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
