"""The accounts of a company: the main one and its subaccounts, as the Accounts API lists them or a file names them.

A subaccount's auth token lives in its `Login` alone, in memory (FACTS.md, "Accounts and subaccounts").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from migrate.model.errors import InputError, TwilioError, UsageError
from migrate.model.sids import ACCOUNT, is_account_sid, kind_of, normal
from migrate.model.text import printable
from migrate.twilio_api.accounts_file import read_accounts_file
from migrate.twilio_api.connect import ApiSettings, addresses_of, open_api, refuse_cassette
from migrate.twilio_api.limits import DEFAULT_PAGE_SIZE, PAGE_SIZES
from migrate.twilio_api.login import Login
from migrate.twilio_api.pages import Meta, NotAPageError, decode, flat_meta_of

ACCOUNTS_PATH = "/Accounts"
STATUSES = ("active", "suspended", "closed")
UNKNOWN = "unknown"  # the status of an account that was not listed, or that Twilio says in another word
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,}")  # what stands for a token that is not shown has other characters, or fewer
_MOST_IDLE_PAGES = 3
_NAMED = 5  # SIDs that an error names
_OWN_KEYS = "name a key of each account in a file (--accounts-file)"


@dataclass(frozen=True)
class TwilioAccount:
    """An account, as the Accounts API lists it or a file names it.

    `friendly_name` is empty and `status` is "unknown" where it was not listed; else that is "active", "suspended" or
    "closed". `login` is None where its token is not shown.
    """

    sid: str
    friendly_name: str
    status: str
    login: Login | None = field(default=None, repr=False)
    is_main: bool = False


@dataclass(frozen=True)
class AccountChoice:
    """Which accounts are meant: `all` subaccounts of the main account, these `sids`, those that a `file` names."""

    all: bool = False
    sids: tuple[str, ...] = ()
    file: Path | None = None


def choose_accounts(settings: ApiSettings, choice: AccountChoice) -> list[TwilioAccount]:
    """The accounts that are meant, whatever their status, sorted by SID.

    `all` leaves the main account out; it may be named. The Accounts API is asked, with the login of the environment,
    unless every account has a key in the file; then no login of the environment is needed.

    Raises `UsageError` for missing credentials or addresses, `InputError` for a file that is not understood and for
    accounts that are not the company's, `TwilioError` where the list cannot be had.
    """
    refuse_cassette(settings)
    keys = read_accounts_file(choice.file, settings.environment) if choice.file else {}
    for sid in choice.sids:
        if kind_of(sid) != ACCOUNT:
            raise InputError("What is named as an account is no account's SID", remedy="It is AC and 32 digits")
    named = dict.fromkeys([*keys, *map(normal, choice.sids)])
    if not choice.all and all(map(keys.get, named)):
        main = _main_sid(settings)
        return sorted((_keyed(sid, keys[sid], main) for sid in named), key=lambda one: one.sid)
    login = Login.from_environment(settings.environment)
    listed = (
        {}
        if not choice.all and {sid for sid in named if not keys.get(sid)} == {login.account_sid}
        else (_listed(settings, login))
    )
    listed.setdefault(login.account_sid, TwilioAccount(login.account_sid, "", UNKNOWN))
    listed[login.account_sid] = replace(listed[login.account_sid], login=login, is_main=True)
    _refuse_unknown([sid for sid in named if sid not in listed and not keys.get(sid)], login)
    found = {sid: one for sid, one in listed.items() if sid in named or (choice.all and not one.is_main)}
    for sid, key in keys.items():
        if key:
            found[sid] = replace(found[sid], login=key) if sid in found else _keyed(sid, key, login.account_sid)
    logins = [login, *keys.values(), *(one.login for one in listed.values())]
    tokens = sorted({one.password for one in logins if one and one.password}, key=len, reverse=True)
    return [_without_tokens(found[sid], tokens) for sid in sorted(found)]


def _without_tokens(account: TwilioAccount, tokens: Sequence[str]) -> TwilioAccount:
    """The account; where somebody has put a token, of whichever account, into its name, that is not shown. The
    longest come first: one may be a part of another.
    """
    name = account.friendly_name
    for token in tokens:
        name = name.replace(token, "…")
    return replace(account, friendly_name=name) if name != account.friendly_name else account


def _keyed(sid: str, login: Login | None, main: str) -> TwilioAccount:
    return TwilioAccount(sid, "", UNKNOWN, login, is_main=sid == main)


def _main_sid(settings: ApiSettings) -> str:
    """The account of the environment, where it names one: nothing is asked of it."""
    sid = settings.environment.get("TWILIO_ACCOUNT_SID", "").strip()
    return sid if is_account_sid(sid) else ""


def _refuse_unknown(sids: Collection[str], login: Login) -> None:
    if sids:
        more = len(sids) - _NAMED
        shown = ", ".join(sorted(sids)[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
        raise InputError(
            f"The Accounts API does not list {shown} among the accounts of {login.account_sid}",
            remedy=f"Check the SIDs, and that TWILIO_ACCOUNT_SID is their main account; or {_OWN_KEYS}",
        )


def _listed(settings: ApiSettings, login: Login) -> dict[str, TwilioAccount]:
    """The accounts that the login of the environment can list, by SID; the main one is among them."""
    if not addresses_of(settings).accounts:
        raise UsageError(
            "The API that lists accounts has no address beside this one of Conversations",
            remedy=f"Name it (--accounts-url, CHAT_MIGRATE_ACCOUNTS_URL); or {_OWN_KEYS}",
        )
    found: dict[str, TwilioAccount] = {}
    idle = 0  # pages in a row without a new account: some may repeat, where accounts come meanwhile
    with open_api(replace(settings, page_size=DEFAULT_PAGE_SIZE)) as api:
        try:
            for page in api.pages(
                "accounts", ACCOUNTS_PATH, read=partial(_read, own=login.account_sid), sizes=PAGE_SIZES
            ):
                is_idle = bool(page.content) and found.keys() >= {account.sid for account, _ in page.content}
                idle = idle + 1 if is_idle else 0
                if idle > _MOST_IDLE_PAGES:
                    raise TwilioError("The list of accounts does not end: its pages have none that is new")
                for account, owner in page.content:
                    if account.sid == login.account_sid and owner not in ("", account.sid):
                        raise UsageError(
                            f"TWILIO_ACCOUNT_SID is {account.sid}, which is a subaccount of {owner}",
                            remedy=f"Set TWILIO_ACCOUNT_SID and its token to those of {owner}; or {_OWN_KEYS}",
                        )
                    found[account.sid] = account  # one that comes twice is as it was said last
        except TwilioError as error:
            if error.status in (401, 403):
                error.what = f"The accounts cannot be listed: {error.what}"
                error.remedy = _cannot_list(login, error)
            raise
    return found


def _cannot_list(login: Login, error: TwilioError) -> str:
    """What helps where Twilio does not let this login list accounts."""
    if login.is_api_key:
        return (
            "Use the auth token of the main account (TWILIO_AUTH_TOKEN, without TWILIO_API_KEY), or a main key: "
            f"a standard key cannot list accounts; or {_OWN_KEYS}"
        )
    if error.status == 401:
        return f"{error.remedy}; or {_OWN_KEYS}"
    return f"Check that account {login.account_sid} is active; or {_OWN_KEYS}"


def _read(body: bytes, own: str) -> tuple[Meta, list[tuple[TwilioAccount, str]]]:
    """The accounts of a page, each with the account that owns it. Raises `NotAPageError`."""
    page = decode(body)
    if not isinstance(page, dict) or not isinstance(page.get("accounts"), list):
        raise NotAPageError("it has no list 'accounts'")
    found = [_account(record) for record in page["accounts"]]
    # What says whose list it is: the owner. An account that lists itself alone says what it is a subaccount of.
    owners = frozenset(owner for account, owner in found if owner and account.sid != own)
    return replace(flat_meta_of(page), accounts=owners), found


def _account(record: Any) -> tuple[TwilioAccount, str]:
    if not isinstance(record, Mapping) or kind_of(record.get("sid")) != ACCOUNT:
        raise NotAPageError("it lists something that is no account")
    sid, token, owner = normal(record["sid"]), record.get("auth_token"), record.get("owner_account_sid")
    name, status = record.get("friendly_name"), record.get("status")
    login = None
    if isinstance(token, str) and _TOKEN.fullmatch(token):
        login = Login(sid, sid, token, origin=f"the auth token of {sid} that the Accounts API shows")
    return (
        TwilioAccount(
            sid,
            printable(name) if isinstance(name, str) else "",
            status if status in STATUSES else UNKNOWN,
            login,
        ),
        normal(str(owner)) if kind_of(owner) == ACCOUNT else "",
    )
