"""A real HTTP proxy on loopback, which asks for a user and a password, and may die."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.tls import listening, pipe


@dataclass
class Proxy:
    """A running proxy: `users` are names and passwords, `routes` lead from a host to the address that is behind it.

    `asked` has the first line of each request; after `lives` tunnels it lets go of all connections, and dies.
    """

    users: Mapping[str, str]
    routes: Mapping[str, str]
    lives: int | None = None
    address: str = ""
    asked: list[str] = field(default_factory=list)
    refused: int = 0
    _open: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, connection: socket.socket) -> None:
        """One connection: a tunnel for CONNECT, one request for another method."""
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(65_536)
            if not data:
                return
            head += data
        lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        with self._lock:
            self.asked.append(lines[0])
            self._open.append(connection)
        if not self._lets_pass(lines[1:]):
            self.refused += 1
            said = "Proxy-Authenticate: Basic\r\nContent-Length: 9\r\nConnection: close\r\n\r\nwho's it?"
            connection.sendall(f"HTTP/1.1 407 Proxy Authentication Required\r\n{said}".encode())
            return
        if self.lives is not None and len(self.asked) > self.lives:
            self.die()
            return
        method, target, _ = lines[0].split(" ")
        host = target if method == "CONNECT" else target.split("/")[2]
        name, _, port = self.routes.get(host.partition(":")[0], host).partition(":")
        with socket.create_connection((name, int(port))) as upstream:
            self._open.append(upstream)
            if method == "CONNECT":
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                kept = [line for line in lines[1:] if not line.lower().startswith(("proxy-", "connection"))]
                path = "/" + target.split("/", 3)[3]
                first = f"{method} {path} HTTP/1.1"
                rest = head.partition(b"\r\n\r\n")[2]
                upstream.sendall("\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1") + rest)
            pipe(connection, upstream)

    def _lets_pass(self, headers: list[str]) -> bool:
        accepted = {
            "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
            for name, password in self.users.items()
        }
        said = dict(line.split(": ", 1) for line in headers)
        return not accepted or said.get("Proxy-Authorization") in accepted

    def die(self) -> None:
        """Let go of all connections."""
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(users: Mapping[str, str], routes: Mapping[str, str], lives: int | None = None) -> Iterator[Proxy]:
    """Run a proxy."""
    found = Proxy(users, routes, lives)
    with listening(found.handle) as address:
        found.address = address
        yield found
