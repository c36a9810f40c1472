"""A company with many accounts: the worlds of its subaccounts, and a seeded one to rehearse a fleet with.

All of it is synthetic: SIDs and tokens are derived from the seed, so the same seed always makes the same company.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from migrate.standin.world import World, make_world, numbered_sid

Status = Literal["active", "suspended", "closed"]
_NOW = "2026-06-15T08:00:00Z"
_HUGE = 0.5  # of all bindings, the share of the largest account
_WITH_GCM = 0.1  # of the services, those that have bindings of GCM, for which somebody must decide
_OFF = {"new_message": {"enabled": False}}
_ON: Mapping[str, Any] = {
    "new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}", "badge_count_enabled": True},
    "added_to_channel": {"enabled": True, "template": "${USER} added you"},
    "removed_from_channel": {"enabled": False},
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
        }
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def make_served(data: Mapping[str, Any]) -> World | Company:
    """What a world file's content describes: an account, or with `accounts` a company."""
    return make_company(data) if "accounts" in data else make_world(data)


def make_company(data: Mapping[str, Any]) -> Company:
    """The company that a world file's content describes: a world, with worlds of subaccounts in `accounts`.

    Each of these has a `friendly_name`, and may have a `status`, `refuses`, `hides_token` and `most_at_once`; the
    time is the main account's.
    """
    main = make_world(data)
    members = tuple(_member(item, data) for item in data["accounts"])
    sids = [main.account_sid, *(one.world.account_sid for one in members)]
    if len({*sids}) < len(sids):
        raise ValueError("an account_sid comes twice")
    return Company(main, members, data.get("friendly_name", "The company"))


def _member(item: Mapping[str, Any], data: Mapping[str, Any]) -> Member:
    status: Status = item.get("status", "active")
    if status not in ("active", "suspended", "closed"):
        raise ValueError("status is active, suspended or closed")
    return Member(
        make_world({"credentials": (), "services": (), **item, "now": data["now"]}),
        item["friendly_name"],
        status,
        refuses=bool(item.get("refuses")),
        hides_token=bool(item.get("hides_token")),
        most_at_once=int(item.get("most_at_once", 0)),
    )


def in_order(company: Company) -> Sequence[tuple[World, Member | None]]:
    """The main account and its subaccounts, as they are listed."""
    return [(company.main, None), *((one.world, one) for one in company.members)]
