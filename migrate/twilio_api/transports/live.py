"""The network: one session a thread, a time limit and a size limit for each answer, and no word of a server's own.

A body is read and decompressed here, so that no more than `LARGEST_BODY` of it is ever in memory.
"""

from __future__ import annotations

import threading
import zlib
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from migrate.model.errors import InterruptedRunError, TransientTwilioError, TwilioError
from migrate.twilio_api.addresses import public_url
from migrate.twilio_api.limits import LARGEST_BODY, LAST_MOMENT
from migrate.twilio_api.transports.deadlines import Timekeeper, WatchedAdapter
from migrate.twilio_api.transports.failures import CHECK, EncodingError, error_without_answer, reason_of
from migrate.twilio_api.transports.surroundings import proxy_for, surroundings_of
from migrate.twilio_api.transports.transport import Answer, Request

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
# No other encoding: the size of what it would grow to could not be bounded.
_HEADERS = {"Accept-Encoding": "gzip", "Connection": "keep-alive"}


class _TooLargeError(Exception):
    """A body that is larger than any of Twilio's."""


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
        raise TransientTwilioError(what, remedy=CHECK)

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
            raise error_without_answer(
                request.url, error, proxy_for(request.url, surroundings.get("proxies"))
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, *_UNFORESEEN) as error:
            raise TwilioError(f"Cannot ask {public_url(request.url)}: {reason_of(error)}", remedy=CHECK) from None
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
    raise EncodingError(f"it is encoded as {named}, which was not asked for")


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
            raise EncodingError("it is not gzip, as it says")
        left -= len(piece)
        if left < 0:
            raise _TooLargeError
        if not inflater.eof:
            raise EncodingError("its gzip ends in the middle")
        found.append(piece)
        data = inflater.unused_data
    return b"".join(found)
