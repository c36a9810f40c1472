"""Wall-clock limits: a request has so many seconds from its first byte to its last, whatever the server sends.

A socket's timeout starts again with each byte that comes, so that a server that drips is never late by it; and none
covers a TLS handshake, headers and body together. Here one thread watches all requests under way, and shuts the
socket of one whose time is up: what waits for it returns at once.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from migrate.twilio_api.transports.surroundings import basic_credentials

_TICK = 0.2  # seconds between two looks at the clock
_current = threading.local()  # the attempt that this thread makes


class Attempt:
    """One request under way, in the thread that makes it. `is_over` says that its time was up before it ended."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.is_over = False
        self._lock = threading.Lock()
        self._handles: list[int] = []  # duplicates, which stay valid whoever closes the connection meanwhile

    def use(self, handle: int) -> None:
        """Take note of the socket that it goes through."""
        with self._lock:
            self._handles.append(os.dup(handle))
            if self.is_over:
                self._shut()

    def cut(self) -> None:
        """End it: every read and write returns."""
        with self._lock:
            self.is_over = True
            self._shut()

    def end(self) -> None:
        """Let go of its sockets."""
        with self._lock:
            for handle in self._handles:
                os.close(handle)
            self._handles.clear()

    def _shut(self) -> None:
        for handle in self._handles:
            with suppress(OSError), socket.socket(fileno=os.dup(handle)) as shut:
                shut.shutdown(socket.SHUT_RDWR)


class Timekeeper:
    """Watches requests under way, from however many threads."""

    def __init__(self) -> None:
        self._attempts: set[Attempt] = set()
        self._lock = threading.Lock()
        self._latest = float("inf")  # by then all of them end
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, seconds: float) -> Iterator[Attempt]:
        """A request within has so many seconds."""
        attempt = Attempt(min(time.monotonic() + seconds, self._latest))
        with self._lock:
            self._attempts.add(attempt)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="timekeeper", daemon=True)
                self._thread.start()
        _current.attempt = attempt
        try:
            yield attempt
        finally:
            _current.attempt = None
            with self._lock:
                self._attempts.discard(attempt)
            attempt.end()

    def hurry(self, seconds: float) -> None:
        """Give all requests, now and from now on, no more than so many seconds from now."""
        with self._lock:
            self._latest = min(self._latest, time.monotonic() + seconds)
            for attempt in self._attempts:
                attempt.deadline = min(attempt.deadline, self._latest)

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(_TICK):
            now = time.monotonic()
            with self._lock:
                late = [attempt for attempt in self._attempts if attempt.deadline <= now and not attempt.is_over]
            for attempt in late:
                attempt.cut()


def _use(connection: socket.socket | None) -> None:
    attempt: Attempt | None = getattr(_current, "attempt", None)
    if attempt and connection is not None:
        attempt.use(connection.fileno())


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        _use(made)  # before a handshake, or a proxy, has its turn
        return made

    def request(self, *args: Any, **options: Any) -> None:
        _use(self.sock)
        super().request(*args, **options)


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class WatchedAdapter(requests.adapters.HTTPAdapter):
    """Connections whose requests a `Timekeeper` can end, direct and through an HTTP proxy."""

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """The user and the password of a proxy, in UTF-8 as curl sends them; requests has Latin-1, or fails."""
        said = basic_credentials(proxy)
        return {"Proxy-Authorization": f"Basic {said}"} if said else {}

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # which has connections of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager
