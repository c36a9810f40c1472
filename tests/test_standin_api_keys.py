"""API keys of the stand-in's accounts: each opens its own account's APIs; a main key lists accounts, a standard one does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from migrate.standin.company import make_served
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from tests.conftest import Run, tiny_world
from tests.test_standin_company import LIST, company, content, serving

STANDARD, MAIN, FIRST, SECOND = (f"SK{letter * 32}" for letter in "abcd")
SECRETS = {STANDARD: "standard-secret", MAIN: "main-secret", FIRST: "first-secret", SECOND: "second-secret"}


def keyed() -> dict[str, Any]:
    """A company whose main account and first two subaccounts have API keys."""
    accounts = content()["accounts"]
    accounts[0]["api_keys"] = {FIRST: SECRETS[FIRST]}
    accounts[1]["main_api_keys"] = {SECOND: SECRETS[SECOND]}
    keys = {"api_keys": {STANDARD: SECRETS[STANDARD]}, "main_api_keys": {MAIN: SECRETS[MAIN]}}
    return content(accounts=accounts, **keys)


def get(server: StandInServer, path: str, key: str, secret: str = "") -> requests.Response:
    return requests.get(server.url + path, auth=(key, secret or SECRETS[key]), timeout=10)


def test_a_key_opens_the_apis_of_its_own_account_and_no_other() -> None:
    served = company(**keyed())
    worlds = {
        STANDARD: served.main,
        MAIN: served.main,
        FIRST: served.members[0].world,
        SECOND: served.members[1].world,
    }
    with serving(served) as server:
        for key, world in worlds.items():
            found = get(server, "/v2/Services", key).json()["services"]
            assert {(one["sid"], one["account_sid"]) for one in found} == {
                (sid, world.account_sid) for sid in world.services
            }
            assert get(server, "/_standin", key).json()["services"].keys() == world.services.keys()
            others = [other for other in worlds.values() if other is not world]
            paths = [f"/v2/Services/{sid}" for other in others for sid in other.services]
            assert {get(server, path, key).status_code for path in paths} == {404}
            assert get(server, "/v2/Services", key, "wrong").status_code == 401
            assert get(server, "/v2/Services", key, world.auth_token).status_code == 401


def test_a_main_key_lists_what_the_auth_token_lists_and_a_standard_key_nothing() -> None:
    served = company(**keyed())
    sids = [served.main.account_sid, *(one.world.account_sid for one in served.members)]
    with serving(served) as server:
        assert [one["sid"] for one in get(server, LIST, MAIN).json()["accounts"]] == sids
        assert [one["sid"] for one in get(server, LIST, SECOND).json()["accounts"]] == [sids[2]]
        for key, path in ((STANDARD, LIST), (FIRST, LIST), (FIRST, f"/2010-04-01/Accounts/{sids[1]}.json")):
            refused = get(server, path, key)
            assert (refused.status_code, refused.json()["code"]) == (401, 20003)


def test_a_key_of_a_suspended_account_says_that_it_is_not_active() -> None:
    changed = keyed()
    changed["accounts"][0]["status"] = "suspended"
    with serving(company(**changed)) as server:
        assert get(server, "/v2/Services", FIRST).json()["code"] == 10001
        assert get(server, "/v2/Services", FIRST, "wrong").status_code == 401


def test_a_world_file_of_one_account_has_keys_too() -> None:
    world = make_served({**tiny_world(), "api_keys": {FIRST: "secret"}, "main_api_keys": {MAIN: "other"}})
    assert isinstance(world, World)
    assert world.lets_in(FIRST, "secret")
    assert world.lets_in(MAIN, "other")
    assert not world.lets_in(FIRST, "other")


@pytest.fixture
def served(environment: pytest.MonkeyPatch) -> Any:
    """A company with keys, and the command line pointed at it without a login."""
    made = company(**keyed())
    with serving(made) as server:
        for name in ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS"):
            environment.setenv(f"CHAT_MIGRATE_{name}_URL", server.url)
        yield made


def test_the_command_line_reads_accounts_by_the_keys_of_a_file(
    run: Run, served: Any, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sids = [one.world.account_sid for one in served.members[:2]]
    environment.setenv("KEY_OF_FIRST", f"{FIRST}:{SECRETS[FIRST]}")
    secret = tmp_path / "key-of-second"
    secret.write_text(f"{SECOND}:{SECRETS[SECOND]}\n")
    secret.chmod(0o600)
    file = tmp_path / "accounts.txt"
    file.write_text(f"{sids[0]} env:KEY_OF_FIRST\n{sids[1]} file:{secret}\n")
    result = run("extract", "--accounts-file", file, "--out", tmp_path / "fleet")
    assert result.exit_code == 0, result.output
    for sid, member in zip(sids, served.members, strict=False):
        manifest = json.loads((tmp_path / "fleet" / sid / "snapshot" / "manifest.json").read_bytes())
        assert manifest["account_sid"] == sid
        services = {f"service_sid={service}" for service in member.world.services}
        assert {one.name for one in (tmp_path / "fleet" / sid / "snapshot" / "bindings").iterdir()} == services
    environment.setenv("KEY_OF_FIRST", f"{SECOND}:{SECRETS[SECOND]}")
    other = run("extract", "--accounts-file", file, "--out", tmp_path / "other", "--account", sids[0])
    assert other.exit_code == 4
    assert f"An answer is of account {sids[1]}" in other.stderr


def test_the_command_line_lists_accounts_by_a_main_key_and_a_standard_key_is_told_so(
    run: Run, served: Any, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", served.main.account_sid)
    environment.setenv("TWILIO_API_KEY", MAIN)
    environment.setenv("TWILIO_API_SECRET", SECRETS[MAIN])
    result = run("doctor", "--accounts")
    assert result.exit_code == 0, result.output
    environment.setenv("TWILIO_API_KEY", STANDARD)
    environment.setenv("TWILIO_API_SECRET", SECRETS[STANDARD])
    refused = run("doctor", "--accounts")
    assert "a standard key cannot list accounts" in refused.stderr
    assert refused.exit_code == 1
