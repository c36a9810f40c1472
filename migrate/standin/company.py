"""A company with many accounts: the worlds of its subaccounts, and a seeded one to rehearse a fleet with.

All of it is synthetic: SIDs and tokens are derived from the seed, so the same seed always makes the same company.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from migrate.model.sids import ACCOUNT, DIGITS, is_account_sid
from migrate.standin.world import MALFORMED, World, make_world, numbered_sid

Status = Literal["active", "suspended", "closed"]
# What a world file of a company can have: for each account what a world has, and beside it for the main account and
# for a subaccount.
_OF_WORLDS = ("now", "account_sid", "auth_token", "credentials", "services", "alerts", "api_keys", "main_api_keys")
_OF_MAIN = ("friendly_name", "accounts")
_OF_MEMBERS = ("friendly_name", "status", "refuses", "hides_token", "most_at_once")
_NOW = "2026-06-15T08:00:00Z"
_HUGE = 0.5  # of all bindings, the share of the largest account
_WITH_GCM = 0.1  # of the services, those that have bindings of GCM, for which somebody must decide
_OFF = {"new_message": {"enabled": False}}
_ON: Mapping[str, Any] = {
    "new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}", "badge_count_enabled": True},
    "added_to_channel": {"enabled": True, "template": "${USER} added you"},
    "removed_from_channel": {"enabled": False},
}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_status(value: Any) -> bool:
    return value in get_args(Status)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


_TEXT, _WORD, _LIST = (_is_text, "a text"), (_is_bool, "true or false"), (_is_list, "a list of mappings")
# What an account's keys must be; what is not here, `make_world` checks.
_FORMS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "account_sid": (is_account_sid, f"{ACCOUNT} and {DIGITS}, in lower case"),
    "auth_token": _TEXT,
    "friendly_name": _TEXT,
    "status": (_is_status, "active, suspended or closed"),
    "refuses": _WORD,
    "hides_token": _WORD,
    "most_at_once": (_is_count, "a whole number from 0"),
    "credentials": _LIST,
    "services": _LIST,
    "alerts": _LIST,
}


@dataclass(frozen=True)
class Member:
    """One subaccount: its world, and how it is listed.

    `refuses` says that the token that is listed is not accepted, `hides_token` that none is shown. Of more requests
    than `most_at_once` the others get a 429; 0 is what the server has for all.
    """

    world: World
    friendly_name: str
    status: Status = "active"
    refuses: bool = False
    hides_token: bool = False
    most_at_once: int = 0

    @property
    def listed_token(self) -> str | None:
        """The token that the list of accounts shows."""
        if self.hides_token:
            return None
        return _digest(f"{self.world.auth_token} no more") if self.refuses else self.world.auth_token


@dataclass(frozen=True)
class Company:
    """The main account, which lists all and has its own services, and its subaccounts."""

    main: World
    members: tuple[Member, ...]
    friendly_name: str = "The company"

    @property
    def now(self) -> datetime:
        """The time that it is."""
        return self.main.now

    def member(self, account_sid: str) -> Member | None:
        """The subaccount of a SID."""
        return next((one for one in self.members if one.world.account_sid == account_sid), None)


def seeded_company(
    accounts: int = 200,
    bindings: int = 20_000,
    seed: int = 0,
    *,
    suspended: int | None = None,
    refused: int | None = None,
    throttled: int | None = None,
) -> Company:
    """A company of so many subaccounts, with about so many bindings in all: one account has half, the others few.

    Where their numbers are not given, one of 50 is `suspended`, the token of one is `refused`, and one is `throttled`
    to one request at a time; of a few accounts, none.
    """
    chance = random.Random(seed)  # noqa: S311  # it makes test data, and keeps no secret
    numbers = list(range(1, accounts + 1))
    huge = chance.choice(numbers) if numbers else 0
    others = [number for number in numbers if number != huge]
    chance.shuffle(others)
    many = (
        max(int(accounts > 4), accounts // 50) if suspended is None else suspended,
        int(accounts > 2) if refused is None else refused,
        int(accounts > 3) if throttled is None else throttled,
    )
    off, not_let_in, slow = ({*others[sum(many[:place]) : sum(many[: place + 1])]} for place in range(len(many)))
    few = max(1, int(bindings * (1 - _HUGE)) // max(1, len(others)))
    members = []
    for number in numbers:
        size = max(1, int(bindings * _HUGE)) if number == huge else chance.randint(1, 2 * few)
        members.append(
            Member(
                _world(number, size, seed, chance),
                f"Customer {number:04}",
                "suspended" if number in off else "active",
                refuses=number in not_let_in,
                most_at_once=int(number in slow),
            )
        )
    return Company(_world(0, 0, seed, chance), tuple(members))


def _world(number: int, bindings: int, seed: int, chance: random.Random) -> World:
    """The account of a number: one to three services, that have so many bindings in all."""
    services: list[dict[str, Any]] = []
    many = chance.randint(1, 3) if number else 0
    for place in range(many):
        group = {
            "count": bindings // many + (place < bindings % many),
            "identity": "customer-{n}@example.com",
            "binding_type": ["apn", "fcm", *(["gcm"] if chance.random() < _WITH_GCM else [])],
            "message_types": [["new_message"], ["new_message", "added_to_channel"]],
            "age_days": [3, 40, 200, 400],
        }
        services.append(
            {
                "sid": numbered_sid("IS", number * 1_000 + place + 1),
                "name": f"Chat {place + 1}",
                "credentials": {"apn": "iOS", "fcm": "Android", "gcm": "Android"},
                "notifications": _ON if chance.random() < 0.8 else _OFF,
                "bindings": [group] if group["count"] else [],
            }
        )
    return make_world(
        {
            "now": _NOW,
            "account_sid": numbered_sid("AC", number + 1),
            "auth_token": _digest(f"{seed} {number}"),
            "credentials": [
                {
                    "sid": numbered_sid("CR", number * 1_000 + place),
                    "name": name,
                    "type": kind,
                    "updated_days_ago": 20,
                }
                for place, (name, kind) in enumerate((("iOS", "apn"), ("Android", "fcm")), 1)
            ],
            "services": services,
        },
        namespace=numbered_sid("AC", number + 1),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def make_served(data: Mapping[str, Any]) -> World | Company:
    """What a world file's content describes: an account, or with `accounts` a company."""
    return make_company(data) if "accounts" in data else make_world(data)


def make_company(data: Mapping[str, Any]) -> Company:
    """The company that a world file's content describes: a world, with worlds of subaccounts in `accounts`.

    Each of these has a `friendly_name`, and may have a `status`, `refuses`, `hides_token` and `most_at_once`; the
    time is the main account's. SIDs that are not given are other ones in each account. Raises `ValueError`, which
    names the account, for what cannot be.
    """
    given = data["accounts"]
    if not isinstance(given, list):
        raise ValueError("accounts is a list of subaccounts")
    main = _account(data, _OF_MAIN, "the main account")
    members = tuple(_member(item, data["now"], f"account {place}") for place, item in enumerate(given, 1))
    company = Company(main, members, data.get("friendly_name", "The company"))
    _refuse_shared(company)
    return company


def _member(item: Any, now: Any, name: str) -> Member:
    world = _account(item, _OF_MEMBERS, name, now)
    listed = {key: value for key, value in item.items() if key in _OF_MEMBERS}
    return Member(world, **listed)


def _account(item: Any, others: Collection[str], name: str, now: Any = None) -> World:
    """The world of one account, which can have `others` beside a world's keys; `now` is the main account's."""
    try:
        _check(item, others, ("account_sid", "auth_token", "now" if now is None else "friendly_name"))
        if now is not None and item.get("now", now) != now:
            raise ValueError("now is the main account's")
        content = {"credentials": (), "services": (), "now": now, **item}
        world = make_world(content, namespace=item["account_sid"])
        for key, held in (("credentials", world.credentials), ("services", world.services)):
            if len(held) < len(content[key]):
                raise ValueError(f"two of its {key} have the same name or sid")
    except KeyError as error:
        raise ValueError(f"{name}: there is no {error}") from None
    except MALFORMED as error:
        raise ValueError(f"{name}: {error}") from None
    return world


def _check(item: Any, others: Collection[str], needed: Collection[str]) -> None:
    """Raise `ValueError` for keys of an account that are not known, are missing, or have another form."""
    if not isinstance(item, Mapping):
        raise ValueError("an account is a mapping")
    for key, value in item.items():
        if key not in _OF_WORLDS and key not in others:
            raise ValueError(f"{key} is not known")
        has_form, form = _FORMS.get(key, (None, ""))
        if has_form and not has_form(value):
            raise ValueError(f"{key} must be {form}")
    for key in needed:
        if key not in item:
            raise ValueError(f"{key} is missing")


def _refuse_shared(company: Company) -> None:
    """Raise `ValueError` for a SID that two accounts have: at Twilio it belongs to one."""
    owners: dict[str, str] = {}
    for place, (world, _) in enumerate(in_order(company)):
        name = f"account {place}" if place else "the main account"
        for sid in (world.account_sid, *world.services, *world.credentials, *world.api_keys):
            if sid in owners:
                raise ValueError(f"{owners[sid]} and {name} both have {sid}, and a SID belongs to one account")
            owners[sid] = name


def in_order(company: Company) -> Sequence[tuple[World, Member | None]]:
    """The main account and its subaccounts, as they are listed."""
    return [(company.main, None), *((one.world, one) for one in company.members)]
