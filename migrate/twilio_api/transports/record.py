"""Recording a cassette: the two APIs as they answer, in vcrpy's format, made below twilio's client.

vcrpy gives the format, its safe loader and its writer. Its patching of `http.client` is left out: it is
process-wide and switches itself off while a request is under way, which parallel chains would fall through.
A cassette holds Twilio's own hosts, no credentials and no account SID of the recorder; it does hold the
bindings, and so personal data. It differs from what was answered in this alone: of the headers there are three; the
addresses of the two APIs, the account's SID and the secrets that requests carry are replaced in bodies, each where it
stands whole; and the answer to a write that holds a credential's secret is left out.
"""

from __future__ import annotations

import json
import re
import threading
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from requests.utils import get_environ_proxies
from vcr.request import Request as RecordedRequest
from vcr.serialize import serialize
from vcr.serializers import yamlserializer

from migrate.model.clock import RECORDED_AT
from migrate.model.errors import RefusedError
from migrate.model.push_credential import SECRET_FIELDS
from migrate.model.sids import sids_in
from migrate.storage.private import Unfinished
from migrate.twilio_api.addresses import CANONICAL, VERSION, Addresses
from migrate.twilio_api.clocks import clock_of
from migrate.twilio_api.concealment import Sent
from migrate.twilio_api.login import REPLAY_ACCOUNT_SID, Login
from migrate.twilio_api.pages import NotAPageError, decode
from migrate.twilio_api.transports.surroundings import basic_credentials
from migrate.twilio_api.transports.transport import Answer, Request, Transport

# `Date` is the source's clock: the age of a binding is measured by it. `Retry-After` steers the client.
_KEPT_HEADERS = ("content-type", "date", "retry-after")
_PAGING = ("Page", "PageSize", "PageToken")
# What is shorter may stand anywhere in an answer, and to replace it there would change what was answered.
SHORTEST_SECRET = 12
# What of an alert decides something, and which of that is text.
_ALERT_TEXTS = ("alert_text", "request_url", "resource_sid", "service_sid")
_ALERT_FIELDS = ("sid", "account_sid", "error_code", "log_level", "date_generated", "date_created", "date_updated")
_PLAIN_VALUE = r"[A-Za-z0-9:.+-]{1,40}"  # SIDs, codes, dates


class RecordTransport:
    """Passes requests on to a transport and keeps each exchange; `close` writes the cassette."""

    def __init__(self, inner: Transport, path: Path, addresses: Addresses, login: Login) -> None:
        self._secrets = _concealable(addresses, login)
        if path.exists():
            raise RefusedError(
                f"The cassette {path} is there already", remedy="Move it away, or record under another name"
            )
        # Begun now, so that a place that cannot be written shows before the run, not after it.
        self._unfinished = Unfinished(path)
        self._inner = inner
        self._addresses = addresses
        self._login = login
        self._exchanges: list[tuple[RecordedRequest, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def send(self, request: Request) -> Answer:
        """Send one request through the inner transport and keep what came back."""
        answer = self._inner.send(request)
        api = self._addresses.api_of(request.url)
        form, hidden = _without_secrets(request.body or b"")
        ours, twilios = (f"{base}{VERSION[api]}/" for base in (self._addresses.base(api), CANONICAL[api]))
        body = answer.body
        for slash in ("/", r"\/"):  # JSON may have either
            body = body.replace(ours.replace("/", slash).encode(), twilios.replace("/", slash).encode())
        if hidden:  # a server may say what it was sent, and in many ways
            body = b"{}"
        elif answer.status_code >= 400:
            body = self._failure(body, request.url)
        elif api == "monitor":
            body = _without_texts(body)
        headers = {name: [answer.headers[name]] for name in _KEPT_HEADERS if name in answer.headers}
        clock = clock_of(request.url, answer.headers)
        if clock and clock.is_said:  # a replay compares the source's time with that of the recording
            headers[RECORDED_AT] = [format_datetime(clock.machine, usegmt=True)]
        recorded = {
            "status": {"code": answer.status_code, "message": ""},
            "headers": headers,
            "body": {"string": self._anonymous(body)},
        }
        url = self._anonymous(self._addresses.canonical(request.url).encode()).decode()
        with self._lock:
            sent = RecordedRequest(request.method, url, self._anonymous(form) if form else None, {})
            self._exchanges.append((sent, recorded))
        return answer

    def stop(self) -> None:
        """Have the inner transport end what is under way."""
        self._inner.stop()

    def close(self) -> None:
        """Write the cassette, its exchanges in an order that does not depend on the threads' timing."""
        self._inner.close()
        # The exchanges of one chain came one after the other, and a stable sort keeps them so.
        self._exchanges.sort(key=lambda exchange: _chain_key(exchange[0].uri))
        requests, responses = zip(*self._exchanges, strict=True) if self._exchanges else ((), ())
        text = serialize({"requests": requests, "responses": responses}, yamlserializer)
        self._unfinished.file.write(text.encode())
        self._unfinished.finish()

    def _failure(self, body: bytes, url: str) -> bytes:
        """The body of a failure, without what a server may say in it of the credentials; see `Sent`."""
        try:
            found = decode(body)
        except NotAPageError:
            return b""
        said = found if isinstance(found, dict) else {}
        kept = {name: said[name] for name in ("code", "status") if isinstance(said.get(name), int)}
        if isinstance(said.get("message"), str):
            kept["message"] = Sent(url, self._login.secrets).conceal(said["message"])
        return json.dumps(kept).encode()

    def _anonymous(self, data: bytes) -> bytes:
        for secret in self._secrets:  # a server may say what it was sent
            data = data.replace(secret.encode(), b"hidden")
        return data.replace(self._login.account_sid.encode(), REPLAY_ACCOUNT_SID.encode())


def _concealable(addresses: Addresses, login: Login) -> tuple[str, ...]:
    """The secrets that requests carry, each in the forms in which an answer may have it, the longest first.

    Raises `RefusedError` for one that is too short to be distinguished from other text.
    """
    carried = {login.secret_name: login.password, "TWILIO_ACCOUNT_SID": login.account_sid}
    carried |= _proxy_passwords(addresses)
    for name, value in carried.items():
        if len(value) < SHORTEST_SECRET:
            raise RefusedError(
                f"Not recorded: {name} has fewer than {SHORTEST_SECRET} characters, and to conceal it would change "
                "other text in the recording too",
                kept="Nothing was asked, and nothing was written",
                remedy="Record with a longer one, or run the same without --record",
            )
    del carried["TWILIO_ACCOUNT_SID"]  # it is no secret, and has a place-holder of its own
    forms = {form for value in carried.values() for form in (value, quote(value, safe=""), json.dumps(value)[1:-1])}
    forms |= {*login.secrets, *(basic_credentials(proxy) for proxy in _proxies(addresses) if _password_of(proxy))}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _proxy_passwords(addresses: Addresses) -> dict[str, str]:
    """The passwords of the proxies between this machine and the two APIs, by what an error may call them."""
    found = {_password_of(proxy) for proxy in _proxies(addresses)}
    return {f"the password of proxy {number}": value for number, value in enumerate(sorted(found - {""}), 1)}


def _proxies(addresses: Addresses) -> set[str]:
    return {proxy for url in vars(addresses).values() for proxy in get_environ_proxies(url).values()}


def _password_of(address: str) -> str:
    """A proxy's password; none where its address cannot be read, because nothing is sent through that one."""
    try:
        return unquote(urlsplit(address).password or "")
    except ValueError:
        return ""


def _without_secrets(form: bytes) -> tuple[bytes, list[str]]:
    """A form with each secret of a credential hidden, and those secrets."""
    pairs = parse_qsl(form.decode(), keep_blank_values=True)
    secrets = [value for name, value in pairs if name in SECRET_FIELDS]
    hidden = [(name, "hidden" if name in SECRET_FIELDS else value) for name, value in pairs]
    return (urlencode(hidden).encode() if secrets else form), secrets


def _without_texts(body: bytes) -> bytes:
    """A page of alerts with nothing of their texts but SIDs: the rest may be personal data (FACTS.md)."""
    try:
        found = decode(body)
    except NotAPageError:
        return b""
    if not isinstance(found, dict) or not isinstance(found.get("alerts"), list):
        return b"{}"
    alerts = [_without_text(alert) for alert in found["alerts"]]
    return json.dumps({"meta": found.get("meta"), "alerts": alerts}, default=str).encode()


def _without_text(alert: Any) -> dict[str, str | None]:
    kept: dict[str, str | None] = {}
    for name, value in alert.items() if isinstance(alert, dict) else ():
        if name in _ALERT_TEXTS:
            kept[name] = " ".join(sorted(sids_in(value))) if isinstance(value, str) else None
        elif name in _ALERT_FIELDS:
            kept[name] = str(value) if re.fullmatch(_PLAIN_VALUE, str(value)) and value is not None else None
    return kept


def _chain_key(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    filters = sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in _PAGING)
    return parts.netloc, parts.path, urlencode(filters)
