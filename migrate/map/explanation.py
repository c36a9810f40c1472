"""One binding accounted for: what it was, what it becomes, by which rules, and what its device must do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrate.map.outcome import ACTIONS
from migrate.model.catalogue import CATALOGUE
from migrate.model.masking import mask


@dataclass(frozen=True)
class RuleUsed:
    """A rule that decided something: its name, its value as TOML has it, and the reason for it."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True)
class Explanation:
    """All that is known of one binding.

    `binding` is its row of the `MAPPED_BINDINGS` schema; `pushes` says of each message type that it is to receive
    whether push-config.yaml has that push on, None where it does not say, and `proposed` has those that wait for a
    decision; `notes` are codes of findings and what they are about. `others` are the same binding in further
    services, should some list it too.
    """

    service_sid: str
    service_name: str
    left_out: bool
    as_of: datetime
    binding: Mapping[str, Any]
    pushes: Mapping[str, bool | None]
    rules: tuple[RuleUsed, ...]
    notes: tuple[tuple[str, str], ...]
    proposed: tuple[str, ...] = ()
    others: tuple[Explanation, ...] = ()

    @property
    def days(self) -> int | None:
        """Whole days from the device's last registration to the snapshot."""
        last_seen = self.binding["last_seen"]
        return (self.as_of - last_seen).days if last_seen else None

    @property
    def device_must(self) -> str:
        """What the device must do, in a sentence."""
        return ACTIONS[self.binding["action"]]

    def identity(self, *, whole: bool) -> str | None:
        """The identity, masked unless it is asked for."""
        identity: str | None = self.binding["identity"]
        return identity if identity is None or whole else mask(identity)

    def to_json(self, *, whole_identity: bool = False) -> dict[str, Any]:
        """The explanation as one JSON document."""
        last_seen = self.binding["last_seen"]
        return {
            "service": {
                "service_sid": self.service_sid,
                "friendly_name": self.service_name,
                "left_out": self.left_out,
            },
            "as_of": self.as_of.isoformat(),
            "binding": {
                **self.binding,
                "identity": self.identity(whole=whole_identity),
                "last_seen": last_seen.isoformat() if last_seen else None,
            },
            "pushes": dict(self.pushes),
            "proposed": list(self.proposed),
            "rules": [vars(rule) for rule in self.rules],
            "findings": [
                {
                    "code": code,
                    "subject": subject,
                    "severity": CATALOGUE[code].severity,
                    "meaning": CATALOGUE[code].meaning,
                    "remedy": CATALOGUE[code].remedy,
                }
                for code, subject in self.notes
            ],
            "device_must": self.device_must,
            "others": [other.to_json(whole_identity=whole_identity) for other in self.others],
        }
