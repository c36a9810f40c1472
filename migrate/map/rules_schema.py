"""What a rule can say: for each table its keys, and what is wrong with a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from migrate.map.rules import AS_NEW_MESSAGE, BLOCK, DROP, LEAVE, PROPOSE, TRUST
from migrate.model.push_config import PUSHES
from migrate.model.sids import is_credential_sid, is_service_sid
from migrate.model.templates import VARIABLE, VARIABLE_LIKE, VARIABLES
from migrate.model.text import did_you_mean

Check = Callable[[Any], str]  # what a value must be, if it is not; else empty
_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Table:
    """One table: keys that are known and their values; or keys of a kind, all with the same sort of value."""

    keys: Mapping[str, Check] = field(default_factory=dict)
    key: Check | None = None
    value: Check | None = None

    def problem(self, name: str, key: str, value: Any) -> str:
        """What is wrong with an entry; empty if nothing is."""
        check = self.keys.get(key)
        if check is None:
            if self.value is None:
                return f"unknown rule {key!r} in [{name}]; {did_you_mean(key, self.keys)}"
            if self.key and (must := self.key(key)):
                hint = did_you_mean(key, self.keys) if self.keys else ""
                return f"{key!r} in [{name}] must be {must}" + (f"; {hint}" if hint.startswith("did") else "")
            check = self.value
        must = check(value)
        return f"{name}.{key} must be {must}" if must else ""


def _one_of(*values: str) -> Check:
    listed = ", ".join(f'"{value}"' for value in values[:-1]) + f' or "{values[-1]}"'

    def check(value: Any) -> str:
        if value in values and isinstance(value, str):
            return ""
        hint = did_you_mean(value, values) if isinstance(value, str) else ""
        return listed + (f"; {hint}" if hint.startswith("did") else "")

    return check


def _that(test: Callable[[Any], bool], must: str) -> Check:
    return lambda value: "" if test(value) else must


def _list_of(test: Callable[[str], bool], must: str) -> Check:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(item, str) and test(item) for item in value)

    return _that(fits, f"a list of {must}")


def _number(least: int, most: int) -> Check:
    return _that(
        lambda value: type(value) is int and least <= value <= most, f"a whole number from {least} to {most:,}"
    )


def _template(*words: str) -> Check:
    """A text for Conversations: all its variables are known there."""
    also = "".join(f', or "{word}"' for word in words)

    def check(value: Any) -> str:
        if not isinstance(value, str):
            return f"a text{also}"
        unknown = [found[0] for found in VARIABLE_LIKE.finditer(value) if found[1] not in VARIABLES]
        return f"a text with variables of Conversations, and {unknown[0]} is none{also}" if unknown else ""

    return check


def _of_service(value: Any) -> str:
    """What is inferred for one service: a word, or a table of words by push."""
    if not isinstance(value, dict):
        must = _inference(value)
        return f"{must}, or a table of these by push" if must else ""
    for key, word in value.items():
        if key not in _INFERRED:
            return f"a table of {', '.join(_INFERRED)}, and it has {key!r}"
        if must := _inference(word):
            return f"a table in which {key} is {must}"
    return ""


_INFERRED = ("default", *PUSHES)
_inference = _one_of(PROPOSE, LEAVE, TRUST)
_day = _that(lambda value: isinstance(value, date) and not isinstance(value, datetime), "a date like 2024-03-01")
_credential = _that(lambda value: isinstance(value, str) and is_credential_sid(value), "a credential's SID (CR…)")
_message_type = _one_of(*PUSHES, DROP)
_names = _list_of(bool, "names, none of them empty")

TABLES: Mapping[str, Table] = {
    "services": Table({"leave_out": _list_of(is_service_sid, "services' SIDs (IS…)")}),
    "message_types": Table(
        dict.fromkeys(
            ("new_message", "added_to_channel", "removed_from_channel", "invited_to_channel"), _message_type
        )
    ),
    "message_type_names": Table(dict.fromkeys(("chat_prefixes", "conversations_prefixes", "ignored"), _names)),
    "binding_types": Table(
        {name: _one_of("fcm" if name == "gcm" else name, BLOCK) for name in ("apn", "fcm", "gcm", "twilsock")}
    ),
    "media": Table({"enabled": _one_of(AS_NEW_MESSAGE, LEAVE), "template": _template(AS_NEW_MESSAGE, LEAVE)}),
    "template_variables": Table(
        key=_that(lambda key: bool(_NAME.fullmatch(key)), "a variable's name, without ${ and }"),
        value=_one_of(*sorted(VARIABLES)),
    ),
    "template_texts": Table(key=_that(bool, "a text"), value=_template()),
    "credentials": Table(key=_credential, value=_credential),
    "inference": Table(
        dict.fromkeys(_INFERRED, _inference),
        key=_that(is_service_sid, f"one of {', '.join(_INFERRED)}, or a service's SID (IS…)"),
        value=_of_service,
    ),
    "limits": Table(
        {
            "lifetime_days": _number(1, 36_500),
            "bindings_per_identity": _number(1, 1_000_000),
            "fcm_legacy_before": _day,
            "name_characters": _number(0, 1_000),
            "message_characters": _number(0, 1_000),
        }
    ),
}


def contradictions(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Rules that work against each other, most of them by translating a translation: table, key, what is wrong."""
    variables, texts, credentials = (tables[name] for name in ("template_variables", "template_texts", "credentials"))
    for key, value in variables.items():
        if key in VARIABLES and key != value:
            yield (
                "template_variables",
                key,
                f"${{{key}}} is Conversations' already: texts that are right would change",
            )
    for key, value in texts.items():
        if texts.get(value, value) != value:
            yield "template_texts", key, f"the text in its place, {value!r}, has a rule of its own"
        theirs = [found[0] for found in VARIABLE.finditer(key) if found[1] in VARIABLES - set(variables)]
        if theirs and key != value:
            yield "template_texts", key, f"{theirs[0]} is Conversations' already: it cannot stand in a text of Chat's"
    for key, value in credentials.items():
        if credentials.get(value, value) != value:
            yield "credentials", key, f"the credential in its place, {value}, has a rule of its own"
    media = tables["media"]
    if media["enabled"] == LEAVE and media["template"] != LEAVE:
        yield "media", "template", "it is of no use while media.enabled leaves the switch as it is"
