"""The accounts of a company are listed whole, or it is said why not; and no token is shown."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from migrate.model.errors import InputError, MigrateError, OtherAccountError, RefusedError, TwilioError, UsageError
from migrate.twilio_api.accounts import AccountChoice, TwilioAccount, choose_accounts
from migrate.twilio_api.connect import ApiSettings, open_shared
from tests.accounts_api.conftest import MAIN, PATH, TOKEN, Serve, main_account, page, paged, sub
from tests.scripted import Reply, Scripted

ALL = AccountChoice(all=True)


def refusal(settings: ApiSettings, choice: AccountChoice = ALL) -> MigrateError:
    """The error, of which no form that anybody sees has a token in it."""
    with pytest.raises(MigrateError) as caught:
        choose_accounts(settings, choice)
    shown = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in shown
    assert "deadbeef" not in shown
    return caught.value


def test_all_accounts_come_by_the_links_whatever_their_status_and_the_main_one_is_left_out(company: Serve) -> None:
    records = [main_account(), *(sub(number) for number in range(1, 30))]
    records[5]["status"], records[6]["status"], records[7]["status"] = "suspended", "closed", "paused"
    records[8]["friendly_name"] = "a\x1b[31m\nname"
    server, settings = company(paged(records, size=7))
    found = choose_accounts(settings, ALL)
    assert [one.sid for one in found] == [f"AC{number:032x}" for number in range(1, 30)]
    assert [one.status for one in found[4:7]] == ["suspended", "closed", "unknown"]
    assert "\x1b" not in found[7].friendly_name
    assert "\n" not in found[7].friendly_name
    assert not any(one.is_main for one in found)
    assert found[0].login
    assert found[0].login.password == records[1]["auth_token"]
    assert [path.partition("?")[0] for _, path, _ in server.seen] == [PATH] * 5
    assert server.seen[0][1].endswith("?PageSize=1000")


def test_no_token_shows_in_a_representation_or_a_log(company: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, settings = company(paged([main_account(), *(sub(number) for number in range(1, 9))], size=3))
    found = choose_accounts(settings, AccountChoice(all=True, sids=(MAIN,)))
    assert [one.is_main for one in found].count(True) == 1
    for shown in (repr(found), str([one.login for one in found]), caplog.text):
        assert "deadbeef" not in shown
        assert TOKEN not in shown
    assert f"{PATH}?PageSize=1000" in caplog.text


def test_an_account_that_comes_twice_is_as_it_was_said_last(company: Serve) -> None:
    _, settings = company(paged([sub(1), sub(1, status="closed"), sub(2)]))
    assert [(one.sid, one.status) for one in choose_accounts(settings, ALL)] == [
        (sub(1)["sid"], "closed"),
        (sub(2)["sid"], "active"),
    ]


@pytest.mark.parametrize("hidden", [None, "", "********************************", "[redacted]", 7])
def test_an_account_whose_token_is_hidden_is_listed_without_a_login(company: Serve, hidden: object) -> None:
    _, settings = company(paged([sub(1, auth_token=hidden)]))
    (found,) = choose_accounts(settings, ALL)
    assert found.login is None
    with open_shared(settings) as shared, pytest.raises(TwilioError) as caught, shared.open(found):
        pass
    assert found.sid in str(caught.value)
    assert "--accounts-file" in caught.value.remedy


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        [],
        {"accounts": []},
        {"accounts": {}, "next_page_uri": None},
        {"accounts": ["AC"], "next_page_uri": None},
        {"accounts": [sub(1, sid="IS" + "1" * 32)], "next_page_uri": None},
        {"accounts": [], "next_page_uri": 5},
        {"accounts": [], "next_page_uri": "/ä"},
    ],
)
def test_a_page_that_is_none_is_asked_for_again(company: Serve, body: object) -> None:
    answers = [Reply(body), Reply(status=503), page([sub(1)])]
    _, settings = company(lambda server, path: answers[min(len(server.seen), 3) - 1])
    assert [one.sid for one in choose_accounts(settings, ALL)] == [sub(1)["sid"]]
    never = company(lambda server, path: Reply(body))[1]
    error = refusal(replace(never, retry_budget=0.0))
    assert "cannot be used" in error.what


@pytest.mark.parametrize(
    "link",
    [
        "//evil.example/2010-04-01/Accounts.json?Page=1",
        "https://evil.example/2010-04-01/Accounts.json?Page=1",
        "/2010-04-01/Accounts/x/../../Accounts.json",
        "/2010-04-01/accounts.json",
        "/2010-04-01/Accounts/AC1/Calls.json",
        "/v2/Services",
        "\\\\evil.example/2010-04-01/Accounts.json",
        "2010-04-01/Accounts.json",
    ],
)
def test_a_link_that_leads_elsewhere_is_refused_unasked(company: Serve, link: str) -> None:
    server, settings = company(lambda server, path: page([sub(1)], link))
    assert isinstance(refusal(settings), RefusedError)
    assert len(server.seen) == 1


def test_pages_that_link_in_a_circle_end(company: Serve) -> None:
    _, settings = company(lambda server, path: page([sub(1)], f"{PATH}?Page=1"))
    assert "circle" in refusal(settings).what


@pytest.mark.parametrize(("status", "code"), [(401, 20003), (403, 20003), (403, 20008)])
def test_a_standard_key_cannot_list_and_it_is_said_what_can(
    company: Serve, environment: pytest.MonkeyPatch, status: int, code: int
) -> None:
    environment.setenv("TWILIO_API_KEY", "SK" + "b" * 32)
    environment.setenv("TWILIO_API_SECRET", "secret-of-the-key")
    body = {"status": status, "code": code, "message": f"Key secret-of-the-key {TOKEN} is not permitted"}
    _, settings = company(lambda server, path: Reply(body, status))
    error = refusal(settings)
    assert error.what.startswith("The accounts cannot be listed")
    assert "standard key" in error.remedy
    assert "--accounts-file" in error.remedy
    assert "secret-of-the-key" not in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_a_main_account_that_is_refused_is_told_what_helps(company: Serve, status: int) -> None:
    body = {"status": status, "code": 20003, "message": "deadbeefdeadbeef deadbeef"}
    _, settings = company(lambda server, path: Reply(body, status))
    error = refusal(settings)
    assert ("TWILIO_AUTH_TOKEN" if status == 401 else MAIN) in error.remedy


def test_a_list_of_another_company_is_refused_and_so_is_a_subaccounts_login(
    company: Serve, environment: pytest.MonkeyPatch
) -> None:
    other = "AC" + "e" * 32
    _, settings = company(paged([sub(1, owner_account_sid=other)]))
    assert isinstance(refusal(settings), OtherAccountError)
    environment.setenv("TWILIO_ACCOUNT_SID", sub(1)["sid"])
    error = refusal(company(paged([sub(1)]))[1])
    assert isinstance(error, UsageError)
    assert f"subaccount of {MAIN}" in error.what


def test_accounts_that_are_not_listed_are_named(company: Serve) -> None:
    _, settings = company(paged([main_account(), sub(1)]))
    wrong = tuple(f"AC{number:032x}" for number in range(10, 18))
    error = refusal(settings, AccountChoice(sids=(sub(1)["sid"], *wrong)))
    assert isinstance(error, InputError)
    assert wrong[0] in error.what
    assert "and 3 more" in error.what
    assert sub(1)["sid"] not in error.what
    assert isinstance(refusal(settings, AccountChoice(sids=("AC12",))), InputError)


def test_the_main_account_alone_needs_no_list(company: Serve) -> None:
    server, settings = company(lambda server, path: Reply(status=500))
    (found,) = choose_accounts(settings, AccountChoice(sids=(MAIN.upper().replace("A" * 32, "a" * 32),)))
    assert (found.sid, found.is_main, found.status) == (MAIN, True, "unknown")
    assert not server.seen


def test_where_each_account_has_a_key_no_main_account_is_needed(
    company: Serve, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server, settings = company(paged([main_account(), sub(1), sub(2), sub(3)]))
    environment.setenv("KEY_OF_1", "ab" * 16)
    file = tmp_path / "accounts.txt"
    file.write_text(f"{sub(1)['sid']} env:KEY_OF_1\n")
    environment.delenv("TWILIO_ACCOUNT_SID")
    (found,) = choose_accounts(settings, AccountChoice(file=file))
    assert (found.status, found.is_main, found.login and found.login.password) == ("unknown", False, "ab" * 16)
    assert not server.seen
    environment.setenv("TWILIO_ACCOUNT_SID", MAIN)
    file.write_text(f"{sub(1)['sid']} env:KEY_OF_1\n{sub(2)['sid']}")
    first, second = choose_accounts(settings, AccountChoice(file=file))
    assert (first.friendly_name, first.login and first.login.password) == ("Customer 1", "ab" * 16)
    assert second.login
    assert second.login.password == sub(2)["auth_token"]


def test_nothing_is_asked_where_the_list_has_no_address_or_a_cassette_answers(company: Serve) -> None:
    server, settings = company(paged([sub(1)]))
    assert "--accounts-url" in refusal(replace(settings, accounts_url=None)).remedy
    assert isinstance(refusal(replace(settings, replay=Path("demo"))), UsageError)
    mixed = refusal(replace(settings, accounts_url="https://api.twilio.com"))
    assert "--accounts-url" in mixed.remedy
    with pytest.raises(UsageError), open_shared(replace(settings, record=Path("x"))):
        pass
    assert not server.seen


def test_the_api_of_an_account_stops_alone_and_conceals_every_accounts_token(company: Serve) -> None:
    first, second = sub(1), sub(2)

    def answer(server: Scripted, path: str) -> Reply:
        message = f"token {second['auth_token']} {first['auth_token']} of {TOKEN} refused"
        body = {"status": 401, "code": 20003, "message": message}
        return Reply(body, 401) if path.startswith("/v1") else paged([main_account(), first, second])(server, path)

    _, settings = company(answer)
    one, other = choose_accounts(settings, ALL)
    assert isinstance(one, TwilioAccount)
    with open_shared(settings, total_concurrency=2) as shared, shared.open(one) as api, shared.open(other) as stays:
        assert api.side_by_side(1) == stays.side_by_side(1) == 4
        api.stop()
        with pytest.raises(TwilioError) as caught:
            stays.get("conversations", "/Services")
        assert caught.value.status == 401
        assert other.sid in caught.value.remedy
        assert "TWILIO_" not in caught.value.remedy.partition(":")[0]
        for secret in ("deadbeef", TOKEN):
            assert secret not in "".join(traceback.format_exception(caught.value))
        with stays.workers(2, "some") as workers:
            assert workers.submit(int, "5").result(60) == 5
