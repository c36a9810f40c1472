"""Which pushes a binding asks for, Chat sends and Conversations sends: functions of what the two APIs show.

`names` are the message types of a binding, `notifications` a service's push settings in Chat, `settings` those in
Conversations, each as it came: what has not the documented form says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from migrate.model.config_check import MEDIA
from migrate.model.registration import (
    CHAT_NAMES,
    CHAT_PREFIXES,
    CONVERSATIONS_NAMES,
    CONVERSATIONS_PREFIXES,
    INVITES,
    NO_PUSHES,
    SAME_PUSH,
    SHARED_NAME,
)

_KNOWN_TO_CHAT = ("log_enabled", *SAME_PUSH, INVITES)


def is_names(value: Any) -> TypeGuard[list[str]]:
    """Whether message types are a list of texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def has_conversations_name(names: Any) -> bool:
    """Whether one of them is a name that only the Conversations SDK registers."""
    return is_names(names) and any(map(_is_conversations_name, names))


def has_chat_name(names: Any) -> bool:
    """Whether one of them is a name that only the Chat SDK registers."""
    return is_names(names) and any(name in CHAT_NAMES or name.startswith(CHAT_PREFIXES) for name in names)


def has_unknown_name(names: Any) -> bool:
    """Whether a binding asks for something that no documented push is, or does not say what for."""
    known = (*SAME_PUSH, INVITES, *NO_PUSHES)
    return not is_names(names) or any(
        _plain(name) not in known and not _is_conversations_name(name) for name in names
    )


def has_unknown_push(notifications: Any) -> bool:
    """Whether Chat has a push that is not documented, and does not say that it is off."""
    said = notifications if isinstance(notifications, Mapping) else {}
    return any(name not in _KNOWN_TO_CHAT and _may_push(said, name) for name in said)


def has_invites(names: Any, notifications: Any) -> bool:
    """Whether a binding of Chat asks for invites, and Chat may push them; Conversations has none."""
    return _asks_chat_for(names, INVITES) and _may_push(notifications, INVITES)


def pushed_by_chat(names: Any, notifications: Any) -> list[str]:
    """What a binding of Chat asks for and Chat pushes, or may push, in Conversations' names."""
    return [
        theirs for push, theirs in SAME_PUSH.items() if _asks_chat_for(names, push) and _may_push(notifications, push)
    ]


def asks_for(names: Any, push: str) -> bool:
    """Whether a registration with Conversations asks for a push."""
    theirs = set(names) if is_names(names) else set()
    return not theirs.isdisjoint({push, *(prefix + push for prefix in CONVERSATIONS_PREFIXES)})


def off_in_conversations(pushes: list[str], settings: Any) -> list[str]:
    """Which of some pushes Conversations does not send; Chat pushes media messages with the others."""
    wanted = [each for push in pushes for each in ((push, MEDIA) if push == SHARED_NAME else (push,))]
    return [push for push in wanted if not _is_on(settings, push)]


def _asks_chat_for(names: Any, push: str) -> bool:
    """By Chat's plain name; a binding that does not say asks for all."""
    return not is_names(names) or push in map(_plain, names)


def _may_push(notifications: Any, push: str) -> bool:
    """Whether Chat pushes this, as its service's `notifications` say. Only a plain `false` says that it does not."""
    said = notifications.get(push) if isinstance(notifications, Mapping) else None
    return not (isinstance(said, Mapping) and said.get("enabled") is False)


def _is_on(settings: Any, push: str) -> bool:
    for key in (*push.split("."), "enabled"):
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    return settings is True


def _plain(name: str) -> str:
    """A name of Chat's without the prefix that SDKs put before it."""
    prefix = next((prefix for prefix in CHAT_PREFIXES if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


def _is_conversations_name(name: str) -> bool:
    return name in CONVERSATIONS_NAMES or name.startswith(CONVERSATIONS_PREFIXES)
