"""The rules of the translation: values that the mapper goes by, and the reason for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from migrate.model.digest import digest
from migrate.model.sids import normal
from migrate.model.templates import Lengths

DROP = "drop"  # a message type without an equivalent
BLOCK = "block"  # a binding type that somebody must decide about
LEAVE = "leave"  # a setting that stays as it is in Conversations
AS_NEW_MESSAGE = "as new_message"
PROPOSE = "propose"  # an inferred value waits for somebody to state it
TRUST = "trust"  # an inferred value is taken like one that Chat states


@dataclass(frozen=True)
class Rules:
    """All rules, by table and key as in default_rules.toml.

    SIDs in them are as Twilio writes them, however the operator did. `reasons` says why, by the rule's name
    (`message_types.new_message`); `text` is all of it as TOML; `file` is the operator's file that changes some, if
    there is one.
    """

    tables: Mapping[str, Mapping[str, Any]]
    reasons: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)
    file: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """What a plan names the rules by: it changes with any value, not with a reason."""
        return digest(_plain(self.tables))

    def to_json(self) -> dict[str, Any]:
        """All rules with their reasons."""
        return {
            name: {key: {"value": value, "reason": self.reasons[f"{name}.{key}"]} for key, value in table.items()}
            for name, table in _plain(self.tables).items()
        }

    @property
    def message_types(self) -> Mapping[str, str]:
        """Chat's message types to Conversations', or `DROP`."""
        return self.tables["message_types"]

    @property
    def targets(self) -> tuple[str, ...]:
        """Conversations' message types that something becomes, each once, in the order of the rules."""
        return tuple(dict.fromkeys(target for target in self.message_types.values() if target != DROP))

    @property
    def binding_types(self) -> Mapping[str, str]:
        """Chat's binding types to Conversations', or `BLOCK`."""
        return self.tables["binding_types"]

    @property
    def credentials(self) -> Mapping[str, str]:
        """Credential SIDs to those in their place."""
        return self.tables["credentials"]

    def inference(self, service_sid: str, push: str) -> str:
        """What becomes of an inferred switch of a push: `PROPOSE`, `LEAVE` or `TRUST`."""
        table = self.tables["inference"]
        of_service = table.get(normal(service_sid), {})
        if isinstance(of_service, str):
            return of_service
        found: str = of_service.get(push) or of_service.get("default") or table.get(push) or table["default"]
        return found

    @property
    def leave_out(self) -> frozenset[str]:
        """The services that get no entry in the push configuration."""
        return frozenset(self.tables["services"]["leave_out"])

    @property
    def lifetime(self) -> timedelta:
        """How long a binding lives from its last registration."""
        return timedelta(days=self.tables["limits"]["lifetime_days"])

    @property
    def bindings_per_identity(self) -> int:
        """How many bindings of an identity are no reason for a warning."""
        return int(self.tables["limits"]["bindings_per_identity"])

    @property
    def fcm_legacy_before(self) -> date:
        """FCM credentials not updated since are probably legacy ones."""
        found: date = self.tables["limits"]["fcm_legacy_before"]
        return found

    @property
    def lengths(self) -> Lengths:
        """What the length of a push is estimated with."""
        limits = self.tables["limits"]
        return Lengths(limits["name_characters"], limits["message_characters"])


def _plain(value: Any) -> Any:
    """A value of a TOML document as JSON has it."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value.isoformat() if isinstance(value, date) else value
