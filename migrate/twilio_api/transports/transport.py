"""What a transport is, what goes into it and comes out of it; and how twilio's client calls one.

twilio-python's own HTTP client keeps the last response on itself, so that threads which share it can get each other's
(FACTS.md, "twilio-python 9.13.0"). Here one answer belongs to one request, whatever the number of threads.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from twilio.http import HttpClient
from twilio.http.response import Response

from migrate.model.errors import TwilioError
from migrate.twilio_api.addresses import public_url
from migrate.twilio_api.limits import LONGEST_REQUEST
from migrate.twilio_api.transports.failures import CHECK, reason_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One request; `body` is the encoded form of a write, `auth` is user name and password.

    `seconds` is how long it may take, from its first byte to the last of its answer.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    auth: tuple[str, str] | None
    seconds: float = LONGEST_REQUEST


class Answer(Response):
    """A response whose `body` is kept as bytes; header names are in lower case."""

    def __init__(self, status_code: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.headers: dict[str, str]
        super().__init__(status_code, "", {name.lower(): value for name, value in headers.items()})
        self.body = body

    @property
    def text(self) -> str:
        """The body as text, for twilio's own classes."""
        return self.body.decode("utf-8", "replace")


class Transport(Protocol):
    """What carries a request to an answer: a network, or a cassette."""

    def send(self, request: Request) -> Answer:
        """Send one request. May be called from several threads."""

    def stop(self) -> None:
        """End requests under way soon, and begin none: `send` raises `InterruptedRunError` from now on."""

    def close(self) -> None:
        """Release what is held; a recording is saved."""


class TransportHttpClient(HttpClient):
    """What twilio's `Client` calls: hands each request to a transport and keeps nothing."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(logger, False)
        self.transport = transport

    def request(
        self,
        method: str,
        url: str,
        params: Any = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Answer:
        """Send a request in twilio's terms: `data` is a form, `timeout` what it may take in all, in seconds."""
        seconds = timeout or LONGEST_REQUEST
        if not params and not data:
            return self.transport.send(Request(method, url, headers or {}, None, auth, seconds))
        try:
            prepared = requests.Request(method, url, params=params, data=data).prepare()
        except requests.RequestException as error:
            raise TwilioError(f"Cannot ask {public_url(url)}: {reason_of(error)}", remedy=CHECK) from None
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        return self.transport.send(Request(method, prepared.url or url, headers or {}, body, auth, seconds))
