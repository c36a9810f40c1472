"""One alert of Twilio's, as a row: what of it is kept, and nothing else.

Which SID a push error carries is not known (FACTS.md, "Push errors"): SIDs are looked for wherever they may stand,
and taken out of texts by their form. The rest of a text may be personal data, and is dropped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from migrate.model.push_errors import code_of, is_push_error
from migrate.model.sids import ALERT, BINDING, CREDENTIAL, SERVICE, kind_of, normal, sids_in

LEVELS = ("error", "warning", "notice", "debug")
_TEXTS = ("resource_sid", "service_sid", "alert_text", "request_url")
_DATES = ("date_generated", "date_created", "date_updated")


@dataclass(frozen=True)
class Alert:
    """What of an alert decides: its SID, all its dates in UTC, and its row of `PUSH_ERRORS`, if it is of a push."""

    sid: str
    dates: tuple[datetime, ...]
    row: dict[str, Any] | None


def alert_of(record: Any) -> Alert | None:
    """An alert of any product; None for what has no alert's SID, or cannot be read."""
    if not isinstance(record, Mapping) or kind_of(record.get("sid")) != ALERT:
        return None
    sid, code = normal(record["sid"]), code_of(record.get("error_code"))
    dates = tuple(date for date in (_date(record.get(name)) for name in _DATES) if date)
    if code is None or not is_push_error(code):
        return Alert(sid, dates, None)
    level, named = record.get("log_level"), _named(record)
    row = {
        "sid": sid,
        "date": dates[0] if dates else None,
        "error_code": code,
        "log_level": level if level in LEVELS else None,
        "service_sid": _only(named, SERVICE),
        "credential_sid": _only(named, CREDENTIAL),
        "binding_sid": _only(named, BINDING),
    }
    return Alert(sid, dates, row)


def _named(record: Mapping[str, Any]) -> frozenset[str]:
    """All SIDs that an alert names, wherever."""
    texts = [value for value in map(record.get, _TEXTS) if isinstance(value, str)]
    return frozenset().union(*map(sids_in, texts))


def _only(sids: frozenset[str], kind: str) -> str | None:
    """The SID of a kind; None where there are several, because whose push it was would be a guess."""
    found = [sid for sid in sids if kind_of(sid) == kind]
    return found[0] if len(found) == 1 else None


def _date(value: Any) -> datetime | None:
    """A time in ISO 8601, in UTC; None for anything else, and for what no timestamp holds."""
    if not isinstance(value, str):
        return None
    try:
        date = datetime.fromisoformat(value)
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return date if 2000 < date.year < 9000 else None
