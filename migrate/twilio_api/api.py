"""One open connection to the two APIs: requests, pages, and errors that tell the operator what helps."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from migrate.model.errors import TransientTwilioError, TwilioError, UsageError
from migrate.twilio_api.addresses import CANONICAL, Addresses, Api, public_url
from migrate.twilio_api.credentials import Credentials
from migrate.twilio_api.retry import patiently

logger = logging.getLogger(__name__)

_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_REMEDIES: Mapping[int, str] = {
    401: "Check TWILIO_ACCOUNT_SID and the secret beside it: the token may have been rotated, or belong to "
    "another account",
    403: "The credentials lack the permission; Programmable Chat needs a standard API key or the auth token",
    404: "Check the SID, and that it belongs to the account in TWILIO_ACCOUNT_SID",
}


@dataclass(frozen=True)
class ApiSettings:
    """How to reach the APIs. `record` and `replay` name a cassette and exclude each other."""

    chat_url: str = CANONICAL["chat"]
    conversations_url: str = CANONICAL["conversations"]
    record: Path | None = None
    replay: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(frozen=True)
class Page:
    """One page of a list: its records as decoded JSON, the size that the server used, where the next one is, and
    how many requests it took.
    """

    records: list[Any]
    page_size: int
    next_url: str | None
    requests: int


class TwilioApi:
    """Reads both APIs. Its methods may be called from several threads."""

    def __init__(self, client: Any, addresses: Addresses, account_sid: str) -> None:
        self._client = client
        self.addresses = addresses
        self.account_sid = account_sid
        self.server_time: datetime | None = None  # as the first answer's Date header had it

    def get(self, api: Api, path: str) -> dict[str, Any]:
        """Fetch one object, such as `/Services/IS…`. Raises `TwilioError` for any answer but 200."""
        return self._ask(self.addresses.url(api, path))[0]

    def pages(
        self,
        api: Api,
        path: str,
        *,
        key: str,
        params: tuple[tuple[str, str], ...] = (),
        start: str | None = None,
    ) -> Iterator[Page]:
        """Walk a list page by page, following `next_page_url` as given. `key` names the list in the answer.

        `start` is a `next_url` of an earlier walk to go on from. Raises `RefusedError` before any request to
        another host, and `TwilioError` for what is not a page, or pages that link in a circle.
        """
        url = self.addresses.follow(api, start) if start else self.addresses.url(api, path, params)
        asked: set[str] = set()
        while True:
            if url in asked:
                raise TwilioError(f"The pages of {public_url(url)} link in a circle")
            asked.add(url)
            body, requests = self._ask(url, lambda found: _check_page(found, key))
            following = body["meta"].get("next_page_url")
            next_url = self.addresses.follow(api, following) if following else None
            yield Page(body[key], body["meta"].get("page_size") or len(body[key]), next_url, requests)
            if next_url is None:
                return
            url = next_url

    def _ask(self, url: str, check: Callable[[dict[str, Any]], None] | None = None) -> tuple[dict[str, Any], int]:
        """GET a JSON object, trying again where that may help; the object, and how many requests it took."""

        def once() -> dict[str, Any]:
            answer = self._client.request("GET", url)
            logger.debug("GET %s: %s, %d bytes", public_url(url), answer.status_code, len(answer.body))
            body = _decode(answer, url)
            if check:
                try:
                    check(body)
                except ValueError as error:
                    raise TransientTwilioError(f"{public_url(url)} did not answer with a page: {error}") from None
            self.server_time = self.server_time or _date(answer.headers.get("date"))
            return body

        return patiently(once)


def _decode(answer: Any, url: str) -> dict[str, Any]:
    try:
        body = json.loads(answer.body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        body = None
    status = answer.status_code
    if status == 200 and isinstance(body, dict):
        return body
    if status == 200:
        raise TransientTwilioError(f"{public_url(url)} answered with something that is no JSON object", status=status)
    said = body if isinstance(body, dict) else {}
    code = f", code {said['code']}" if isinstance(said.get("code"), int) else ""
    message = f": {said['message']}" if isinstance(said.get("message"), str) else ""
    what = f"{public_url(url)} answered {status}{code}{message}"
    if status in _TRANSIENT:
        raise TransientTwilioError(what, status=status, retry_after=_seconds(answer.headers.get("retry-after")))
    raise TwilioError(what, status=status, remedy=_REMEDIES.get(status, ""))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_page(body: dict[str, Any], key: str) -> None:
    meta = body.get("meta")
    if not isinstance(meta, dict):
        raise ValueError("it has no 'meta'")
    if not isinstance(body.get(key), list):
        raise ValueError(f"it has no list {key!r}")
    if not isinstance(meta.get("next_page_url"), str | None):
        raise ValueError("its next_page_url is no address")
    if not isinstance(meta.get("page_size"), int | None):
        raise ValueError("its page_size is no number")


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def _date(header: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(header).astimezone(UTC) if header else None
    except (ValueError, OverflowError):
        return None
    return date if date and 2000 < date.year < 9000 else None  # a clock that was never set says nothing


@contextmanager
def open_api(settings: ApiSettings) -> Iterator[TwilioApi]:
    """Open the APIs live, live and recording, or replaying; the stages cannot tell which.

    Raises `UsageError` for missing credentials and unusable addresses, `InputError` for an unreadable cassette.
    """
    if settings.record and settings.replay:
        raise UsageError("--record and --replay exclude each other")
    from twilio.rest import Client

    from migrate import __version__
    from migrate.twilio_api.http import LiveTransport, Transport, TransportHttpClient

    transport: Transport
    if settings.replay:
        from migrate.twilio_api.cassette import Player

        addresses, credentials = Addresses(), Credentials.for_replay()
        transport = Player(settings.replay)
    else:
        credentials = Credentials.from_environment(settings.environment)
        addresses = Addresses.resolve(settings.chat_url, settings.conversations_url, settings.environment)
        transport = LiveTransport()
        if settings.record:
            from migrate.twilio_api.cassette import Recorder

            transport = Recorder(transport, settings.record, addresses, credentials.account_sid)
    client = Client(  # type: ignore[no-untyped-call]
        credentials.username,
        credentials.password,
        credentials.account_sid,
        http_client=TransportHttpClient(transport),
        environment={"-": ""},  # an empty one would mean os.environ; the region is in the addresses already
        user_agent_extensions=[f"chat-migrate/{__version__}"],
    )
    try:
        yield TwilioApi(client, addresses, credentials.account_sid)
    finally:
        transport.close()
