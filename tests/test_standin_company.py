"""The stand-in of a company: the list of its accounts, and each account by its own token alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from migrate.standin.company import Company, make_served, seeded_company
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from tests.conftest import ROOT, SHARED_OPENAPI, Run, tiny_world, untraced_threads
from tests.test_contract import check
from tests.whole import ending

ACCOUNTS = SHARED_OPENAPI / "twilio_api_v2010_accounts.json"
LIST = "/2010-04-01/Accounts.json"


def content(**others: Any) -> dict[str, Any]:
    """A world file of a main account with three subaccounts, each with a service of its own."""
    accounts = [
        {**tiny_world(sid=f"IS{number:032d}", name=f"Chat {number}"), "account_sid": f"AC{number:032d}"}
        | {"auth_token": f"token-of-{number}", "friendly_name": f"Customer {number}"}
        for number in range(1, 4)
    ]
    return {**tiny_world(), "accounts": accounts} | others


def company(**others: Any) -> Company:
    made = make_served(content(**others))
    assert isinstance(made, Company)
    return made


@contextmanager
def serving(served: Company, faults: Faults | None = None, *, prerendered: bool = False) -> Iterator[StandInServer]:
    with untraced_threads():
        server = StandInServer(served, faults=faults, prerendered=prerendered)
        server.__enter__()
    try:
        yield server
    finally:
        server.__exit__(None, None, None)


def ask(server: StandInServer, path: str, world: World, token: str = "", **how: Any) -> requests.Response:
    auth = (world.account_sid, token or world.auth_token)
    return requests.request(how.pop("method", "GET"), server.url + path, auth=auth, timeout=10, **how)


def listed(server: StandInServer, world: World, path: str = LIST) -> list[str]:
    return [one["sid"] for one in ask(server, path, world).json()["accounts"]]


@pytest.mark.skipif(not ACCOUNTS.exists(), reason="Twilio's OpenAPI documents are not beside the project")
def test_the_list_of_accounts_is_as_twilios_openapi_document_has_it() -> None:
    documents = {"/2010-04-01": json.loads(ACCOUNTS.read_bytes())}
    served = company()
    with serving(served) as server:
        path: str | None = f"{LIST}?PageSize=3"
        pages = 0
        while path:
            answer = ask(server, path, served.main)
            check(documents, "get", server.url + path, answer.status_code, answer.json())
            path, pages = answer.json()["next_page_uri"], pages + 1
        assert pages == 2
        one = f"/2010-04-01/Accounts/{served.members[0].world.account_sid}.json"
        check(documents, "get", server.url + one, 200, ask(server, one, served.main).json())


def test_unmodified_twilio_python_lists_the_accounts_and_reads_each_with_its_own_token() -> None:
    served = seeded_company(7, 100, suspended=1, refused=0, throttled=0)
    with serving(served) as server:
        client: Any = Client(served.main.account_sid, served.main.auth_token)  # type: ignore[no-untyped-call]
        client.api.base_url = server.url
        found = client.api.v2010.accounts.list(page_size=3)
        worlds = {served.main.account_sid: served.main} | {one.world.account_sid: one.world for one in served.members}
        assert {one.sid: one.auth_token for one in found} == {sid: one.auth_token for sid, one in worlds.items()}
        assert len(client.api.v2010.accounts.list(status="suspended")) == 1
        assert client.api.v2010.accounts(found[1].sid).fetch().friendly_name == served.members[0].friendly_name
        for one in found[1:]:
            own: Any = Client(one.sid, one.auth_token)  # type: ignore[no-untyped-call]
            own.chat.base_url = server.url
            if one.status == "suspended":
                with pytest.raises(TwilioException, match="not active"):
                    own.chat.v2.services.list()
                continue
            services = own.chat.v2.services.list()
            assert {service.sid for service in services} == {*worlds[one.sid].services}
            assert {service.account_sid for service in services} == {one.sid}


def test_a_token_opens_its_own_account_and_no_other() -> None:
    served = company()
    first, second = (one.world for one in served.members[:2])
    with serving(served, prerendered=True) as server:
        path = f"/v2/Services/{next(iter(first.services))}/Bindings"
        assert ask(server, path, first).status_code == 200
        assert ask(server, path, second).status_code == 404  # also where its pages are kept
        assert ask(server, path, first, second.auth_token).status_code == 401
        assert ask(server, path, served.main, first.auth_token).status_code == 401
        assert requests.get(server.url + path, timeout=10).status_code == 401
        assert listed(server, first) == [first.account_sid]
        assert ask(server, LIST, first, "other").status_code == 401
        assert ask(server, LIST, served.main, method="POST").status_code == 405
        assert ask(server, f"/2010-04-01/Accounts/{first.account_sid}.json", second).status_code == 404
        assert ask(server, "/v3/Nothing", first).status_code == 404
        assert ask(server, f"{LIST}?PageSize=none", served.main).status_code == 400


def test_a_write_changes_one_account_and_its_control_shows_it() -> None:
    served = company()
    first, second = (one.world for one in served.members[:2])
    with serving(served) as server:
        path = f"/v1/Services/{next(iter(first.services))}/Configuration/Notifications"
        ask(server, path, first, method="POST", data={"NewMessage.Sound": "chime"}).raise_for_status()
        assert ask(server, "/_standin", first).json()["writes"] == [f"POST {path}"]
        assert ask(server, "/_standin", second).json()["writes"] == []


def test_accounts_are_listed_by_status_and_name_and_their_tokens_as_the_world_file_says() -> None:
    accounts = content()["accounts"]
    accounts[0] |= {"status": "closed"}
    accounts[1] |= {"refuses": True}
    accounts[2] |= {"hides_token": True, "most_at_once": 1}
    served = company(accounts=accounts)
    with serving(served) as server:
        answers = ask(server, LIST, served.main).json()["accounts"]
        assert [one["status"] for one in answers] == ["active", "closed", "active", "active"]
        assert [one["auth_token"] for one in answers][1] == "token-of-1"
        assert answers[2]["auth_token"] != "token-of-2"
        assert answers[3]["auth_token"] is None
        assert listed(server, served.main, f"{LIST}?Status=closed") == [accounts[0]["account_sid"]]
        assert listed(server, served.main, f"{LIST}?FriendlyName=Customer+3") == [accounts[2]["account_sid"]]
        assert ask(server, "/v2/Services", served.members[0].world).status_code == 403
        assert ask(server, "/v2/Services", served.members[1].world, answers[2]["auth_token"]).status_code == 401
        limited = ask(server, "/v2/Services", served.members[2].world)
        assert (limited.status_code, limited.headers["Twilio-Concurrent-Requests"]) == (200, "1")
        assert "Twilio-Concurrent-Requests" not in ask(server, "/v2/Services", served.members[1].world).headers


def test_a_seeded_company_is_always_the_same_and_shares_no_sid() -> None:
    made, again = seeded_company(60, 3_000, seed=5), seeded_company(60, 3_000, seed=5)
    assert made == again != seeded_company(60, 3_000, seed=6)
    worlds = [one.world for one in made.members]
    sids = [
        sid for world in worlds for sid in (world.account_sid, *world.services, *world.credentials, world.auth_token)
    ] + [binding.sid for world in worlds for service in world.services.values() for binding in service.bindings]
    assert len({*sids}) == len(sids)
    sizes = sorted(sum(len(one.bindings) for one in world.services.values()) for world in worlds)
    assert sizes[-1] == 1_500
    assert sum(sizes[:-1]) < 3_000
    kinds = [(one.refuses, bool(one.most_at_once), one.status != "active") for one in made.members]
    assert [sum(kind) for kind in zip(*kinds, strict=True)] == [1, 1, 1]
    assert seeded_company(1).members[0].status == "active"


def test_a_fleet_excludes_other_worlds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text(yaml.safe_dump(content()))
    result = run("standin", "--fleet", "3", "--world", tmp_path / "world.yaml")
    assert result.exit_code == 2
    assert "--snapshot, --world and --fleet exclude each other" in result.stderr


def test_the_command_serves_a_seeded_company_and_says_where_its_accounts_are_listed() -> None:
    command = [sys.executable, "-m", "migrate", "standin", "--fleet", "3", "--port", "0", "--until-closed"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with ending(process) as standin:
        assert standin.stdout is not None
        told = dict(standin.stdout.readline().split()[1].split("=") for _ in range(6))
        auth = told["TWILIO_ACCOUNT_SID"], told["TWILIO_AUTH_TOKEN"]
        answer = requests.get(told["CHAT_MIGRATE_ACCOUNTS_URL"] + LIST, auth=auth, timeout=30).json()
    assert [one["friendly_name"] for one in answer["accounts"]][1:] == [f"Customer {n:04}" for n in (1, 2, 3)]
