"""The fate of one binding: what it becomes, decided from the few facts that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrate.map.rules import Rules
from migrate.model.outcome import Outcome

# A finding's code, and what it is about.
Note = tuple[str, str]


@dataclass(frozen=True)
class Facts:
    """All that decides a binding's fate. Bindings with equal facts share one."""

    binding_type: str | None
    message_types: tuple[str, ...] | None
    expired: bool
    incomplete: bool


@dataclass(frozen=True)
class Fate:
    """What a binding becomes. `target_message_types` is in the order of the rules; None where unknown."""

    target_binding_type: str | None
    target_message_types: tuple[str, ...] | None
    outcome: Outcome
    notes: tuple[Note, ...]


def decide(facts: Facts, rules: Rules) -> Fate:
    """The one outcome of bindings with these facts, and everything that is to be said about them."""
    notes: list[Note] = []
    target_type = rules.binding_types.get(facts.binding_type or "")
    if facts.expired:
        notes.append(("binding-expired", ""))  # nothing to decide about a device that is gone
    elif target_type is None:
        notes.append(("binding-type-unknown", facts.binding_type or "none"))
    elif facts.binding_type == "gcm":
        notes.append(("binding-gcm", ""))
    blocked = bool(notes) and not facts.expired
    targets, reduced = None, False
    if facts.message_types is None:
        notes.append(("message-types-missing", ""))
    else:
        targets, said = translate_message_types(facts.message_types, rules)
        reduced = any(code in ("message-type-dropped", "message-type-unknown") for code, _ in said)
        notes += said
    if facts.incomplete:
        notes.append(("binding-incomplete", ""))
    outcome: Outcome = "carried"
    if facts.expired:
        outcome = "expired"
    elif blocked:
        outcome = "blocked"
    elif reduced:
        outcome = "reduced"
    return Fate(target_type, targets, outcome, tuple(sorted(set(notes))))


def translate_message_types(names: Sequence[str], rules: Rules) -> tuple[tuple[str, ...], list[Note]]:
    """Conversations' message types for a binding's, in the rules' order, and what is to be said of them."""
    found: set[str] = set()
    notes: list[Note] = []
    for name in names:
        target, code = translate_message_type(name, rules)
        if target:
            found.add(target)
        if code:
            notes.append((code, "" if code == "binding-on-conversations" else name))
    return tuple(target for target in rules.message_types.values() if target in found), notes


def translate_message_type(name: str, rules: Rules) -> tuple[str, str]:
    """Conversations' message type (empty if there is none) and a finding's code (empty if all is plain).

    SDKs register plain names, names with a Chat prefix, and, once the app is built on the Conversations SDK,
    names of Conversations (FACTS.md, "Binding").
    """
    targets = {target for target in rules.message_types.values() if target}
    if name.startswith(rules.conversations_prefix):
        plain = name.removeprefix(rules.conversations_prefix)
        if plain in targets:
            return plain, "binding-on-conversations"
    else:
        prefix = next((prefix for prefix in rules.chat_prefixes if name.startswith(prefix)), "")
        plain = name.removeprefix(prefix)
        if plain in rules.message_types:
            target = rules.message_types[plain]
            return target, "" if target else "message-type-dropped"
        if plain in targets and not prefix:
            return plain, "binding-on-conversations"
    return "", "message-type-ignored" if plain in rules.ignored_message_types else "message-type-unknown"
