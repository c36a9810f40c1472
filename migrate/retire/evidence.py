"""Evidence: what both sides show just now of a binding, a registration, and what is pushed. It reads only.

An object is None where Twilio says that it does not exist, and not something on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.model.sids import is_binding_sid, is_credential_sid
from migrate.retire.replacement import Evidence
from migrate.runtime.workers import result_of
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.resources import (
    JsonObject,
    find_binding,
    find_binding_in_service,
    find_credential,
    find_notifications,
    find_service,
)

Row = Mapping[str, Any]  # a binding as the snapshot has it, its `service_sid`, `registration` and `is_shared`
CredentialsBySid = Mapping[str, Mapping[str, Any]]  # by SID
_TRIES = 3  # of a look, with pauses of a second or so: what was seen before would be old by the time of a late one


@dataclass(frozen=True)
class Sides:
    """What a service pushes: Chat's `notifications` and Conversations' settings, as they came; None where unknown.

    `chat_service` is the SID of the service that Chat answered with; None where Chat shows none.
    """

    chat_service: Any
    notifications: Any
    settings: Any


def now_of(api: TwilioApi) -> datetime:
    """The source's time, or this machine's where it has not said."""
    return api.server_time or datetime.now(UTC)


def read_binding(api: TwilioApi, row: Row) -> tuple[JsonObject | None, JsonObject]:
    """A binding as Chat shows it now, None if Chat does not have it any more; and its service in Chat.

    Raises `TwilioError` where Chat lacks the service or is switched off: then nothing is known.
    """
    return find_binding_in_service(api, "chat", row["service_sid"], row["sid"], _TRIES)


def read_evidence(api: TwilioApi, row: Row) -> Evidence | None:
    """What both sides show of a binding just now; None if Chat does not have it any more. Raises `TwilioError`."""
    service_sid, listed = row["service_sid"], row["registration"]
    credentials = find_credentials(api, [row["credential_sid"], listed["credential_sid"]])
    binding, service = read_binding(api, row)
    if binding is None:
        return None
    twin, registration = (_conversations_binding(api, service_sid, sid) for sid in (row["sid"], listed["sid"]))
    return Evidence(
        held=row,
        binding=binding,
        listed=listed,
        registration=registration or {},
        is_shared=twin is not None or row["is_shared"],
        chat_service=service.get("sid"),
        notifications=service.get("notifications"),
        settings=find_notifications(api, service_sid, _TRIES),
        credentials=credentials,
        now=now_of(api),
    )


def _conversations_binding(api: TwilioApi, service_sid: str, sid: str) -> JsonObject | None:
    return find_binding(api, "conversations", service_sid, sid, _TRIES) if is_binding_sid(sid) else None


def listed_evidence(row: Row, sides: Sides, credentials: CredentialsBySid, now: datetime) -> Evidence:
    """The evidence as it was listed: as if nothing had changed since."""
    return Evidence(
        held=row,
        binding=row,
        listed=row["registration"],
        registration=row["registration"],
        is_shared=row["is_shared"],
        chat_service=sides.chat_service,
        notifications=sides.notifications,
        settings=sides.settings,
        credentials=credentials,
        now=now,
    )


def read_sides(api: TwilioApi, service_sids: Sequence[str]) -> dict[str, Sides]:
    """What services push, by SID, read side by side. Raises `TwilioError` where Twilio cannot be asked."""
    with api.workers(api.throttle.most, "sides") as workers:
        sides = [workers.submit(_sides, api, sid) for sid in service_sids]
        return {sid: result_of(found) for sid, found in zip(service_sids, sides, strict=True)}


def _sides(api: TwilioApi, service_sid: str) -> Sides:
    try:
        service = find_service(api, "chat", service_sid) or {}
    except TransientTwilioError:
        raise
    except TwilioError:  # Chat is switched off, or closed to these credentials: what it pushes is not known
        service = {}
    settings = find_notifications(api, service_sid)
    return Sides(service.get("sid"), service.get("notifications"), settings)


def find_credentials(api: TwilioApi, sids: Sequence[Any], tries: int | None = _TRIES) -> dict[str, dict[str, Any]]:
    """Those of some credentials that the account has, by SID; what is not a SID is left out. Raises `TwilioError`."""
    found = {}
    for sid in dict.fromkeys(sid for sid in sids if isinstance(sid, str) and is_credential_sid(sid)):
        credential = find_credential(api, sid, tries)
        if credential is not None:
            found[sid] = credential
    return found
