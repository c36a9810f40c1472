"""The stand-in's list of accounts is a part of each account: with its faults, its clock and its control address."""

from __future__ import annotations

import pytest
import requests

from migrate.model.clock import SIMULATED
from migrate.standin.company import seeded_company
from migrate.standin.faults import DEFAULT_KINDS, Faults
from migrate.twilio_api.accounts import AccountChoice, choose_accounts
from migrate.twilio_api.connect import ApiSettings
from tests.test_standin_company import LIST, ask, company, content, serving

ONE = "/2010-04-01/Accounts/{}.json"


@pytest.mark.parametrize("path", [LIST, ONE])
def test_the_list_fails_by_the_faults_of_who_asks_for_it(path: str) -> None:
    served = company()
    path = path.format(served.main.account_sid)
    with serving(served, Faults(rate=1, kinds=("429",), retry_after=7)) as server:
        answers = [ask(server, path, served.main) for _ in range(8)]
        assert {one.status_code for one in answers} == {429}
        assert {one.headers.get("Retry-After") for one in answers} == {None, "7"}
    with serving(served, Faults(rate=1, kinds=("cut",), most_at_once=1)) as server:
        with pytest.raises(requests.RequestException):
            ask(server, path, served.main)
        assert ask(server, "/_standin", served.main).json()["requests"] == 9


def test_every_answer_has_the_worlds_clock_a_refusal_too() -> None:
    accounts = content()["accounts"]
    accounts[0] |= {"status": "suspended"}
    served = company(accounts=accounts)
    suspended = served.members[0].world
    with serving(served) as server:
        answers = [
            ask(server, LIST, served.main),
            ask(server, LIST, served.main, "wrong"),
            ask(server, "/v2/Services", suspended),
            ask(server, LIST, suspended),
            requests.get(server.url + "/v2/Services", auth=("AC" + "9" * 32, "unknown"), timeout=10),
            requests.get(server.url + LIST, timeout=10),
        ]
    assert [one.status_code for one in answers] == [200, 401, 403, 403, 401, 401]
    assert {(one.headers["Date"], len(one.headers[SIMULATED]) > 0) for one in answers} == {
        ("Mon, 15 Jun 2026 08:00:00 GMT", True)
    }


def test_the_control_address_answers_a_suspended_account_by_its_own_token_alone() -> None:
    accounts = content()["accounts"]
    accounts[0] |= {"status": "suspended"}
    served = company(accounts=accounts)
    suspended = served.members[0].world
    with serving(served) as server:
        assert ask(server, "/v2/Services", suspended).json()["code"] == 10001
        assert [*ask(server, "/_standin", suspended).json()["services"]] == [*suspended.services]
        assert ask(server, "/_standin", suspended, "wrong").status_code == 401


def test_a_company_answers_head_as_one_account_does() -> None:
    served = company()
    with serving(served) as server:
        assert ask(server, "/v2/Services", served.main, method="HEAD").status_code == 200
        assert ask(server, LIST, served.main, method="HEAD").status_code == 200


def test_the_program_lists_all_accounts_of_a_company_that_fails_half_the_time() -> None:
    served = seeded_company(40, 40)
    with serving(served, Faults(rate=0.5, kinds=DEFAULT_KINDS, seed=3)) as server:
        login = {"TWILIO_ACCOUNT_SID": served.main.account_sid, "TWILIO_AUTH_TOKEN": served.main.auth_token}
        settings = ApiSettings(server.url, server.url, accounts_url=server.url, environment=login)
        for _ in range(8):
            found = choose_accounts(settings, AccountChoice(all=True))
            assert [one.sid for one in found] == sorted(one.world.account_sid for one in served.members)
        assert served.main.requests > 8
