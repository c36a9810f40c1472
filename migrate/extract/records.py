"""From Twilio's JSON objects to rows: every field kept, and what does not fit set aside with the reason.

Dates are ISO 8601 in Twilio's answers and UTC timestamps in the rows; other text stays as it came. `url` and
`links` are left out: they follow from the SIDs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from migrate.model.sids import is_service_sid
from migrate.twilio_api.pages import Unread

_DERIVED = frozenset({"url", "links"})
_BINDING_TEXTS = ("account_sid", "endpoint", "identity", "binding_type", "credential_sid")
_DATES = ("date_created", "date_updated")
_BINDING_FIELDS = frozenset({"sid", "service_sid", "chat_service_sid", "message_types", *_BINDING_TEXTS, *_DATES})
_SERVICE_FIELDS = ("account_sid", "friendly_name")
_CREDENTIAL_FIELDS = ("account_sid", "friendly_name", "type", "sandbox")


class UnfitError(ValueError):
    """A record does not have the shape that its kind must have; the message says where."""


def binding_row(record: Any, service_sid: str) -> dict[str, Any]:
    """A row of the `BINDINGS` schema. Raises `UnfitError`, and the record then belongs into rejected.jsonl."""
    if isinstance(record, Unread):
        raise UnfitError("not JSON, or nested too deeply to be read")
    if not isinstance(record, Mapping):
        raise UnfitError("not a JSON object")
    row: dict[str, Any] = {"sid": _text(record, "sid")}
    if not row["sid"]:
        raise UnfitError("sid is missing")
    for name in ("service_sid", "chat_service_sid"):
        if record.get(name) not in (None, service_sid):
            raise UnfitError(f"{name} names another service")
    for name in _BINDING_TEXTS:
        row[name] = _text(record, name)
    for name in _DATES:
        row[name] = _date(record, name)
    row["message_types"] = _texts(record, "message_types")
    row["extra"] = _extra(record, _BINDING_FIELDS)
    return row


def rejected_line(record: Any, reason: str) -> bytes:
    """A record that did not fit, and why, as rejected.jsonl has it but for its chain."""
    if isinstance(record, Unread):
        record = record.written
    try:
        return json.dumps({"reason": reason, "record": record}, sort_keys=True, default=str).encode()
    except RecursionError:
        return json.dumps({"reason": reason, "record": "(nested too deeply to be written again)"}).encode()


def service_row(record: Any, conversations_notifications: Any) -> dict[str, Any]:
    """A row of the `SERVICES` schema. Raises `UnfitError` for what is no service."""
    row = _object_row(record, _SERVICE_FIELDS, ("notifications",))
    if not is_service_sid(row["sid"]):
        raise UnfitError("sid is no service SID")
    row["notifications"] = _json(record.get("notifications"))
    row["conversations_notifications"] = _json(conversations_notifications)
    return row


def credential_row(record: Any) -> dict[str, Any]:
    """A row of the `CREDENTIALS` schema. Raises `UnfitError` for what is no credential."""
    return _object_row(record, _CREDENTIAL_FIELDS, ())


def _object_row(record: Any, texts: tuple[str, ...], others: tuple[str, ...]) -> dict[str, Any]:
    """A row of an object that must not be lost over one field: what does not fit its column goes into `extra`."""
    if not isinstance(record, Mapping):
        raise UnfitError("not a JSON object")
    row: dict[str, Any] = {"sid": _text(record, "sid")}
    if not row["sid"]:
        raise UnfitError("sid is missing")
    known = {"sid", *others}
    for names, read in ((texts, _text), (_DATES, _date)):
        for name in names:
            try:
                row[name] = read(record, name)
                known.add(name)
            except UnfitError:
                row[name] = None
    row["extra"] = _extra(record, frozenset(known))
    return row


def _text(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise UnfitError(f"{name} is not a text")
    return _storable(value, name) if value is not None else None


def _texts(record: Mapping[str, Any], name: str) -> list[str] | None:
    values = record.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UnfitError(f"{name} is not a list of texts")
    return [_storable(value, name) for value in values]


def _storable(value: str, name: str) -> str:
    """JSON can carry half of a surrogate pair, which no UTF-8 column can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnfitError(f"{name} is not valid Unicode") from None
    return value


def _date(record: Mapping[str, Any], name: str) -> datetime | None:
    value = record.get(name)
    if value is None:
        return None
    try:
        date = datetime.fromisoformat(value)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise UnfitError(f"{name} is not a date") from None


def _extra(record: Mapping[str, Any], known: frozenset[str]) -> str | None:
    extra = {name: value for name, value in record.items() if name not in known and name not in _DERIVED}
    return _json(extra) if extra else None


def _json(value: Any) -> str | None:
    try:
        return None if value is None else json.dumps(value, sort_keys=True, default=str)
    except RecursionError:
        raise UnfitError("a field is nested too deeply") from None
