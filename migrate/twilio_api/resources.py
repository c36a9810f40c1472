"""Twilio's resources: the path of each, each way to read it, and each meaning of a 404; once.

Both sides have the same, below /v2 in Chat and /v1 in Conversations (FACTS.md, "The two APIs"). `TwilioApi.post`
writes to a path, and `TwilioApi.delete` deletes a binding by its path. What a 404 means:

- there is no such object: where Twilio itself says so (`is_missing`), and then `find_…` gives None. What a gateway or
  a proxy answers proves nothing, and is raised;
- the API is switched off, and may answer so to everything (`may_be_switched_off`). So one of its services counts as
  deleted only while it has the list of them (`is_service_deleted`), and a binding only while it has its service
  (`find_binding_in_service`);
- a page token has expired (`may_be_expired_token`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from migrate.model.errors import TwilioError
from migrate.model.push_config import KEYS
from migrate.model.sids import is_binding_sid, is_service_sid
from migrate.twilio_api.addresses import NAMES, Api, Side
from migrate.twilio_api.limits import FEW_TRIES, PAGE_SIZES, page_sizes
from migrate.twilio_api.pages import Page, records_of

if TYPE_CHECKING:
    from migrate.twilio_api.client import TwilioApi

JsonObject = dict[str, Any]  # an object of Twilio's, as its JSON has it
SERVICES_PATH = "/Services"
CREDENTIALS_PATH = "/Credentials"
ALERTS_PATH = "/Alerts"  # of Monitor
SWITCHED_OFF = frozenset({403, 404, 410})  # what Twilio may answer for an API that it has switched off
_EXPIRED_TOKEN = frozenset({400, 404, 410})  # to a link that was good when it came; which of them is not known


def service_path(service_sid: str) -> str:
    """A service."""
    return f"{SERVICES_PATH}/{service_sid}"


def bindings_path(service_sid: str) -> str:
    """The bindings of a service: a list."""
    return f"{service_path(service_sid)}/Bindings"


def binding_path(service_sid: str, sid: str) -> str:
    """One of them."""
    return f"{bindings_path(service_sid)}/{sid}"


def is_binding_path(path: str) -> bool:
    """Whether a path is that of one binding, and of nothing else."""
    words = path.split("/")
    is_binding = words[1::2] == ["Services", "Bindings"] and len(words) == 5
    return is_binding and is_service_sid(words[2]) and is_binding_sid(words[4])


def notifications_path(service_sid: str) -> str:
    """The push settings of a service: in Conversations alone, because Chat has them in the service itself."""
    return f"{service_path(service_sid)}/Configuration/Notifications"


def credential_path(sid: str) -> str:
    """A push credential; the list of all is `CREDENTIALS_PATH`. Both APIs show the same ones."""
    return f"{CREDENTIALS_PATH}/{sid}"


def list_name(path: str) -> str:
    """The name of a list, such as `Bindings`; in lower case it is the key of the records in a page."""
    return path.rpartition("/")[2]


def list_pages(
    api: TwilioApi,
    side: Api,
    path: str,
    sizes: tuple[int, ...] = PAGE_SIZES,
    tries: int | None = None,
    params: tuple[tuple[str, str], ...] = (),
) -> Iterator[Page[list[Any]]]:
    """The pages of a list, with its records as they come; see `TwilioApi.pages`."""
    read = partial(records_of, key=list_name(path).lower())
    return api.pages(side, path, read=read, params=params, sizes=sizes, tries=tries)


def get_notifications(api: TwilioApi, service_sid: str, tries: int | None = None) -> JsonObject:
    """The push settings of a service in Conversations. Raises `TwilioError`."""
    return api.get("conversations", notifications_path(service_sid), tries=tries, having=KEYS)


def find_notifications(api: TwilioApi, service_sid: str, tries: int | None = None) -> JsonObject | None:
    """The same, or None if Conversations has no such service."""
    return _find(api, "conversations", notifications_path(service_sid), tries, KEYS)


def find_service(api: TwilioApi, side: Side, service_sid: str, tries: int | None = None) -> JsonObject | None:
    """A service, or None if that API has no such one, or the API is switched off."""
    return _find(api, side, service_path(service_sid), tries)


def find_binding(
    api: TwilioApi, side: Side, service_sid: str, sid: str, tries: int | None = None
) -> JsonObject | None:
    """A binding, or None if that API has no such one, or the API is switched off."""
    return _find(api, side, binding_path(service_sid, sid), tries)


def find_binding_in_service(
    api: TwilioApi, side: Side, service_sid: str, sid: str, tries: int | None = None
) -> tuple[JsonObject | None, JsonObject]:
    """A binding, or None if it is deleted; and its service. Raises `TwilioError` where the service is not there."""
    binding = find_binding(api, side, service_sid, sid, tries)
    service = find_service(api, side, service_sid, tries)
    if service is None:
        raise TwilioError(
            f"{NAMES[side]} lacks service {service_sid}, or is switched off: it says nothing of bindings"
        )
    return binding, service


def look_at_alerts(api: TwilioApi, tries: int | None = None) -> None:
    """See whether Monitor gives alerts at all. Raises `TwilioError` where it does not."""
    api.get("monitor", ALERTS_PATH, tries, having=("alerts",))


def find_credential(api: TwilioApi, sid: str, tries: int | None = None) -> JsonObject | None:
    """A push credential, as Conversations shows it, or None if the account has none of that SID."""
    return _find(api, "conversations", credential_path(sid), tries)


def _find(
    api: TwilioApi, side: Api, path: str, tries: int | None, having: Collection[str] = ("sid",)
) -> JsonObject | None:
    try:
        return api.get(side, path, tries=tries, having=having)
    except TwilioError as error:
        if is_missing(error):
            return None
        raise


def is_missing(error: BaseException) -> bool:
    """Whether Twilio says, and not something on the way, that there is no such object."""
    return isinstance(error, TwilioError) and error.status == 404 and error.is_twilios


def may_be_switched_off(error: BaseException) -> bool:
    """Whether Twilio answers what it may answer where a whole API is switched off."""
    return isinstance(error, TwilioError) and error.is_twilios and error.status in SWITCHED_OFF


def may_be_expired_token(error: TwilioError) -> bool:
    """Whether an answer to the link of a page may mean that its page token no longer works."""
    return error.status in _EXPIRED_TOKEN


def is_service_deleted(api: TwilioApi, side: Side, service_sid: str) -> bool:
    """Whether an API lacks a service, and has the list of them."""
    try:
        found = find_service(api, side, service_sid, FEW_TRIES)
        return found is None and bool(next(list_pages(api, side, SERVICES_PATH, page_sizes(1), FEW_TRIES)))
    except TwilioError:
        return False
