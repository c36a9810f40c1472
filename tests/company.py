"""A company's accounts behind one address: the list for the main token, the rest by each one's own."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pytest
from click.testing import Result

from migrate.standin.company import Company as Accounts
from migrate.standin.company import Member
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
    """What is served, and its address."""

    accounts: Accounts
    url: str

    @property
    def writes(self) -> dict[str, int]:
        """How many writes each account has seen, of those that have seen any."""
        worlds = [one.world for one in self.accounts.members]
        return {world.account_sid: len(world.writes) for world in worlds if world.writes}

    def world(self, number: int) -> World:
        """The world of an account."""
        found = self.accounts.member(sid_of(number))
        assert found
        return found.world

    def listed(self, number: int, **changes: Any) -> None:
        """Have an account listed otherwise from now on."""
        self._list(
            replace(one, **changes) if one.world.account_sid == sid_of(number) else one
            for one in self.accounts.members
        )

    def unlisted(self, number: int) -> None:
        """Have an account not listed any more."""
        self._list(one for one in self.accounts.members if one.world.account_sid != sid_of(number))

    def _list(self, members: Iterable[Member]) -> None:
        object.__setattr__(self.accounts, "members", tuple(members))  # the server reads them at each request


def outcomes(result: Result, code: int) -> dict[int, dict[str, Any]]:
    """What a fleet's command says of each account with --json, by its number; the process ends with the same code."""
    assert result.exit_code == code, result.output
    document = json.loads(result.stdout)
    assert document["exit_code"] == code, document
    return {int(one["account_sid"][-2:]): one for one in document["accounts"]}


def states(result: Result, code: int) -> dict[int, tuple[str, int]]:
    """The state and the exit code of each account; see `outcomes`."""
    return {number: (one["state"], one["exit_code"]) for number, one in outcomes(result, code).items()}


@contextmanager
def company(
    environment: pytest.MonkeyPatch,
    number: int,
    *,
    suspended: Collection[int] = (),
    refused: Collection[int] = (),
    api_keys: Mapping[int, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[Company]:
    """Serve so many accounts, and point the command line at them; the tokens that are listed of some are `refused`, and
    some have `api_keys`.
    """
    members = [
        Member(
            _world(one, token_of(one), api_keys.get(one, {})),
            f"Customer {one}",
            "suspended" if one in suspended else "active",
            refuses=one in refused,
        )
        for one in range(1, number + 1)
    ]
    served = Accounts(make_world(tiny_world() | {"account_sid": MAIN, "auth_token": MAIN_TOKEN}), tuple(members))
    with untraced_threads():
        server = StandInServer(served)
        server.__enter__()
    try:
        for api in ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS"):
            environment.setenv(f"CHAT_MIGRATE_{api}_URL", server.url)
        environment.setenv("TWILIO_ACCOUNT_SID", MAIN)
        environment.setenv("TWILIO_AUTH_TOKEN", MAIN_TOKEN)
        yield Company(served, server.url)
    finally:
        server.__exit__(None, None, None)


def _world(number: int, token: str, api_keys: Mapping[str, str]) -> World:
    content = {"account_sid": sid_of(number), "auth_token": token, "api_keys": dict(api_keys)}
    return make_world(tiny_world() | content)
