"""A fleet of small accounts, each with a stand-in of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from migrate.extract.extraction import ExtractOptions
from migrate.fleet.choosing import choose
from migrate.fleet.fleet import Fleet, FleetOptions
from migrate.fleet.folder import FleetFolder
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import World, make_world
from migrate.twilio_api.accounts import AccountChoice, TwilioAccount
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.connect import ApiSettings, open_api
from migrate.twilio_api.login import Login
from tests.applying import live
from tests.conftest import tiny_world, untraced_threads

OPTIONS = ExtractOptions(alerts=False)
EVERYONE = AccountChoice(all=True)


def sid_of(number: int) -> str:
    """The SID of an account, by its number."""
    return f"AC{number:032d}"


@dataclass
class Company:
    """Accounts by SID, with the stand-in of each; `opened` says whose API was opened, in that order."""

    servers: dict[str, StandInServer]
    accounts: dict[str, TwilioAccount]
    opened: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda sid: None  # called as an API is opened

    @contextmanager
    def open(self, account: Any) -> Iterator[TwilioApi]:
        """The API of an account, at its own stand-in."""
        self.opened.append(account.sid)
        self.before(account.sid)
        url = self.servers[account.sid].url
        environment = {"TWILIO_ACCOUNT_SID": account.sid, "TWILIO_AUTH_TOKEN": account.login.password}
        with open_api(ApiSettings(url, url, monitor_url=url, environment=environment)) as api:
            yield api

    def fleet(
        self, folder: Path, options: FleetOptions | None = None, choice: AccountChoice = EVERYONE
    ) -> AbstractContextManager[Fleet]:
        """The fleet of these accounts, as `open_fleet` opens it."""
        return self._fleet(folder, options or FleetOptions(at_a_time=4), choice)

    @contextmanager
    def _fleet(self, folder: Path, options: FleetOptions, choice: AccountChoice) -> Iterator[Fleet]:
        found = [one for sid, one in sorted(self.accounts.items()) if choice.all or sid in choice.sids]
        with FleetFolder.held(folder, sid_of(999)) as held:
            accounts, left = choose(found, choice, folder, options.only)
            yield Fleet(accounts, left, held, options, None, self)

    def settings(self, number: int) -> dict[str, Any]:
        """What is set in Conversations of an account's services, by SID: the oracle."""
        return live(self.servers[sid_of(number)].world)


Start = Callable[..., Company]


@pytest.fixture
def company(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """Start a company of so many accounts; `faults` are by number, `refused` have a token that is not accepted."""
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    with ExitStack() as stack:

        def start(
            number: int,
            *,
            statuses: Mapping[int, str] | None = None,
            faults: Mapping[int, Faults] | None = None,
            refused: Collection[int] = (),
        ) -> Company:
            servers: dict[str, StandInServer] = {}
            accounts: dict[str, TwilioAccount] = {}
            for one in range(1, number + 1):
                sid = sid_of(one)
                with untraced_threads():
                    server = StandInServer(_world(one), faults=(faults or {}).get(one))
                    servers[sid] = stack.enter_context(server)
                token = "not-this-one" if one in refused else f"token-of-{one}"
                status = (statuses or {}).get(one, "active")
                accounts[sid] = TwilioAccount(sid, f"Customer {one}", status, Login(sid, sid, token))
            return Company(servers, accounts)

        yield start


def _world(number: int) -> World:
    content = tiny_world()
    content |= {"account_sid": sid_of(number), "auth_token": f"token-of-{number}"}
    return make_world(content)
