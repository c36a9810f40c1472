"""No account's token in any output of a fleet: each is planted, and looked for in all that is said and stored."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.company import Company, company, sid_of
from tests.conftest import Run
from tests.planted import assert_hidden, forms
from tests.scripted import Reply, Scripted, scripted

SUSPENDED, REFUSED, BY_VARIABLE, BY_FILE, BY_KEY = 3, 4, 5, 6, 7
KEY = "SK" + "7" * 32
IN_VARIABLE = "planted/of+a=variable&1"  # the list could not show it: it has other characters
IN_FILE = "planted\"of'a<file>%2F"
SECRET = "planted-secret-of-a-key"
LOUD = ("-v", "-v", "--log-file", "log.jsonl")
Secrets = dict[str, set[str]]


@pytest.fixture
def accounts(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Company]:
    """Accounts that are listed with their tokens, and three whose keys a file names; one of these is an API key."""
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    (tmp_path / "work").mkdir()
    environment.chdir(tmp_path / "work")
    environment.setenv("TOKEN_OF_ONE", IN_VARIABLE)
    for name, content in (("key-1", IN_FILE), ("key-2", f"{KEY}:{SECRET}\n")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    keys = {BY_KEY: {KEY: SECRET}}
    with company(environment, BY_KEY, suspended={SUSPENDED}, refused={REFUSED}, api_keys=keys) as found:
        found.accounts.members[BY_VARIABLE - 1].world.auth_token = IN_VARIABLE
        found.accounts.members[BY_FILE - 1].world.auth_token = IN_FILE
        Path("accounts.txt").write_text(
            f"{sid_of(BY_VARIABLE)} env:TOKEN_OF_ONE\n{sid_of(BY_FILE)} file:../key-1\n{sid_of(BY_KEY)} file:../key-2\n"
        )
        yield found


def secrets(found: Company) -> Secrets:
    """Every token, with the names that it is sent with."""
    worlds = [found.accounts.main, *(one.world for one in found.accounts.members)]
    listed = {one.listed_token: {one.world.account_sid} for one in found.accounts.members if one.listed_token}
    return {**listed, **{one.auth_token: {one.account_sid} for one in worlds}, SECRET: {KEY}}


ALL = ("--accounts", "--accounts-file", "accounts.txt")
OFFLINE = ("--accounts",)


def test_no_token_is_in_what_a_night_says_and_leaves(run: Run, accounts: Company, tmp_path: Path) -> None:
    told = []
    for words, code in (
        (("run", *ALL, "--out", "fleet", "--json"), 1),
        (("load", "fleet", *ALL, "--apply", "--yes"), 1),
        (("doctor", *ALL, "--json"), 1),
        (("show", "fleet", "--json"), 0),
    ):
        done = run(*words, *LOUD)
        assert done.exit_code == code, done.output
        told += [done.stdout, done.stderr]
    assert {*accounts.writes} >= {sid_of(one) for one in (1, 2, BY_VARIABLE, BY_FILE)}, "each with its own token"
    assert_hidden(secrets(accounts), Path(), *told)


def plant_crash(environment: pytest.MonkeyPatch, place: str, accounts: Company) -> list[str]:
    """Have something raise what nobody expects, with all tokens in its text. Gives where it happened, once each."""
    text, crashed = " ".join(form for secret in secrets(accounts) for form in forms(secret, KEY)), list[str]()

    def crash(*_: Any, **__: Any) -> Any:
        crashed.append(place)
        try:
            raise KeyError(text)
        except KeyError as error:
            raise RuntimeError(text) from error

    environment.setattr(f"migrate.{place}", crash)
    return crashed


@pytest.mark.parametrize(
    ("place", "words", "name"),
    [
        ("extract.chains.Walk._take", ("extract", *ALL, "--out", "fleet"), "in a thread of an account's requests"),
        ("fleet.folder.FleetFolder.note", ("run", *ALL, "--out", "fleet"), "in a thread of the fleet"),
        ("fleet.outcome.FleetResult.failure", ("doctor", *ALL), "in the main thread"),
        ("twilio_api.accounts._account", ("doctor", "--accounts"), "as the accounts are listed"),
    ],
)
def test_a_crash_shows_no_token_not_even_with_its_traceback(
    run: Run,
    accounts: Company,
    tmp_path: Path,
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    words: tuple[str, ...],
    name: str,
) -> None:
    crashed = plant_crash(environment, place, accounts)
    with caplog.at_level(logging.DEBUG):
        done = run(*words, *LOUD)
    assert done.exit_code == 1, done.output
    assert crashed
    assert "Unexpected RuntimeError" in done.stderr, name
    assert_hidden(
        secrets(accounts), Path(), done.stdout, done.stderr, *(record.getMessage() for record in caplog.records)
    )


def test_a_server_that_says_back_what_it_was_sent_and_has_listed_shows_no_token(
    run: Run, accounts: Company, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    """The list, then an error for each account with every token in it."""
    known = secrets(accounts)
    listed = [
        {"sid": sid, "auth_token": secret, "friendly_name": "Customer", "status": "active"}
        for secret, sids in known.items()
        for sid in sids
        if sid.startswith("AC")
    ]

    def answer(server: Scripted, path: str) -> Reply:
        if "/Accounts" in path:
            return Reply({"accounts": listed, "next_page_uri": None})
        said = [*known, server.seen[-1][2]["Authorization"]]
        return Reply({"code": 20001, "message": "no: " + ", ".join(said), "more_info": said}, 400)

    with scripted(answer) as server:
        for api in ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS"):
            environment.setenv(f"CHAT_MIGRATE_{api}_URL", server.url)
        done = run("run", "--accounts", "--out", "fleet", "--json", *LOUD)
        sent = {headers["Authorization"] for _, _, headers in server.seen}
    assert done.exit_code == 1
    assert len(sent) > 3
    assert_hidden(known, Path(), done.stdout, done.stderr)


@pytest.mark.long
def test_no_command_of_a_fleet_shows_a_token(run: Run, accounts: Company, tmp_path: Path) -> None:
    told: list[str] = []
    commands: list[tuple[str, ...]] = [
        ("doctor", *ALL),
        ("extract", *ALL, "--out", "fleet"),
        ("run", *ALL, "--out", "fleet"),
        ("map", "fleet", *OFFLINE, "--overwrite"),
        ("map", "fleet", *OFFLINE, "--out", "other"),
        ("diff", "fleet", "other", *OFFLINE),
        ("rehearse", "fleet", "--account", sid_of(BY_FILE)),
        ("load", "fleet", *ALL),
        ("load", "fleet", *ALL, "--apply", "--yes"),
        ("show", "fleet"),
        ("verify", "fleet", *ALL),
        ("health", "--out", "fleet", *ALL),
        ("rollback", "fleet", *ALL),
        ("rollback", "fleet", *ALL, "--apply", "--yes"),
        ("show", f"fleet/{sid_of(BY_FILE)}"),
    ]
    for words in commands:
        for shape in [("--json",), ()][words[0] == "rehearse" :]:  # which takes its time
            done = run(*words, *shape, *LOUD)
            assert done.exit_code in (0, 1, 3, 4), done.output
            assert "Unexpected" not in done.stderr, done.stderr
            told += [done.stdout, done.stderr]
    assert {*accounts.writes} >= {sid_of(one) for one in (1, 2, BY_VARIABLE, BY_FILE)}
    assert_hidden(secrets(accounts), Path(), *told)


@pytest.mark.long
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("twilio_api.transports.live.LiveTransport.send", ("doctor",)),
        ("extract.chains.Walk._take", ("extract", "--out", "fleet")),
        ("fleet.folder.FleetFolder.note", ("run", "--out", "fleet")),
    ],
)
def test_a_crash_of_the_whole_process_shows_no_token(
    accounts: Company, tmp_path: Path, place: str, words: tuple[str, ...]
) -> None:
    """In a process of its own, where nothing of the tests catches what is written, in its threads either."""
    known = secrets(accounts)
    owner, _, name = place.rpartition(".")
    code = f"""
import sys
from pkgutil import resolve_name
from migrate.__main__ import main
from migrate.extract import chains
from migrate.fleet import folder
from migrate.twilio_api.transports import live
def crash(*_, **__):
    raise RuntimeError({" ".join(known)!r})
setattr(resolve_name("migrate." + {owner!r}), {name!r}, crash)
main()
"""
    command = [sys.executable, "-c", code, *words, *ALL, *LOUD]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 1, done.stderr
    assert "Unexpected RuntimeError" in done.stderr
    assert_hidden(known, Path(), done.stdout, done.stderr)
