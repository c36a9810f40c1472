"""A stand-in for measuring, in a process of its own: `python -m bench.standin WORLD [LATENCY]`.

Its pages are of the sizes that Twilio documents, and stay as they are first served. It prints its address, the
account of its login, the token, and how many bindings there are.

WORLD is a world file, or `fleet:ACCOUNTS:BINDINGS`, an invented company, or `account:ACCOUNTS:BINDINGS`, one account
that has all services of that company.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from migrate.standin.company import Company, seeded_company
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from migrate.standin.world import World, load_world


def invented(kind: str, accounts: int, bindings: int) -> World | Company:
    """A company without suspended, refused or throttled accounts, or all that it has in its main account."""
    company = seeded_company(accounts, bindings, suspended=0, refused=0, throttled=0)
    if kind == "fleet":
        return company
    worlds = [member.world for member in company.members]
    return replace(
        company.main,
        services={sid: service for world in worlds for sid, service in world.services.items()},
        credentials={sid: credential for world in worlds for sid, credential in world.credentials.items()},
    )


def main(world: str, latency: str = "0") -> None:
    """Serve until SIGTERM; `latency` is the time before each answer, in seconds."""
    kind, *numbers = world.split(":")
    served = invented(kind, *map(int, numbers)) if kind in ("fleet", "account") else load_world(Path(world))
    faults = Faults(latency=float(latency))
    with StandInServer(served, PageSizes("docs"), faults=faults, prerendered=True) as server:
        worlds = [member.world for member in served.members] if isinstance(served, Company) else [served]
        rows = sum(len(service.bindings) for one in worlds for service in one.services.values())
        print(server.url, server.world.account_sid, server.world.auth_token, rows, flush=True)
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
