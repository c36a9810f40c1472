"""The fate of one binding: what it becomes and by which rules, decided from the few facts that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrate.map.credentials import Credentials, Note, Succession
from migrate.map.outcome import Action, Outcome
from migrate.map.rules import BLOCK, DROP, Rules
from migrate.model.catalogue import CATALOGUE
from migrate.model.push_config import PUSHES

MESSAGE_TYPE = "message_types."  # how rules for message types are called
REDUCING = ("message-type-dropped", "message-type-unknown")


@dataclass(frozen=True)
class Facts:
    """All that decides a binding's fate. Bindings with equal facts share one.

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
class Fate:
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

    @property
    def codes(self) -> list[str]:
        """The codes of the notes, each once, in order."""
        return sorted({code for code, _ in self.notes})


@dataclass(frozen=True)
class _Translation:
    targets: tuple[str, ...] | None
    asked_for: frozenset[str]
    notes: tuple[Note, ...]
    rules: tuple[str, ...]


def decide(facts: Facts, rules: Rules, credentials: Credentials) -> Fate:
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
    outcome = _outcome(facts, said)
    return Fate(
        None if target == BLOCK else target,
        follow.credential_sid,
        types.targets,
        types.asked_for,
        outcome,
        _action(outcome, said),
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


def _outcome(facts: Facts, notes: Sequence[Note]) -> Outcome:
    if facts.expired:
        return "expired"
    if any(CATALOGUE[code].severity == "blocker" for code, _ in notes):
        return "blocked"
    return "reduced" if any(code in REDUCING for code, _ in notes) else "carried"


def _action(outcome: Outcome, notes: Sequence[Note]) -> Action:
    codes = {code for code, _ in notes}
    if outcome == "blocked":
        return "decide"
    if outcome == "expired":
        return "none"
    if "credential-replaced" in codes:
        return "register-with-new-credential"
    return "registered" if "binding-on-conversations" in codes else "register"


def translate_message_types(names: Sequence[str | None] | None, rules: Rules) -> _Translation:
    """Conversations' message types for a binding's, in the order of `PUSHES`, and what is to be said of them."""
    if names is None:
        return _Translation(None, frozenset(), (("message-types-missing", ""),), ())
    found: dict[str, str] = {}  # what is asked for, and what that becomes
    notes: list[Note] = []
    used: list[str] = []
    for name in names:
        target, code, by = translate_message_type(name, rules)
        used += by
        if target:
            found[_asked_for(target, by)] = target
        if code:
            notes.append((code, "" if code == "binding-on-conversations" else _shown(name)))
    targets = tuple(target for target in PUSHES if target in found.values())
    return _Translation(targets, frozenset(found), tuple(notes), tuple(dict.fromkeys(used)))


def _asked_for(target: str, rules: Sequence[str]) -> str:
    """Chat's message type, if it was translated by a rule for one; else Conversations'."""
    return next((rule.removeprefix(MESSAGE_TYPE) for rule in rules if rule.startswith(MESSAGE_TYPE)), target)


def _shown(name: str | None) -> str:
    return "(null)" if name is None else name or "(empty)"


def translate_message_type(name: str | None, rules: Rules) -> tuple[str, str, list[str]]:
    """Conversations' message type (empty if there is none), a finding's code (empty if all is plain), and the rules.

    SDKs register plain names, names with a Chat prefix, and, once the app is built on the Conversations SDK,
    names of Conversations (FACTS.md, "Binding").
    """
    name = name or ""
    for table, code in (("conversations_prefixes", "binding-on-conversations"), ("chat_prefixes", "")):
        prefixes: list[str] = rules.tables["message_type_names"][table]
        # The longest, so that one prefix may begin like another.
        prefix = max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default="")
        if prefix:
            return _named(name.removeprefix(prefix), rules, code, [f"message_type_names.{table}"])
    if name in PUSHES and name not in rules.message_types:
        return name, "binding-on-conversations", []
    return _named(name, rules, "", [])


def _named(plain: str, rules: Rules, code: str, used: list[str]) -> tuple[str, str, list[str]]:
    """What a name without its prefix becomes; `code` is the finding that goes with names of Conversations."""
    if code and plain in PUSHES:
        return plain, code, used
    if not code and plain in rules.message_types:
        target = rules.message_types[plain]
        used = [*used, MESSAGE_TYPE + plain]
        return ("", "message-type-dropped", used) if target == DROP else (target, "", used)
    if plain in rules.tables["message_type_names"]["ignored"]:
        return "", "message-type-ignored", [*used, "message_type_names.ignored"]
    return "", "message-type-unknown", used
