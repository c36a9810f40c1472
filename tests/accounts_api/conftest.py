"""An Accounts API that answers as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from migrate.twilio_api.connect import ApiSettings
from tests.scripted import Reply, Scripted, scripted

MAIN = "AC" + "a" * 32
TOKEN = "0f" * 16
PATH = "/2010-04-01/Accounts.json"


def sub(number: int, **changes: Any) -> dict[str, Any]:
    """A subaccount, as the API shows it."""
    return {
        "sid": f"AC{number:032x}",
        "friendly_name": f"Customer {number}",
        "status": "active",
        "owner_account_sid": MAIN,
        "auth_token": f"{number:08d}deadbeefdeadbeefdeadbeef",
        **changes,
    }


def main_account() -> dict[str, Any]:
    """The main account, as it shows itself."""
    return sub(0, sid=MAIN, friendly_name="The company", auth_token=TOKEN)


def page(records: list[Any], next_page_uri: str | None = None, **changes: Any) -> Reply:
    """A page of accounts."""
    return Reply({"page": 0, "page_size": 1000, "next_page_uri": next_page_uri, "accounts": records, **changes})


def paged(records: list[Any], size: int = 1000) -> Callable[[Scripted, str], Reply]:
    """An answer with all of these, a page at a time."""

    def answer(server: Scripted, path: str) -> Reply:
        query = parse_qs(urlsplit(path).query)
        at, many = int(query.get("Page", ["0"])[0]), min(size, int(query["PageSize"][0]))
        more = len(records) > (at + 1) * many
        link = f"{PATH}?PageSize={many}&Page={at + 1}&PageToken=PA{MAIN}" if more else None
        return page(records[at * many : (at + 1) * many], link, page=at, page_size=many)

    return answer


Serve = Callable[[Callable[[Scripted, str], Reply]], tuple[Scripted, ApiSettings]]


@pytest.fixture
def company(environment: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve an Accounts API, and log in as the main account."""
    environment.setenv("TWILIO_ACCOUNT_SID", MAIN)
    environment.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    with ExitStack() as stack:

        def call(answer: Callable[[Scripted, str], Reply]) -> tuple[Scripted, ApiSettings]:
            server = stack.enter_context(scripted(answer))
            return server, ApiSettings(server.url, server.url, accounts_url=server.url, retry_budget=30.0)

        yield call
