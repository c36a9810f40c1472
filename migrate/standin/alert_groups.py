"""Groups of alerts as a world file describes them: spread over some hours, with the SIDs that each is to carry.

    - code: 52117                     # and `count`, 1 by default
      log_level: error                # the default
      hours_ago: [70, 2]              # the oldest and the newest, evenly spread; one number: all in the same second
      service: Driver app             # whom it is about: these choose the devices, and carry nothing by themselves
      credential: Android (old server key)
      identity: "driver-0007"         # of the devices, or a list of identities; all if not given
      gone: 9                         # so many devices whose bindings are not there any more, in the place of others
      resource_sid: binding           # what each field carries: service, credential, binding, none, or a SID
      service_sid: service
      alert_text: "… {credential} …"  # SIDs by {service}, {credential} and {binding}; {n} counts
      request_url: https://…
      dates: both                     # or created: `date_generated` is null; or none: both are
      created_after: 2                # seconds

Where a field has a list of alternatives, they are dealt out in turn. Which SID a push error carries at Twilio is not
known (FACTS.md), so a world can have all of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from migrate.standin.alerts import Alert, date_of, ticks

if TYPE_CHECKING:
    from migrate.standin.world import Credential, Service

_SECOND = 1_000_000  # in microseconds, which times are counted in
_GROUPS, _PLACES = 2**32, 2**64  # how many groups there can be, and alerts of one
# SIDs are numbers in disguise, so that each leads back to its alert: times an odd number, modulo 2**128.
_ALL, _FACTOR = 2**128, 0x9E3779B97F4A7C15F39CC0605CEDC835
_INVERSE = pow(_FACTOR, -1, _ALL)
_SID = re.compile(r"NO([0-9a-f]{32})")
_DATES = ("both", "created", "none")
_ABOUT = ("service", "credential", "binding")
_KEYS = {
    *("code", "count", "log_level", "hours_ago", "service", "credential", "identity", "gone", "resource_sid"),
    *("service_sid", "alert_text", "request_url", "dates", "created_after"),
}


@dataclass(frozen=True)
class SpreadAlerts:
    """Alerts of one code, evenly spread over `span` seconds that end with `newest`, in seconds since 1970.

    `about` are the SIDs that a field can carry, by the word for them; of bindings, one after the other. What a field
    carries is such a word, a text with such words in braces, or nothing.
    """

    number: int  # of the group
    count: int
    newest: int
    span: int
    code: str | None
    log_level: str | None
    about: Mapping[str, Sequence[str]]
    resource_sids: Sequence[str | None]
    service_sids: Sequence[str | None]
    texts: Sequence[str | None]
    urls: Sequence[str | None]
    dates: str
    delay: int

    def __len__(self) -> int:
        return self.count

    def time(self, place: int) -> int:
        """When the alert of a place was generated, in microseconds since 1970: a full second."""
        return (self.newest - place * self.span // max(1, self.count - 1)) * _SECOND

    def newer(self, time: int) -> int:
        """How many were generated after a time."""
        # Those whose place × span // (count - 1) is less than the seconds from the time to the newest.
        seconds = self.newest - time // _SECOND
        if seconds <= 0:
            return 0
        if seconds > self.span or self.count == 1:
            return self.count
        return -(-seconds * (self.count - 1) // self.span)

    def alert(self, place: int, number: int) -> Alert:
        """The alert of a place, with its number in a list."""
        turn = place // len(self.resource_sids)
        sids = {word: sids[turn % len(sids)] for word, sids in self.about.items()}
        generated = date_of(self.time(place))
        created = generated + timedelta(microseconds=self.delay)

        def carried(field: Sequence[str | None]) -> str | None:
            given = field[place % len(field)]
            return sids.get(given, given) if given else None

        def said(field: Sequence[str | None]) -> str | None:
            text = field[place % len(field)]
            if text and "{" in text:
                for word, sid in {**sids, "n": str(place + 1)}.items():
                    text = text.replace(f"{{{word}}}", sid)
            return text

        return Alert(
            number=number,
            sid=f"NO{(place * _GROUPS + self.number) * _FACTOR % _ALL:032x}",
            generated=generated if self.dates == "both" else None,
            created=None if self.dates == "none" else created,
            error_code=self.code,
            log_level=self.log_level,
            resource_sid=carried(self.resource_sids),
            service_sid=carried(self.service_sids),
            text=said(self.texts),
            request_url=said(self.urls),
        )

    def place_of(self, sid: str) -> int | None:
        """Where the alert of a SID is; None if it is not of this group."""
        found = _SID.fullmatch(sid)
        place, group = divmod(int(found[1], 16) * _INVERSE % _ALL, _GROUPS) if found else (0, 0)
        return place if group == self.number and place < self.count else None


def group_number(place: int, namespace: str = "") -> int:
    """The number of a world's group by its place, from 1. The SIDs of its alerts depend on it."""
    return int(hashlib.sha256(f"{namespace} {place}".encode()).hexdigest()[:8], 16) if namespace else place


def read_group(
    number: int,
    item: Mapping[str, Any],
    now: datetime,
    credentials: Mapping[str, Credential],
    services: Sequence[Service],
) -> SpreadAlerts:
    """The group that an item of a world file describes. `credentials` are by name.

    Raises `ValueError`, `TypeError` or `LookupError` for one that cannot be.
    """
    if unknown := {*item} - _KEYS:
        raise ValueError(f"an alert has no {', '.join(sorted(map(str, unknown)))}")
    hours = _list(item["hours_ago"])
    seconds = [ticks(now - timedelta(hours=each)) // _SECOND for each in hours]
    about = _about(item, credentials, services)
    code, dates, count = item["code"], item.get("dates", "both"), int(item.get("count", 1))
    if dates not in _DATES or not 0 < count <= _PLACES:
        raise ValueError(f"an alert's dates are {', '.join(_DATES)}, and its count is a number from 1")
    return SpreadAlerts(
        number=number,
        count=count,
        newest=max(seconds),
        span=max(seconds) - min(seconds),
        code=None if code is None else str(code),
        log_level=item.get("log_level", "error"),
        about=about,
        resource_sids=_carried(item.get("resource_sid"), about),
        service_sids=_carried(item.get("service_sid"), about),
        texts=_list(item.get("alert_text")),
        urls=_list(item.get("request_url")),
        dates=dates,
        delay=int(item.get("created_after", 2)) * _SECOND,
    )


def _about(
    item: Mapping[str, Any], credentials: Mapping[str, Credential], services: Sequence[Service]
) -> dict[str, list[str]]:
    """The SIDs that the alerts of a group can carry, by the word for them."""
    if "service" in item:
        named = {service.friendly_name: service for service in services}
        services = [named[item["service"]]]
    about = {"service": [service.sid for service in services]}
    if "credential" in item:
        about["credential"] = [credentials[item["credential"]].sid]
    if "gone" in item:
        names = (f"{services[0].sid} gone {turn}".encode() for turn in range(item["gone"]))
        about["binding"] = ["BS" + hashlib.sha256(name).hexdigest()[:32] for name in names]
    else:
        about["binding"] = list(_devices(services, about.get("credential"), item.get("identity")))
    return {word: sids for word, sids in about.items() if sids}


def _devices(
    services: Sequence[Service], credentials: Sequence[str] | None, identity: str | list[str] | None
) -> Iterator[str]:
    """The bindings of services that use one of some credentials, and are of one of some identities."""
    identities = None if identity is None else _list(identity)
    for service in services:
        for binding in (*service.bindings, *service.conversations_bindings):
            if credentials is not None and binding.credential_sid not in credentials:
                continue
            if identities is None or binding.identity in identities:
                yield binding.sid


def _carried(given: Any, about: Mapping[str, Sequence[str]]) -> list[str | None]:
    """What a field carries in turn. Raises `ValueError` for the SID of a thing that the group is not about."""
    words = [None if word == "none" else word for word in _list(given)]
    for word in words:
        if word in _ABOUT and word not in about:
            raise ValueError(f"an alert cannot carry the SID of a {word}: there is none")
    return words


def _list(given: Any) -> list[Any]:
    """The alternatives of a field; at least one, which may be nothing."""
    return given or [None] if isinstance(given, list) else [given]
