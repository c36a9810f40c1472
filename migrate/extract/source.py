"""Where the bindings are read: Programmable Chat, or Conversations where Chat has been switched off.

Services and users keep their SIDs, and the same bindings can be read from either side; Chat's `notifications` cannot
(FACTS.md, "The two APIs"). What `chat.twilio.com` answers since its end of life is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from migrate.extract.records import UnfitError, credential_row, service_row
from migrate.model.address import is_twilios
from migrate.model.errors import HostNotFoundError, TransientTwilioError, TwilioError
from migrate.model.text import printable
from migrate.twilio_api.addresses import CANONICAL, Side
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.first_answers import is_it_right
from migrate.twilio_api.limits import FEW_TRIES, page_sizes
from migrate.twilio_api.resources import (
    CREDENTIALS_PATH,
    SERVICES_PATH,
    SWITCHED_OFF,
    get_notifications,
    list_pages,
    may_be_switched_off,
    service_path,
)

logger = logging.getLogger(__name__)
SourceChoice = Literal["auto", "chat", "conversations"]
# The documented binding types of each API's list (FACTS.md, "Binding").
BINDING_TYPES: dict[Side, tuple[str, ...]] = {
    "chat": ("apn", "fcm", "gcm"),
    "conversations": ("apn", "fcm", "gcm", "twilsock"),
}
_PLAIN = (CANONICAL["chat"], "https://ip-messaging.twilio.com")  # Chat's own host, and its alias
_OUTRIGHT = "or decide it outright with --source conversations, which shows none of Chat's push settings"


@dataclass(frozen=True)
class Source:
    """The API that is read, its services by SID, and why it is not Chat where no other was asked for."""

    api: Side
    services: dict[str, dict[str, Any]]
    reason: str = ""


def open_source(api: TwilioApi, choice: SourceChoice, wanted: tuple[str, ...], page_size: int) -> Source:
    """Read the services, all or the `wanted` ones, from the API of choice.

    `auto` is Chat; or Conversations, where it is shown that Chat has been switched off: by Twilio's own answer (410,
    403 or 404 to the list of services, in the form of its errors), or because the name of Chat's plain host is not
    known while that of Conversations is, and no proxy is asked for it. A 401 never shows that, nor a 403 for an API
    key: the credentials are wrong then, or lack the permission. Nor does what a proxy or a filter answers.
    """
    if choice == "conversations":
        return Source("conversations", _services(api, "conversations", wanted, page_size))
    try:
        tries = FEW_TRIES if choice == "auto" else None
        return Source("chat", _services(api, "chat", wanted, page_size, tries))
    except TwilioError as error:
        if choice == "chat":
            raise
        why = _why_gone(api, error, wanted)
        passing = isinstance(error, TransientTwilioError) and not isinstance(error, HostNotFoundError)
        if why is None and passing and not api.is_given_up(error):
            return Source("chat", _services_in_budget(api, wanted, page_size))
        if why is None:
            raise _doubted(api, error) from None
    reason = f"Programmable Chat is switched off: {why.what}"
    logger.warning("%s; reading through Conversations", reason)
    return Source("conversations", _services(api, "conversations", wanted, page_size), reason)


def _services_in_budget(api: TwilioApi, wanted: tuple[str, ...], page_size: int) -> dict[str, dict[str, Any]]:
    """Chat's services, asked for as long as the budget lasts."""
    try:
        return _services(api, "chat", wanted, page_size)
    except TwilioError as error:
        raise _doubted(api, error) from None


def _why_gone(api: TwilioApi, error: TwilioError, wanted: tuple[str, ...]) -> TwilioError | None:
    """The error that shows that Chat is gone, if any does. Of a named service it shows nothing: the list decides."""
    if isinstance(error, HostNotFoundError):
        return error if _is_name_gone(api) else None
    if not _is_gone(api, error):
        return None
    if not wanted:
        return error
    try:
        next(list_pages(api, "chat", SERVICES_PATH, page_sizes(1), FEW_TRIES))
    except TwilioError as problem:
        return problem if _is_gone(api, problem) else None
    return None


def _is_gone(api: TwilioApi, error: TwilioError) -> bool:
    """Whether Twilio itself has answered, and what it answers where something is switched off.

    An API key may be one that has Conversations, and not Chat, and a regional host need not exist for every product
    (FACTS.md, "REST behaviour").
    """
    if _is_elsewhere(api):
        return False
    return may_be_switched_off(error) and not (error.status == 403 and api.is_signed_by_key)


def _is_elsewhere(api: TwilioApi) -> bool:
    """Whether Chat's address is one of Twilio's, and not that of Chat itself."""
    address = api.addresses.chat
    return is_twilios(address) and address not in _PLAIN


def _is_name_gone(api: TwilioApi) -> bool:
    """Whether the name of Chat's host that is not known says something of Chat.

    A regional host need not exist for every product, and where no other name is known either it is the name service.
    """
    plain = api.addresses.chat == CANONICAL["chat"]
    return plain and not api.proxy("chat") and api.is_known("conversations")


def _doubted(api: TwilioApi, error: TwilioError) -> TwilioError:
    """An error that may look as if Chat were gone, and shows nothing of that, with what else may have answered."""
    address, proxy = api.addresses.chat, api.proxy("chat")
    no_answer = isinstance(error, TransientTwilioError) and (error.status is None or proxy)
    of_others = error.status in (*SWITCHED_OFF, 407) and (not error.is_twilios or _is_elsewhere(api))
    if not (no_answer or of_others):
        return error
    if proxy and error.status == 407:
        who = f"The proxy {proxy} asks for a user and a password, or for other ones (HTTPS_PROXY, HTTP_PROXY)"
    elif proxy:
        who = f"The proxy {proxy} may be the reason (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY): let it pass {address}"
    elif address == CANONICAL["chat"]:
        who = "Something between this machine and Twilio may be the reason: a firewall, a filter, a sign-in page"
    elif is_twilios(address):
        who = f"{address} need not exist, or have Chat: leave --chat-url and CHAT_MIGRATE_CHAT_URL out, and unset "
        who += "TWILIO_REGION and TWILIO_EDGE if they are set for another product"
    elif address == api.addresses.conversations and not api.has_answered("chat"):
        error.remedy = is_it_right("chat")  # nor would Conversations answer there
        return error
    else:
        who = f"Check {address} (--chat-url, CHAT_MIGRATE_CHAT_URL)"
    error.remedy = f"{who}; {_OUTRIGHT}"
    return error


def _services(
    api: TwilioApi, side: Side, wanted: tuple[str, ...], page_size: int, tries: int | None = None
) -> dict[str, dict[str, Any]]:
    """Services by SID, in the order of their SID."""
    if wanted:
        records: list[Any] = [_service(api, side, sid, tries) for sid in wanted]
    else:
        records = _records(api, side, SERVICES_PATH, page_size, tries)
    found = _by_sid(records, lambda record: service_row(record, None), "service")
    return {sid: record for sid, (record, _) in found.items()}


def _service(api: TwilioApi, side: Side, sid: str, tries: int | None) -> dict[str, Any]:
    """One service as its API shows it. Raises `TwilioError` where the answer is another."""
    found = api.get(side, service_path(sid), tries)
    if found.get("sid") != sid:
        said = printable(found["sid"]) if isinstance(found.get("sid"), str) else "something without a sid"
        raise TwilioError(f"The request for service {sid} was answered with {said}")
    return found


def service_rows(source: Source, notifications: dict[str, dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The rows of services.parquet, in the order of their SID; `notifications` are the target's settings by SID."""
    return [service_row(record, notifications.get(sid)) for sid, record in source.services.items()]


def list_credentials(api: TwilioApi, side: Side, page_size: int) -> list[dict[str, Any]]:
    """The rows of credentials.parquet, in the order of their SID; both APIs show the same objects."""
    records = _records(api, side, CREDENTIALS_PATH, page_size)
    return [row for _, row in _by_sid(records, credential_row, "credential").values()]


def target_notifications(api: TwilioApi, service_sid: str) -> dict[str, Any] | None:
    """What Conversations has for a service now, without the fields that only name the object.

    It is a courtesy of the snapshot: what cannot be read is None, and does not keep the bindings waiting.
    """
    try:
        found = get_notifications(api, service_sid, FEW_TRIES)
    except TwilioError as error:
        logger.warning("The snapshot goes without %s's settings in Conversations: %s", service_sid, error)
        return None
    return {key: found[key] for key in found if key not in ("account_sid", "chat_service_sid", "url")}


def _records(api: TwilioApi, side: Side, path: str, page_size: int, tries: int | None = None) -> list[Any]:
    pages = list_pages(api, side, path, page_sizes(page_size), tries)
    return [record for page in pages for record in page.content]


def _by_sid(
    records: list[Any], row_of: Callable[[Any], dict[str, Any]], kind: str
) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Records with their rows, each SID once and in order. Raises `TwilioError` for a record of another kind."""
    try:
        found = {row["sid"]: (record, row) for record, row in ((record, row_of(record)) for record in records)}
    except UnfitError as error:
        raise TwilioError(f"The list of {kind}s holds something that is no {kind}: {error}") from None
    return dict(sorted(found.items()))
