"""Where the APIs are: base URLs, regions, and the check that a link stays on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from migrate.model.address import is_twilios
from migrate.model.errors import RefusedError, UsageError
from migrate.model.masking import mask
from migrate.model.text import alike

Side = Literal["chat", "conversations"]  # of a migration
Api = Literal["chat", "conversations", "monitor", "accounts"]
SIDES: tuple[Side, ...] = ("chat", "conversations")
CANONICAL: Mapping[Api, str] = {
    "chat": "https://chat.twilio.com",
    "conversations": "https://conversations.twilio.com",
    "monitor": "https://monitor.twilio.com",
    "accounts": "https://api.twilio.com",
}
# The version is a part of every path; it and Monitor's one list distinguish the APIs where one server imitates all.
VERSION: Mapping[Api, str] = {"chat": "/v2", "conversations": "/v1", "monitor": "/v1", "accounts": "/2010-04-01"}
_ENDING: Mapping[Api, str] = {"accounts": ".json"}  # of every path, where an API has one
NAMES: Mapping[Api, str] = {
    "chat": "Chat",
    "conversations": "Conversations",
    "monitor": "Monitor",
    "accounts": "The Accounts API",
}
BESIDE: tuple[Api, ...] = ("monitor", "accounts")  # APIs that have an address only beside Conversations' own
_ALERTS = re.compile(r"/v1/Alerts(/|$)")
FILTERS = ("BindingType", "Identity")  # of a list of bindings; each is repeatable (FACTS.md, "Binding")


@dataclass(frozen=True)
class Addresses:
    """The base URL, scheme and host alone, under which each API is reached; empty for one without any (`BESIDE`)."""

    chat: str = CANONICAL["chat"]
    conversations: str = CANONICAL["conversations"]
    monitor: str = CANONICAL["monitor"]
    accounts: str = CANONICAL["accounts"]

    @classmethod
    def resolve(
        cls,
        chat: str,
        conversations: str,
        environment: Mapping[str, str],
        monitor: str | None = None,
        accounts: str | None = None,
    ) -> Addresses:
        """Check the given base URLs; Twilio's own hosts get `TWILIO_EDGE` and `TWILIO_REGION` (FACTS.md).

        Monitor and the Accounts API are where Conversations is: at Twilio's own address, unless another is given.
        Beside one that is not Twilio's they have none, because the credentials go nowhere else.
        """
        target = _resolve(conversations, environment)
        beside = (
            _beside(api, given, target, environment) for api, given in zip(BESIDE, (monitor, accounts), strict=True)
        )
        return cls(_resolve(chat, environment), target, *beside)

    @property
    def foreign(self) -> dict[str, list[Side]]:
        """The addresses of the two sides that are not Twilio's, each with what is behind it."""
        found: dict[str, list[Side]] = {}
        for api in SIDES:
            if not is_twilios(self.base(api)):
                found.setdefault(self.base(api), []).append(api)
        return found

    @property
    def mixture(self) -> str:
        """What is wrong where one side is Twilio's and the other is not; empty if nothing is."""
        if is_twilios(self.chat) == is_twilios(self.conversations):
            return ""
        said = [f"{NAMES[api]} is at {self.base(api)}" for api in SIDES]
        ours = ["which is Twilio's" if is_twilios(self.base(api)) else "which is not" for api in SIDES]
        return f"{said[0]}, {ours[0]}, and {said[1]}, {ours[1]}"

    def refuse_mixture(self) -> None:
        """Raise `RefusedError` where one side is Twilio's own host and the other is not.

        What one of them says is no evidence of what is behind the other.
        """
        if self.mixture:
            (api,) = (api for apis in self.foreign.values() for api in apis)
            raise RefusedError(self.mixture, kept="Nothing was asked", remedy=mixture_remedy(api))

    def base(self, api: Api) -> str:
        """The base URL of one API."""
        found: str = getattr(self, api)
        return found

    def url(self, api: Api, path: str, params: tuple[tuple[str, str], ...] = ()) -> str:
        """The URL of a path below the API's version, such as `/Services`."""
        query = f"?{urlencode(params)}" if params else ""
        ending = _ENDING.get(api, "")
        return f"{self.base(api)}{VERSION[api]}{path}{ending}{query}"

    def follow(self, api: Api, link: str) -> str:
        """The address to ask for a `next_page_url`, once it is sure that it leads to the same host.

        The Accounts API links by a path alone (`next_page_uri`), which is of its own host.

        Credentials go wherever the request goes, so a link to any other place is refused (FACTS.md,
        "REST behaviour"). Behind a regional host Twilio may link to its plain host: that is the same place.
        """
        target = urlsplit(self.base(api))
        try:
            parts = urlsplit(link)
        except ValueError:
            parts = urlsplit("")
        if api == "accounts" and not parts.scheme and not parts.netloc and parts.path.startswith("/"):
            parts = parts._replace(scheme=target.scheme, netloc=target.netloc)
        plain = urlsplit(CANONICAL[api])
        regional = target.scheme == "https" and target.netloc.endswith(".twilio.com")
        at_home = _origin(parts) == _origin(target)
        if not at_home and not (regional and _origin(parts) == _origin(plain)):
            raise RefusedError(
                # Which one is not shown: a server can put what it was sent into a name, too.
                f"A page of {self.base(api)} links to another host; no credentials were sent there",
                remedy="Find out who answers under that address before you try again",
            )
        return urlunsplit((target.scheme, target.netloc, parts.path or "/", parts.query, ""))

    def next_page(self, api: Api, link: str, path: str, params: tuple[tuple[str, str], ...] = ()) -> str:
        """The address to ask for the `next_page_url` of a list, once it is sure that it continues that list.

        Its path is compared as it is written: dots, and dots or slashes in percent encoding, would lead to another
        list of the same host. A filter that the link leaves out may be in its page token, and what comes shows
        whether it is; one that it names must have the values that were asked for, in any order.
        """
        url = self.follow(api, link)
        parts, own = urlsplit(url), self.url(api, path)
        query = parse_qsl(parts.query, keep_blank_values=True)
        same = parts.path == urlsplit(own).path
        for name in FILTERS:
            found = {alike(value) for key, value in query if value and key.casefold() == name.casefold()}
            same = same and (not found or found == {alike(value) for key, value in params if key == name})
        if not same:
            raise RefusedError(
                f"A page of {public_url(self.url(api, path, params))} links to another list, {public_url(url)}: to "
                f"follow it would lose {path.rpartition('/')[2].lower()}",
                remedy="Find out what stands between this machine and Twilio: a proxy may rewrite addresses",
            )
        return url

    def api_of(self, url: str) -> Api:
        """Which of the APIs a URL belongs to."""
        path = urlsplit(url).path
        if _ALERTS.match(path):
            return "monitor"
        if path.startswith(VERSION["accounts"] + "/"):
            return "accounts"
        return "chat" if path.startswith(VERSION["chat"] + "/") else "conversations"

    def canonical(self, url: str) -> str:
        """The URL with Twilio's own host, whichever server is behind it."""
        parts, home = urlsplit(url), urlsplit(CANONICAL[self.api_of(url)])
        return urlunsplit((home.scheme, home.netloc, parts.path, parts.query, ""))


def _beside(api: Api, given: str | None, target: str, environment: Mapping[str, str]) -> str:
    """The address of an API beside that of Conversations. Raises `UsageError` where one alone is Twilio's."""
    if given is None:
        return _resolve(CANONICAL[api], environment) if is_twilios(target) else ""
    at = _resolve(given, environment)
    if is_twilios(at) != is_twilios(target):
        ours = ("which is Twilio's", "which is not")
        first, second = ours if is_twilios(at) else reversed(ours)
        raise UsageError(
            f"{NAMES[api]} is at {at}, {first}, and Conversations is at {target}, {second}",
            remedy=f"Unset CHAT_MIGRATE_{api.upper()}_URL and leave --{api}-url out; or name one server for both",
        )
    return at


def mixture_remedy(foreign: Side) -> str:
    """What helps where one side alone is not Twilio's."""
    option = f"--{foreign}-url"
    return f"Unset CHAT_MIGRATE_{foreign.upper()}_URL and leave {option} out; or name another address for both sides"


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    """Scheme, host with whatever stands before it, and port: what must be the same for credentials to go there."""
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        port = -1
    before, _, _ = parts.netloc.rpartition("@")
    return parts.scheme, f"{before}@{parts.hostname}", port


def _resolve(url: str, environment: Mapping[str, str]) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        sound = sound and "@" not in parts.netloc and parts.netloc.isascii()
        sound = sound and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        sound = False
    if not sound:
        shown = repr(url) if "@" not in url else "one with a user or a password in it"
        raise UsageError(f"Not a base URL: {shown}; it has the form https://host or http://host:port")
    host = parts.netloc
    if is_twilios(url):
        if parts.scheme == "http":
            raise UsageError(f"{url} would send the credentials unprotected", remedy="Use https")
        from twilio.base.client_base import ClientBase

        names = {name: environment.get(name, "").strip() for name in ("TWILIO_REGION", "TWILIO_EDGE")}
        for name, value in names.items():
            if not re.fullmatch(r"[A-Za-z0-9-]*", value):  # it becomes a part of the host's name
                raise UsageError(f"{name} is not the name of a region or an edge: {value!r}")
        regional = ClientBase()  # its arguments would be filled in from os.environ
        regional.region, regional.edge = names["TWILIO_REGION"] or None, names["TWILIO_EDGE"] or None
        host = urlsplit(regional.get_hostname(url)).netloc
    return f"{parts.scheme}://{host}"


# What the paths of the APIs are made of, and the parameters whose values no user has chosen. A link that a server
# gives can have something else there, such as what it was sent.
_SEGMENT = re.compile(
    r"v[0-9]|2010-04-01|[A-Z]{2}[0-9a-fA-F]{32}|[A-Za-z]?|Services|Bindings|Credentials|Configuration|Notifications|Users"
    r"|Alerts|Accounts\.json"
)
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?"
_PLAIN = {
    "Page": r"[0-9]{1,9}",
    "PageSize": r"[0-9]{1,4}",
    "BindingType": "apn|fcm|gcm|twilsock",
    "StartDate": _TIME,
    "EndDate": _TIME,
}


def public_url(url: str) -> str:
    """The URL as it may be shown: identities are masked, and but one of many; page tokens are left out.

    So is anything else that this program does not ask for.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    identities = [mask(value) for key, value in query if key == "Identity"]
    if len(identities) > 1:
        identities[0] += f"&(and {len(identities) - 1:,} more)"
    named = iter(identities[:1])
    pairs = [
        (key, next(named, None) if key == "Identity" else value)
        for key, value in query
        if key == "Identity" or re.fullmatch(_PLAIN.get(key, r"(?!)"), value)
    ]
    shown = "&".join(f"{key}={value}" for key, value in pairs if value is not None)
    path = "/".join(part if _SEGMENT.fullmatch(part) else "…" for part in parts.path.split("/"))
    return urlunsplit((parts.scheme, parts.netloc, path, shown, ""))
