"""Facts: all that is known of one user in one service, wherever it was read. What is not known is None, and said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from migrate.map.explanation import Explanation
from migrate.model.credential import Credential
from migrate.model.plan import Change
from migrate.model.proposal import Proposal
from migrate.model.push_config import Settings
from migrate.model.registration import PUSHED_THROUGH, SUCCESSORS
from migrate.retire.pushes import has_chat_name, has_conversations_name
from migrate.retire.replacement import LIFETIME

Side = Literal["chat", "conversations"]
Made = Literal["conversations", "chat", "unknown"]


@dataclass(frozen=True)
class Binding:
    """A binding of the user; `sides` are the APIs that list it. `last_seen` is None where it is not dated."""

    sid: str
    identity: str | None
    endpoint: str | None
    binding_type: str | None
    credential_sid: str | None
    message_types: tuple[str | None, ...] | None
    last_seen: datetime | None
    sides: tuple[Side, ...]

    @classmethod
    def from_row(cls, row: Mapping[str, Any], side: Side) -> Binding:
        """The binding in a row of the `BINDINGS` schema."""
        types = row["message_types"]
        return cls(
            row["sid"],
            row["identity"],
            row["endpoint"],
            row["binding_type"],
            row["credential_sid"],
            None if types is None else tuple(types),
            row["date_updated"] or row["date_created"],
            (side,),
        )

    @property
    def made_by(self) -> Made:
        """Whose SDK made it. Conversations lists Chat's, too: the message types decide, and then who lists it."""
        names = None if self.message_types is None else list(self.message_types)
        if has_conversations_name(names):
            return "conversations"
        return "chat" if has_chat_name(names) or "chat" in self.sides else "unknown"

    @property
    def platform(self) -> str:
        """The push technology that the device has, or comes back with."""
        return SUCCESSORS.get(self.binding_type or "", self.binding_type or "")

    @property
    def is_phone(self) -> bool:
        """Whether a push may reach a phone by it: not a web client, and not GCM, which is gone."""
        return self.binding_type in PUSHED_THROUGH


def merged(chat: Iterable[Binding], conversations: Iterable[Binding]) -> tuple[Binding, ...]:
    """The bindings of both lists, each once; what both list is as Conversations has it. The latest come first."""
    found = {binding.sid: binding for binding in chat}
    for binding in conversations:
        sides = (*(found[binding.sid].sides if binding.sid in found else ()), *binding.sides)
        found[binding.sid] = replace(binding, sides=tuple(dict.fromkeys(sides)))
    dated = [one for one in found.values() if one.last_seen]
    undated = [one for one in found.values() if not one.last_seen]
    return (
        *sorted(dated, key=lambda one: (one.last_seen, one.sid), reverse=True),
        *sorted(undated, key=lambda one: one.sid),
    )


@dataclass(frozen=True)
class SideRead:
    """How one side was read: `as_of` what time, from `where`.

    `unread` says why its bindings are not known, and `partly` why some of them may be missing; empty where all are
    there. `is_missing`: that API has no such service.
    """

    where: str
    as_of: datetime | None = None
    unread: str = ""
    partly: str = ""
    is_missing: bool = False

    def to_json(self) -> dict[str, Any]:
        """The side as it stands in `--json`."""
        return {
            "where": self.where,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "is_missing": self.is_missing,
            "unread": self.unread,
            "partly": self.partly,
        }


@dataclass(frozen=True)
class Planned:
    """What a mapped folder has for the service and the user.

    `desired` is what push-config.yaml states, None where it has no entry; `change` is what `load` would change of the
    settings that were read, None for nothing; `waiting` are the proposals to decide. `targets` are the credentials
    that devices are to register with, by platform. `of_bindings` accounts for the user's bindings of Chat that were
    mapped, by SID. `doubt` says why it may not fit what was read.
    """

    folder: str
    left_out: bool
    desired: Settings | None
    change: Change | None
    waiting: tuple[Proposal, ...]
    targets: Mapping[str, frozenset[str]]
    of_bindings: Mapping[str, Explanation]
    doubt: str = ""


@dataclass(frozen=True)
class PushError:
    """The push errors of one code: how many, and between which times (ISO 8601, UTC; empty where none is dated)."""

    code: int
    errors: int
    first: str
    last: str

    def to_json(self) -> dict[str, Any]:
        """The errors as they stand in `--json`."""
        return vars(self)


@dataclass(frozen=True)
class PushErrors:
    """The push errors that were read of a span of time: by credential, by binding, and of the service as a whole.

    `unread` says why there are none to go by, `partly` why some may be missing.
    """

    since: str = ""
    until: str = ""
    of_credentials: Mapping[str, tuple[PushError, ...]] = field(default_factory=dict)
    of_bindings: Mapping[str, tuple[PushError, ...]] = field(default_factory=dict)
    of_service: tuple[PushError, ...] = ()
    unread: str = ""
    partly: str = ""


@dataclass(frozen=True)
class Facts:
    """All that is known of one user in one service.

    `identity` is as it was asked for; `bindings` name it, in whatever case or Unicode form. `notifications` are
    Chat's settings and `settings` those of Conversations; None where they are not known. `credentials` are those of
    the bindings and the plan by SID: None for one that the account does not have. `shared` are the SIDs of bindings
    whose device is registered under another identity, too; None where nothing shows that. `pending` are the SIDs of
    Chat's bindings that a list of `verify` waits for; None without such a list.
    """

    identity: str
    service_sid: str
    service_name: str
    bindings: tuple[Binding, ...]
    chat: SideRead
    conversations: SideRead
    notifications: Any
    settings: Settings | None
    credentials: Mapping[str, Credential | None]
    errors: PushErrors
    planned: Planned | None = None
    shared: frozenset[str] | None = None
    pending: frozenset[str] | None = None
    lifetime: timedelta = LIFETIME

    def is_expired(self, binding: Binding) -> bool:
        """Whether a binding is past its lifetime; one without a date is not shown to be."""
        side = self.conversations if "conversations" in binding.sides else self.chat
        if binding.last_seen is None or side.as_of is None:
            return False
        return binding.last_seen < side.as_of - self.lifetime

    def days(self, binding: Binding) -> int | None:
        """Whole days since the device registered last."""
        side = self.conversations if "conversations" in binding.sides else self.chat
        return (side.as_of - binding.last_seen).days if side.as_of and binding.last_seen else None

    def is_registration(self, binding: Binding) -> bool:
        """Whether it is shown that the Conversations SDK has registered a phone by it, in Conversations."""
        listed = "conversations" in binding.sides or bool(self.conversations.unread)
        return binding.is_phone and binding.made_by == "conversations" and listed

    @property
    def registered(self) -> list[Binding]:
        """The user's phones in Conversations that have not expired."""
        return [one for one in self.bindings if self.is_registration(one) and not self.is_expired(one)]

    @property
    def unclear(self) -> list[Binding]:
        """Live bindings of phones that do not show which SDK has made them, or that Conversations does not list."""
        return [
            one
            for one in self.bindings
            if one.is_phone and one.made_by != "chat" and not self.is_registration(one) and not self.is_expired(one)
        ]

    @property
    def of_chat(self) -> list[Binding]:
        """The user's phones, of GCM too, that the Chat SDK has registered, and that have not expired."""
        return [
            one
            for one in self.bindings
            if one.made_by == "chat" and (one.is_phone or one.binding_type in SUCCESSORS) and not self.is_expired(one)
        ]

    @property
    def candidates(self) -> list[Binding]:
        """The bindings that a push would go to: those of Conversations, or else what there is."""
        return self.registered or self.unclear or [one for one in self.of_chat if one.is_phone]

    @property
    def spellings(self) -> Sequence[str]:
        """The identities of the bindings, each once."""
        return sorted({one.identity for one in self.bindings if one.identity is not None})
