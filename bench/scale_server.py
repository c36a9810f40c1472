"""A stand-in for `bench.scale`, in a process of its own: `python -m bench.scale_server WORLD [LATENCY SIZES MOST]`.

WORLD is `seeded:ACCOUNTS:BINDINGS`, an invented company, or `even:ACCOUNTS:SERVICES:BINDINGS`, where every account
has so many services of so many bindings. It prints one line of JSON: its address, the main account's login, and of
each account its login and its services, with the bindings of each type and whether a load would write to it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

from migrate.standin.company import Company, make_company, seeded_company
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from migrate.standin.world import World

TYPES = ("apn", "fcm", "gcm")  # those that an extract from Chat asks for


def served(kind: str, *numbers: int) -> Company:
    """The company of a name, without suspended, refused or throttled accounts."""
    if kind == "even":
        return even_company(*numbers)
    accounts, bindings = numbers
    return seeded_company(accounts, bindings, suspended=0, refused=0, throttled=0)


def even_company(accounts: int, services: int, bindings: int) -> Company:
    """A company where each account has so many services, each with so many bindings of two types in turn."""
    service = {
        "credentials": {"apn": "iOS", "fcm": "Android"},
        "notifications": {"new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}"}},
        "bindings": [
            {
                "count": bindings,
                "identity": "customer-{n}@example.com",
                "binding_type": ["apn", "fcm"],
                "message_types": [["new_message"], ["new_message", "added_to_channel"]],
                "age_days": [3, 40, 200],
            }
        ],
    }
    credentials = [{"name": name, "type": kind, "updated_days_ago": 20} for name, kind in _CREDENTIALS]
    members = [
        {
            "friendly_name": f"Customer {number}",
            "account_sid": f"AC{number:032x}",
            "auth_token": f"{number:032x}",
            "credentials": credentials,
            "services": [{**service, "name": f"Chat {place}"} for place in range(services)],
        }
        for number in range(1, accounts + 1)
    ]
    main = {"now": "2026-06-15T08:00:00Z", "account_sid": f"AC{0:032x}", "auth_token": f"{0:032x}"}
    return make_company({**main, "accounts": members})


_CREDENTIALS = (("iOS", "apn"), ("Android", "fcm"))


def described(world: World) -> dict[str, Any]:
    """An account's login, and its services as the model takes them."""
    services = []
    for service in world.services.values():
        types = Counter(binding.binding_type for binding in service.bindings)
        is_on = any(isinstance(push, dict) and push.get("enabled") for push in (service.notifications or {}).values())
        services.append([[types[kind] for kind in TYPES], is_on])
    return {"login": [world.account_sid, world.auth_token], "services": services}


def main(world: str, latency: str = "0", sizes: str = "docs", most: str = "0") -> None:
    """Serve until SIGTERM; `latency` is the time before each answer in seconds, `most` the requests at a time."""
    kind, *numbers = world.split(":")
    company = served(kind, *map(int, numbers))
    faults = Faults(latency=float(latency), most_at_once=int(most))
    maxima = PageSizes("openapi" if sizes == "openapi" else "docs")
    with StandInServer(company, maxima, faults=faults, prerendered=True) as server:
        accounts = [described(member.world) for member in company.members]
        login = [company.main.account_sid, company.main.auth_token]
        print(json.dumps({"url": server.url, "login": login, "accounts": accounts}), flush=True)
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
