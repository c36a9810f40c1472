"""World files of a company: accounts share no SID, and a mistake is one line that names the account."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from migrate.model.errors import InputError
from migrate.standin.accounts import company_app
from migrate.standin.company import Company, in_order, make_served, seeded_company
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.world import World, load_file, make_world
from tests.conftest import ROOT, Run, tiny_world
from tests.test_standin_company import ask, company, content, serving

EMPTY = Path(os.devnull)  # what is made is not of its content
KEY = "SK" + "a" * 32
ALERTS = [{"code": 52117, "count": 2, "hours_ago": [9, 3], "credential": "push", "resource_sid": "binding"}]


def alike(accounts: int = 3) -> dict[str, Any]:
    """A world file whose accounts are described by the same words, without a SID but their own."""
    account = {key: value for key, value in tiny_world().items() if key != "now"} | {"alerts": ALERTS}
    subaccounts = [
        {**copy.deepcopy(account), "account_sid": f"AC{number:032d}", "friendly_name": f"Customer {number}"}
        for number in range(1, accounts + 1)
    ]
    return {**tiny_world(), "alerts": ALERTS, "accounts": subaccounts}


def sids_of(world: World) -> Iterator[str]:
    """The SIDs that are an account's own."""
    yield from (world.account_sid, *world.services, *world.credentials, *world.api_keys)
    for service in world.services.values():
        yield from (one.sid for one in service.bindings + service.conversations_bindings)
    yield from (one.sid for one in world.alerts.find(world.now, None, None, None)[0:9])


def refused(content: Any) -> str:
    """The reason why a world file cannot be."""
    with pytest.raises(InputError) as caught:
        load_file(EMPTY, lambda _: make_served(content))
    assert "\n" not in str(caught.value)
    return str(caught.value).partition(": ValueError: ")[2]


def test_accounts_that_are_described_alike_share_no_sid_and_are_always_the_same() -> None:
    made, again = make_served(alike()), make_served(alike())
    assert isinstance(made, Company)
    assert made == again
    sids = [sid for world, _ in in_order(made) for sid in sids_of(world)]
    assert len(sids) == 4 * (1 + 1 + 1 + 3 + 2)
    assert len({*sids}) == len(sids)


def test_an_accounts_sids_do_not_depend_on_the_others() -> None:
    one, three = make_served(alike(1)), make_served(alike(3))
    assert isinstance(one, Company)
    assert isinstance(three, Company)
    assert one.members == three.members[:1]


def test_a_world_of_one_account_has_the_sids_that_it_always_had() -> None:
    world = make_world({**tiny_world(), "alerts": ALERTS})
    assert [*world.services] == ["IS" + "1".zfill(32)]
    assert [*world.credentials] == ["CR" + "1".zfill(32)]
    assert [*sids_of(world)][-2:] == ["NO9e3779b97f4a7c15f39cc0605cedc835", "NO1d81f5cf72e73c76508a88955cedc835"]


@pytest.mark.parametrize("make", [lambda: make_served(alike()), lambda: seeded_company(3, 9)])
def test_a_credential_that_is_made_in_two_accounts_has_two_sids(make: Callable[[], Company]) -> None:
    served = make()
    with serving(served) as server:
        form = {"Type": "fcm", "FriendlyName": "New"}
        made = [ask(server, "/v1/Credentials", one.world, method="POST", data=form) for one in served.members]
    assert [answer.status_code for answer in made] == [201] * 3
    assert len({answer.json()["sid"] for answer in made}) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "sleeping"}, "account 1: status must be active, suspended or closed"),
        ({"status": None}, "account 1: status must be active, suspended or closed"),
        ({"refuses": "no"}, "account 1: refuses must be true or false"),
        ({"hides_token": 1}, "account 1: hides_token must be true or false"),
        ({"most_at_once": "one"}, "account 1: most_at_once must be a whole number from 0"),
        ({"most_at_once": -1}, "account 1: most_at_once must be a whole number from 0"),
        ({"most_at_once": 1.5}, "account 1: most_at_once must be a whole number from 0"),
        ({"most_at_once": True}, "account 1: most_at_once must be a whole number from 0"),
        ({"freindly_name": "A"}, "account 1: freindly_name is not known"),
        ({"friendly_name": None}, "account 1: friendly_name must be a text"),
        ({"account_sid": "AC1"}, "account 1: account_sid must be AC and 32 hexadecimal digits, in lower case"),
        ({"auth_token": 5}, "account 1: auth_token must be a text"),
        ({"services": None}, "account 1: services must be a list of mappings"),
        ({"services": [5]}, "account 1: services must be a list of mappings"),
        ({"services": [{}]}, "account 1: there is no 'name'"),
        ({"services": [{"name": "A"}] * 2, "now": "2026-06-16T08:00:00Z"}, "account 1: now is the main account's"),
        ({"services": [{"name": "A", "sid": "IS1"}] * 2}, "account 1: two of its services have the same name or sid"),
        ({"api_keys": {KEY: ""}}, "account 1: api_keys has for the SID of each API key"),
        ({"api_keys": [KEY]}, "account 1: api_keys has for the SID of each API key"),
        ({"main_api_keys": {"SK1": "x"}}, "account 1: main_api_keys has for the SID of each API key"),
        ({"api_keys": {KEY: "a"}, "main_api_keys": {KEY: "a"}}, f"account 1: {KEY} is in api_keys and in main_api_keys"),
        ({"account_sid": "AC" + "1" * 32}, "the main account and account 1 both have AC1111"),
        ({"services": [{"name": "A", "sid": f"IS{3:032d}"}]}, "account 1 and account 3 both have IS0000"),
        ({"credentials": [{"name": "A", "type": "fcm", "sid": "CR" + "b" * 32}], "services": []}, "account 1 and account 2 both have CRbbbb"),
        ({"api_keys": {"SK" + "c" * 32: "a"}, "services": []}, "account 1 and account 2 both have SKcccc"),
    ],
)  # fmt: skip
def test_a_mistake_in_one_account_is_one_line(change: dict[str, Any], said: str) -> None:
    accounts = content()["accounts"]
    accounts[0] |= change
    accounts[1]["credentials"][0]["sid"] = "CR" + "b" * 32
    accounts[1]["main_api_keys"] = {"SK" + "c" * 32: "other"}
    assert said in refused(content(accounts=accounts))


@pytest.mark.parametrize("missing", ["friendly_name", "account_sid", "auth_token"])
def test_an_account_without_a_name_sid_or_token_is_refused(missing: str) -> None:
    accounts = content()["accounts"]
    del accounts[1][missing]
    assert refused(content(accounts=accounts)) == f"account 2: {missing} is missing"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accounts": None}, "accounts is a list of subaccounts"),
        ({"accounts": {"AC1": {}}}, "accounts is a list of subaccounts"),
        ({"accounts": [None]}, "account 1: an account is a mapping"),
        ({"freindly_name": "A"}, "the main account: freindly_name is not known"),
        ({"friendly_name": 5}, "the main account: friendly_name must be a text"),
        ({"now": None}, "the main account: Invalid isoformat string: 'None'"),
    ],
)
def test_a_mistake_in_the_company_is_one_line(change: dict[str, Any], said: str) -> None:
    assert refused(content(**change)) == said


def test_a_mistake_ends_the_command_with_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text(yaml.safe_dump(content(accounts=None)))
    result = run("standin", "--world", tmp_path / "world.yaml", "--port", "0")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "world.yaml is not a world file: ValueError: accounts is a list of subaccounts" in result.stderr


def test_a_company_without_subaccounts_lists_its_main_account() -> None:
    served = company(accounts=[])
    with serving(served) as server:
        answer = ask(server, "/2010-04-01/Accounts.json", served.main)
    assert [one["sid"] for one in answer.json()["accounts"]] == [served.main.account_sid]


def test_the_file_that_the_page_shows_is_a_company() -> None:
    page = (ROOT / "docs" / "stand-in.md").read_text("utf-8")
    shown = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    made = make_served(shown)
    assert isinstance(made, Company)
    assert [one.refuses for one in made.members] == [False, True]
    assert [len(one.world.api_keys) for one in made.members] == [1, 0]
    for key in ("status", "refuses", "hides_token", "most_at_once", "api_keys", "main_api_keys"):
        assert f"| `{key}" in page or f"`{key}` |" in page


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 3, 1.5, "", "no", "x", "AC" + "1" * 32, KEY, [], {}, [None], [[]], {"a": 1}, {None: 1}, [{}]]
) | st.text(max_size=5)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The subaccounts of a world file with a few values, keys or entries changed."""
    accounts: Any = alike(2)["accounts"]
    accounts[0] |= {"api_keys": {KEY: "secret"}, "status": "active", "refuses": False, "most_at_once": 2}
    for _ in range(draw(st.integers(1, 3))):
        parent: Any = None
        here: Any = accounts
        while isinstance(here, dict | list) and here and (parent is None or draw(st.booleans())):
            parent = here
            place: Any = draw(st.sampled_from([*here] if isinstance(here, dict) else [*range(len(here))]))
            here = here[place]
        match draw(st.sampled_from(["value", "drop", "twice", "key"])):
            case "drop":
                del parent[place]
            case "twice" if isinstance(parent, list):
                parent.append(copy.deepcopy(here))
            case "key" if isinstance(parent, dict):
                parent[draw(st.text(max_size=4))] = parent.pop(place)
            case _:
                parent[place] = copy.deepcopy(draw(VALUES))
        if not accounts:
            return draw(VALUES)
    return accounts


@given(mutated())
def test_whatever_accounts_are_it_is_a_company_whose_sids_are_distinct_or_one_line(accounts: Any) -> None:
    made, message = None, ""
    try:
        made = load_file(EMPTY, lambda _: make_served({**tiny_world(), "accounts": accounts}))
    except InputError as error:
        message = str(error)
    if made is None:
        assert "account" in message.partition(": ValueError: ")[2]
        assert "\n" not in message
        return
    assert isinstance(made, Company)
    company_app(made, PageSizes(), Faults(), prerendered=False)
    sids = [sid for world, _ in in_order(made) for sid in (world.account_sid, *world.services, *world.api_keys)]
    assert len({*sids}) == len(sids)
