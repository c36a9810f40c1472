"""The decision about one binding: what it becomes and by which rules, from the few facts that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from migrate.map.credentials import Credentials, Note, Succession
from migrate.map.outcome import Action, Outcome
from migrate.map.rules import BLOCK, DROP, Rules
from migrate.model.catalogue import CATALOGUE
from migrate.model.push_config import PUSHES

# The columns of a mapped binding that are decided.
DECIDED = ("target_binding_type", "target_message_types", "target_credential_sid", "outcome", "action", "findings")
MESSAGE_TYPE = "message_types."  # how rules for message types are called


@dataclass(frozen=True)
class Facts:
    """All that decides about a binding. Bindings with equal facts share one decision.

    `missing` names the fields that are null, of those that a device cannot be followed without; `shared` and
    `crowded` are what only the other bindings of its service show.
    """

    binding_type: str | None
    credential_sid: str | None
    message_types: tuple[str | None, ...] | None
    expired: bool = False
    missing: tuple[str, ...] = ()
    shared: bool = False
    crowded: bool = False


@dataclass(frozen=True)
class Decision:
    """What a binding becomes. `target_message_types` is in the order of `PUSHES`; None where unknown.

    `asked_for` are the pushes that it subscribes to, by Chat's name, or Conversations' where it has that. `notes` is
    everything that is to be said about it, `rules` names the rules that made it so.
    """

    target_binding_type: str | None
    target_credential_sid: str | None
    target_message_types: tuple[str, ...] | None
    asked_for: frozenset[str]
    outcome: Outcome
    action: Action
    notes: tuple[Note, ...]
    rules: tuple[str, ...]

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns `DECIDED`, by name."""
        targets = self.target_message_types
        return {
            "target_binding_type": self.target_binding_type,
            "target_message_types": None if targets is None else list(targets),
            "target_credential_sid": self.target_credential_sid,
            "outcome": self.outcome,
            "action": self.action,
            "findings": sorted({code for code, _ in self.notes}),
        }


@dataclass(frozen=True)
class MessageType:
    """What one message type of a binding becomes in Conversations: `target`, empty without one.

    `code` is the finding that goes with it, empty where there is nothing to say; `rules` names those that made it so.
    `is_lost`: the device had that push, and gets no such push any more; `is_known`: a rule or Conversations has it;
    `is_conversations`: it is registered through the Conversations SDK.
    """

    target: str = ""
    code: str = ""
    rules: tuple[str, ...] = ()
    is_lost: bool = False
    is_known: bool = True
    is_conversations: bool = False


@dataclass(frozen=True)
class _Translation:
    targets: tuple[str, ...] | None
    asked_for: frozenset[str]
    notes: tuple[Note, ...]
    rules: tuple[str, ...]
    is_reduced: bool = False
    is_conversations: bool = False


def decide(facts: Facts, rules: Rules, credentials: Credentials) -> Decision:
    """The one outcome of bindings with these facts, and everything that is to be said about them."""
    target, used = rules.binding_types.get(facts.binding_type or ""), []
    notes = _common(facts)
    if target is not None:
        used.append(f"binding_types.{facts.binding_type}")
    if facts.expired:  # nothing to decide about a device that is gone
        used.append("limits.lifetime_days")
        follow = Succession(None, ())
    else:
        if target is None:
            notes.append(("binding-type-unknown", facts.binding_type or "none"))
        elif target == BLOCK:
            notes.append(("binding-type-blocked", str(facts.binding_type)))
        wanted = None if target in (None, BLOCK) else target
        follow = credentials.succession(facts.credential_sid, facts.binding_type, wanted, rules)
    types = translate_message_types(facts.message_types, rules)
    said = (*notes, *follow.notes, *types.notes)
    outcome = _outcome(facts, types, said)
    return Decision(
        None if target == BLOCK else target,
        follow.credential_sid,
        types.targets,
        types.asked_for,
        outcome,
        _action(outcome, types, follow),
        tuple(sorted(set(said))),
        (*used, *follow.rules, *types.rules),
    )


def _common(facts: Facts) -> list[Note]:
    """What is to be said of a binding, live or not."""
    notes = [("binding-incomplete", name) for name in facts.missing]
    for code, holds in (
        ("binding-expired", facts.expired),
        ("endpoint-shared", facts.shared),
        ("identity-crowded", facts.crowded),
    ):
        if holds:
            notes.append((code, ""))
    return notes


def _outcome(facts: Facts, types: _Translation, notes: Sequence[Note]) -> Outcome:
    if facts.expired:
        return "expired"
    if any(CATALOGUE[code].severity == "blocker" for code, _ in notes):
        return "blocked"
    return "reduced" if types.is_reduced else "carried"


def _action(outcome: Outcome, types: _Translation, follow: Succession) -> Action:
    if outcome == "blocked":
        return "decide"
    if outcome == "expired":
        return "none"
    if follow.is_new:
        return "register-with-new-credential"
    return "registered" if types.is_conversations else "register"


def translate_message_types(names: Sequence[str | None] | None, rules: Rules) -> _Translation:
    """Conversations' message types for a binding's, in the order of `PUSHES`, and what is to be said of them."""
    if names is None:
        return _Translation(None, frozenset(), (("message-types-missing", ""),), ())
    found: dict[str, str] = {}  # what is asked for, and what that becomes
    notes: list[Note] = []
    types = [translate_message_type(name, rules) for name in names]
    for name, one in zip(names, types, strict=True):
        if one.target:
            found[_asked_for(one)] = one.target
        if one.code:
            notes.append((one.code, "" if one.is_conversations else _shown(name)))
    return _Translation(
        tuple(target for target in PUSHES if target in found.values()),
        frozenset(found),
        tuple(notes),
        tuple(dict.fromkeys(rule for one in types for rule in one.rules)),
        is_reduced=any(one.is_lost for one in types),
        is_conversations=any(one.is_conversations for one in types),
    )


def _asked_for(one: MessageType) -> str:
    """Chat's message type, if it was translated by a rule for one; else Conversations'."""
    names = (rule.removeprefix(MESSAGE_TYPE) for rule in one.rules if rule.startswith(MESSAGE_TYPE))
    return next(names, one.target)


def _shown(name: str | None) -> str:
    return "(null)" if name is None else name or "(empty)"


def translate_message_type(name: str | None, rules: Rules) -> MessageType:
    """What a message type becomes.

    SDKs register plain names, names with a Chat prefix, and, once the app is built on the Conversations SDK,
    names of Conversations (FACTS.md, "Binding").
    """
    name = name or ""
    for table in ("conversations_prefixes", "chat_prefixes"):
        prefixes: list[str] = rules.tables["message_type_names"][table]
        # The longest, so that one prefix may begin like another.
        prefix = max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default="")
        if prefix:
            named = (f"message_type_names.{table}",)
            plain = name.removeprefix(prefix)
            return _named(plain, rules, named, is_conversations=table == "conversations_prefixes")
    if name in PUSHES and name not in rules.message_types:
        return _of_conversations(name, ())
    return _named(name, rules, (), is_conversations=False)


def _of_conversations(name: str, used: tuple[str, ...]) -> MessageType:
    return MessageType(name, "binding-on-conversations", used, is_conversations=True)


def _named(plain: str, rules: Rules, used: tuple[str, ...], *, is_conversations: bool) -> MessageType:
    """What a name without its prefix becomes."""
    if is_conversations and plain in PUSHES:
        return _of_conversations(plain, used)
    if not is_conversations and plain in rules.message_types:
        target, used = rules.message_types[plain], (*used, MESSAGE_TYPE + plain)
        if target == DROP:
            return MessageType("", "message-type-dropped", used, is_lost=True)
        return MessageType(target, "", used)
    if plain in rules.tables["message_type_names"]["ignored"]:
        return MessageType("", "message-type-ignored", (*used, "message_type_names.ignored"))
    return MessageType("", "message-type-unknown", used, is_lost=True, is_known=False)
