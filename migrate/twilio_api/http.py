"""HTTP below twilio's client: one answer belongs to one request, whatever the number of threads.

twilio-python's own HTTP client keeps the last response on itself, so that threads which share it can get
each other's (FACTS.md, "twilio-python 9.13.0"). Here nothing is shared: each thread has its own session.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from twilio.http import HttpClient
from twilio.http.response import Response

from migrate.model.errors import HostNotFoundError, InterruptedRunError, TransientTwilioError, TwilioError
from migrate.twilio_api.addresses import public_url
from migrate.twilio_api.concealment import Sent
from migrate.twilio_api.deadlines import Timekeeper, WatchedAdapter
from migrate.twilio_api.limits import LARGEST_BODY, LAST_MOMENT, LONGEST_REQUEST
from migrate.twilio_api.surroundings import BUNDLES, PROXY_FORM, surroundings_of

CONNECT_TIMEOUT = 10.0  # seconds
_PIECE = 1 << 16  # bytes of a body whose length is not known
_GZIP = 31  # zlib's number for it
_ENCODINGS = frozenset({"br", "compress", "deflate", "zstd"})  # further ones of HTTP's
_NO_ANSWER = (
    requests.ConnectionError,
    requests.Timeout,
    # From reading the body, which requests leaves to urllib3 here: cut short, timed out, not what its encoding says.
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.DecodeError,
)
# What requests lets through where something is wrong with the address of a proxy, or a file of certificates is gone.
_UNFORESEEN = (ValueError, TypeError, AttributeError, OSError)
_UNKNOWN_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
# No other encoding: the size of what it would grow to could not be bounded.
_HEADERS = {"Accept-Encoding": "gzip", "Connection": "keep-alive"}
_CHECK = "Check the address, and that this machine reaches it"
_CHECK_PROXY = "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, and that the proxy lets the host pass"
_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: (?:4\d\d|501)")
_NOT_SIGNED_IN = "Tunnel connection failed: 407"
_SIGN_IN = f"The proxy asks for a user and a password, or for other ones: check HTTPS_PROXY. {PROXY_FORM}"
_EXPIRED = (9, 10)  # OpenSSL's numbers for a certificate that is not valid yet, or not any more
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})  # for an answer that is no TLS at all
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


class _EncodingError(urllib3.exceptions.DecodeError):
    """A body that is not encoded as it should be, in our own words."""


class _TooLargeError(Exception):
    """A body that is larger than any of Twilio's."""


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


class LiveTransport:
    """The network, through one `requests.Session` a thread (connection pool, proxies, gzip).

    `direct` goes past the proxies that the environment names, to a server on this machine.
    """

    def __init__(self, *, direct: bool = False) -> None:
        self._direct = direct
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()
        self._time = Timekeeper()
        self._stopped = threading.Event()

    def send(self, request: Request) -> Answer:
        """Send one request. Raises `TransientTwilioError` where no whole answer came in time, `TwilioError` where it
        was larger than any of Twilio's, and `InterruptedRunError` once stopped.
        """
        if self._stopped.is_set():
            raise InterruptedRunError("Interrupted")
        with self._time.limit(request.seconds) as attempt:
            try:
                answer = self._send(request)
            except Exception:
                if not attempt.is_over:  # else it comes of that
                    raise
            if not attempt.is_over:
                return answer
            # What came may look whole: the end of a connection can be the end of a body.
            if self._stopped.is_set():
                raise InterruptedRunError("Interrupted")
        what = f"No answer from {public_url(request.url)}: it was not complete after {request.seconds:.0f} s"
        raise TransientTwilioError(what, remedy=_CHECK)

    def _send(self, request: Request) -> Answer:
        session = self._session()
        surroundings = self._surroundings(session, request.url)
        try:
            # Not the session's own: it would add what earlier answers left behind, and take its time.
            prepared = requests.Request(
                request.method, request.url, {**_HEADERS, **request.headers}, data=request.body, auth=request.auth
            ).prepare()
            # These are for what the timekeeper misses.
            timeout = (min(CONNECT_TIMEOUT, request.seconds + 1), request.seconds + 1)
            response = session.send(prepared, timeout=timeout, allow_redirects=False, **surroundings)
            body = _body(response)
        except _NO_ANSWER as error:
            # Not chained: the library's own error holds the whole address, and identities with it.
            raise _no_answer(request, error, proxy_for(request.url, surroundings.get("proxies"))) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, *_UNFORESEEN) as error:
            raise TwilioError(f"Cannot ask {public_url(request.url)}: {_reason(error)}", remedy=_CHECK) from None
        except _TooLargeError:
            response.close()
            if not response.ok:  # its status says enough
                return Answer(response.status_code, b"", response.headers)
            raise TwilioError(
                f"{public_url(request.url)} answered with more than {LARGEST_BODY >> 20} MiB, which is no answer of "
                "Twilio's",
                status=response.status_code,
                remedy="Find out who answers under that address before you try again",
            ) from None
        return Answer(response.status_code, body, response.headers)

    def stop(self) -> None:
        """Begin no further request, and give those under way a moment yet."""
        self._stopped.set()
        self._time.hurry(LAST_MOMENT)

    def close(self) -> None:
        """Close every thread's connections."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()
        self._time.close()

    def _surroundings(self, session: requests.Session, url: str) -> dict[str, Any]:
        """Proxies and certificates as the environment has them for a host. To look them up costs half a millisecond,
        so that is done once.
        """
        known: dict[str, dict[str, Any]] = self._local.surroundings
        host = urlsplit(url).netloc
        if host not in known:
            known[host] = surroundings_of(session, url)
        return known[host]

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = not self._direct
            for scheme in ("http://", "https://"):
                session.mount(scheme, WatchedAdapter())
            self._local.surroundings = {}
            with self._lock:
                self._sessions.append(session)
        return session


def _body(response: requests.Response) -> bytes:
    """A body as its encoding means it. Raises `_TooLargeError` beyond `LARGEST_BODY`, and never holds more of it."""
    raw: urllib3.HTTPResponse = response.raw
    length, encoding = raw.length_remaining, response.headers.get("content-encoding", "").strip().lower()
    # In one piece: `response.content` puts it together from pieces of 10 KB, which costs as much again.
    whole = length is not None and length <= LARGEST_BODY
    data = raw.read(decode_content=False) if whole else _piece_by_piece(raw)
    if encoding in ("", "identity"):
        return data
    if encoding in ("gzip", "x-gzip"):
        return _inflated(data)
    named = encoding if encoding in _ENCODINGS else "something else"  # no server's own words
    raise _EncodingError(f"it is encoded as {named}, which was not asked for")


def _piece_by_piece(raw: urllib3.HTTPResponse) -> bytes:
    found = bytearray()
    while piece := raw.read(_PIECE, decode_content=False):
        found += piece
        if len(found) > LARGEST_BODY:
            raise _TooLargeError
    return bytes(found)


def _inflated(data: bytes) -> bytes:
    """What was compressed by gzip, in one member or several. What else stands behind them is passed over."""
    found: list[bytes] = []
    left = LARGEST_BODY
    while data:
        inflater = zlib.decompressobj(_GZIP)
        piece: bytes | None = None
        with suppress(zlib.error):
            piece = inflater.decompress(data, left + 1)
        if piece is None and found:
            break
        if piece is None:
            raise _EncodingError("it is not gzip, as it says")
        left -= len(piece)
        if left < 0:
            raise _TooLargeError
        if not inflater.eof:
            raise _EncodingError("its gzip ends in the middle")
        found.append(piece)
        data = inflater.unused_data
    return b"".join(found)


def _reason(error: BaseException) -> str:
    """The innermost cause in few words: the libraries' own wrap addresses and object names around it.

    Of those only plain ones: a library quotes what a server has answered instead of HTTP, or a proxy's address.
    """
    error = _innermost(error)
    if isinstance(error, _EncodingError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"  # OpenSSL's own words
    if isinstance(error, ssl.SSLError):
        return f"no TLS ({str(getattr(error, 'reason', None) or 'unknown').replace('_', ' ').lower()})"
    if isinstance(error, OSError) and error.errno and error.strerror:
        named = error.strerror if isinstance(error, socket.gaierror | socket.herror) else os.strerror(error.errno)
        return named.lower()
    return Sent().conceal(str(error).rsplit(": ", 1)[-1]) or type(error).__name__


def proxy_for(url: str, proxies: Mapping[str, str] | None = None) -> str:
    """The proxy that is asked for a URL, without a user and a password; empty if none is.

    Without `proxies` it is as the environment says, by requests' own rules (HTTPS_PROXY, ALL_PROXY, NO_PROXY, …).
    """
    found = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url) if proxies is None else proxies)
    return found.rpartition("@")[2].rpartition("//")[2].rstrip("/") if found else ""


def _no_answer(request: Request, error: Exception, proxy: str) -> TwilioError:
    """What it means that no whole answer came: most of it may pass, a certificate that is refused will not."""
    through = f" through the proxy {proxy}" if proxy else ""
    what, inner = f"No answer from {public_url(request.url)}{through}: {_reason(error)}", _innermost(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return TwilioError(what, remedy=_about_certificate(inner))
    if isinstance(inner, ssl.SSLError) and inner.reason in _NO_TLS:
        return TwilioError(what, remedy="What answers there does not speak TLS: check the address and its port")
    # For certain: a name service that does not answer is no proof.
    unknown = isinstance(inner, socket.gaierror) and inner.errno in _UNKNOWN_HOST
    if proxy:  # whose own name it may be
        lasts = unknown or _REFUSED_BY_PROXY.search(str(inner))
        remedy = _SIGN_IN if _NOT_SIGNED_IN in str(inner) else _CHECK_PROXY
        return (TwilioError if lasts else TransientTwilioError)(what, remedy=remedy)
    return (HostNotFoundError if unknown else TransientTwilioError)(what, remedy=_CHECK)


def _about_certificate(error: ssl.SSLCertVerificationError) -> str:
    """What helps against a certificate that is refused."""
    if error.verify_code in _EXPIRED:
        return "Check this machine's clock first; if it is right, somebody else may be answering"
    return (
        "Somebody else may be answering; if it is a proxy of yours, name the certificate of its authority in "
        f"{' or '.join(name for name in BUNDLES if not name.startswith('CURL'))}"
    )


def is_known_host(url: str) -> bool:
    """Whether this machine's name service knows the host of a URL."""
    parts = urlsplit(url)
    try:
        return bool(socket.getaddrinfo(parts.hostname, parts.port or 443))
    except OSError:
        return False


def _innermost(error: BaseException) -> BaseException:
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        inner = inner or next((part for part in error.args if isinstance(part, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


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
            raise TwilioError(f"Cannot ask {public_url(url)}: {_reason(error)}", remedy=_CHECK) from None
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        return self.transport.send(Request(method, prepared.url or url, headers or {}, body, auth, seconds))
