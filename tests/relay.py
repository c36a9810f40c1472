"""A company's accounts behind one address, as Twilio has them: the list for the main token, the rest by each one's own."""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from migrate.standin.server import StandInServer
from migrate.standin.world import World, make_world
from tests.conftest import tiny_world, untraced_threads

MAIN = "AC" + "f" * 32
MAIN_TOKEN = "main-token-0f8e2b"


def sid_of(number: int) -> str:
    """The SID of an account, by its number."""
    return f"AC{number:032d}"


def token_of(number: int) -> str:
    """The auth token of an account, as the list has it."""
    return f"token-{number}-5d1c"


@dataclass(frozen=True)
class Company:
    """The stand-in of each account, by its SID, and the address of all of them."""

    servers: Mapping[str, StandInServer]
    url: str

    @property
    def writes(self) -> dict[str, int]:
        """How many writes each account has seen, of those that have seen any."""
        return {sid: len(server.world.writes) for sid, server in self.servers.items() if server.world.writes}


@contextmanager
def company(
    environment: pytest.MonkeyPatch, number: int, *, suspended: Collection[int] = (), refused: Collection[int] = ()
) -> Iterator[Company]:
    """Serve so many accounts, and point the command line at them; the tokens that are listed of some are `refused`."""
    with ExitStack() as stack:
        with untraced_threads():
            servers = {sid_of(one): stack.enter_context(StandInServer(_world(one))) for one in range(1, number + 1)}
        listed = [
            {
                "sid": sid_of(one),
                "friendly_name": f"Customer {one}",
                "status": "suspended" if one in suspended else "active",
                "owner_account_sid": MAIN,
                "auth_token": "another-token" if one in refused else token_of(one),
            }
            for one in range(1, number + 1)
        ]
        relay = _Relay(servers, listed)
        stack.callback(relay.server_close)
        stack.callback(relay.shutdown)
        with untraced_threads():
            threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        url = f"http://127.0.0.1:{relay.server_port}"
        for api in ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS"):
            environment.setenv(f"CHAT_MIGRATE_{api}_URL", url)
        environment.setenv("TWILIO_ACCOUNT_SID", MAIN)
        environment.setenv("TWILIO_AUTH_TOKEN", MAIN_TOKEN)
        yield Company(servers, url)


def _world(number: int) -> World:
    return make_world(tiny_world() | {"account_sid": sid_of(number), "auth_token": token_of(number)})


class _Relay(ThreadingHTTPServer):
    def __init__(self, servers: Mapping[str, StandInServer], listed: list[dict[str, str]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.servers = servers
        self.listed = listed


class _Handler(BaseHTTPRequestHandler):
    server: _Relay
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, _, credentials = self.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(credentials).decode().partition(":")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        if self.path.startswith("/2010-04-01/Accounts"):
            self._accounts((user, password) == (MAIN, MAIN_TOKEN))
        elif user in self.server.servers:
            self._forward(self.server.servers[user].url, body)
        else:
            self._answer(401, b'{"code": 20003, "message": "Authenticate", "status": 401}')

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def _accounts(self, is_main: bool) -> None:
        if not is_main:
            self._answer(401, b'{"code": 20003, "message": "Authenticate", "status": 401}')
            return
        name = self.path.partition("?")[0].rpartition("/")[2].removesuffix(".json")
        one = [account for account in self.server.listed if account["sid"] == name]
        main = {
            "sid": MAIN,
            "friendly_name": "The company",
            "status": "active",
            "owner_account_sid": MAIN,
            "auth_token": MAIN_TOKEN,
        }
        page = {"accounts": [main, *self.server.listed], "page": 0, "page_size": 1000, "next_page_uri": None}
        self._answer(200, json.dumps(one[0] if one else page).encode())

    def _forward(self, url: str, body: bytes | None) -> None:
        names = ("Authorization", "Content-Type")
        headers = {name: self.headers[name] for name in names if name in self.headers}
        asked = urllib.request.Request(url + self.path, body, headers, method=self.command)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                self._answer(answer.status, answer.read().replace(url.encode(), self._own()))
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read())

    def _own(self) -> bytes:
        return f"http://{self.headers['Host']}".encode()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
