"""A server that turns hostile: it passes requests on to a stand-in, and from one of them on it never answers well.

It hangs before its answer or in the middle of it, drips 2 bytes a second, resets every connection, floods with a body
that has no end, or never gets through a TLS handshake.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

WAYS = ("stall", "stall-body", "drip-headers", "drip", "reset", "flood", "handshake")
DRIP = 2  # bytes a second
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_LINGER = struct.pack("ii", 1, 0)  # what makes a close into a reset
Begins = Callable[[str, str], bool]  # by a request's method and path: whether it is the first to be treated badly


def at_once(method: str, path: str) -> bool:
    """Be hostile from the first request on."""
    return True


class Hostile:
    """A running hostile server on loopback, before a stand-in at `upstream`; `hangs` is set once it is hostile.

    `asked` counts the requests that were treated badly.
    """

    def __init__(self, upstream: str, way: str, begins: Begins = at_once) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.way = way
        self.begins = begins
        self.hangs = threading.Event()
        self.over = threading.Event()
        self.asked = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hostile = self
        scheme = "https" if way == "handshake" else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def be_hostile(self, connection: socket.socket) -> None:
        """Answer as hostile servers do, until the client has left or this is over."""
        self.asked += 1
        self.hangs.set()
        with suppress(OSError):
            match self.way:
                case "stall-body":
                    connection.sendall(_HEAD + b"Content-Length: 100000\r\n\r\n{")
                case "drip-headers":
                    self._drip(connection, _HEAD + b"X-Drip: ")
                case "drip":
                    connection.sendall(_HEAD + b"Connection: close\r\n\r\n")  # its end is the body's end
                    self._drip(connection, b"{")
                case "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                    return
                case "flood":
                    connection.sendall(_HEAD + b"Connection: close\r\n\r\n{")
                    while not self.over.is_set():
                        connection.sendall(b" " * 65_536)
            self.over.wait()

    def _drip(self, connection: socket.socket, begins: bytes) -> None:
        while not self.over.wait(1 / DRIP):
            connection.sendall(begins[:1] or b" ")
            begins = begins[1:]


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    hostile: Hostile

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that was killed in the middle of a request: that is what is tried here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        hostile = self.server.hostile
        if hostile.way == "handshake":
            hostile.be_hostile(self.connection)
            return
        while line := self.rfile.readline():
            if not line.endswith(b"\n"):
                return  # the client left in the middle of it
            method, path, _ = line.decode("latin-1").split(" ")
            headers: dict[str, str] = {}
            while (header := self.rfile.readline().decode("latin-1").strip()) != "":
                name, _, value = header.partition(": ")
                headers[name] = value
            body = self.rfile.read(int(headers.get("Content-Length", 0)))
            if hostile.hangs.is_set() or hostile.begins(method, path):
                hostile.be_hostile(self.connection)
                return
            self._pass_on(hostile.upstream, method, path, headers, body)

    def _pass_on(self, upstream: str, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """Pass a request on; links in its answer lead here, because the stand-in goes by the Host header."""
        connection = HTTPConnection(upstream)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        kept = "".join(
            f"{name}: {answer.headers[name]}\r\n" for name in ("Content-Type", "Date") if name in answer.headers
        )
        head = f"HTTP/1.1 {answer.status} -\r\n{kept}Content-Length: {len(data)}\r\n\r\n"
        with suppress(OSError):
            self.wfile.write(head.encode("latin-1") + data)
