"""One binding in words, wherever one is shown: its technology and credential, what it asks for, when it was seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from migrate.model.text import printable


def value(text: str | None) -> str:
    """Somebody else's text: `(none)` where there is none, and quotation marks for an empty one."""
    return "(none)" if text is None else printable(text) or '""'


def with_credential(binding_type: str | None, credential: str | None) -> str:
    """The push technology and the credential: `apn with CR…`."""
    return f"{value(binding_type)} with {value(credential)}"


def message_types(names: Sequence[str | None] | None) -> str:
    """What a binding asks for."""
    if names is None:
        return "message types that Twilio does not name"
    return ", ".join(map(value, names)) or "no message type"


def last_seen(moment: datetime | None, days: int | None, before: str) -> str:
    """When the device registered last, and how many days `before` something that was."""
    if moment is None or days is None:
        return "never dated"
    return f"last seen {moment:%Y-%m-%d}, {days:,} day{'' if days == 1 else 's'} {before}"
