"""A server that answers as a test says, for what no well-behaved server would do."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """An answer: `body` is sent as JSON unless it is bytes."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Scripted:
    """A running scripted server; `seen` has each request's method, path with query, and headers."""

    url: str
    stop_listening: Callable[[], None]
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def page(self, key: str, records: list[Any], next_page_url: str | None = None, **meta: Any) -> Reply:
        """An answer that is a page."""
        return Reply({"meta": {"key": key, "page_size": 50, "next_page_url": next_page_url, **meta}, key: records})


class _Http(ThreadingHTTPServer):
    """Says nothing of a client that left before its answer: a command that fails ends its other requests midway."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def scripted(answer: Callable[[Scripted, str], Reply], port: int = 0) -> Iterator[Scripted]:
    """Serve on loopback, at a free port if none is named; `answer` gets the server and the path with its query."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.seen.append((self.command, self.path, dict(self.headers)))
            reply = answer(server, self.path)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response_only(reply.status)
            for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_CONNECT = do_GET  # noqa: N815  # what a proxy is asked first, for https

        def log_message(self, *_: Any) -> None:
            pass

    with _Http(("127.0.0.1", port), Handler) as http:
        server = Scripted(f"http://127.0.0.1:{http.server_address[1]}", http.socket.close)
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
