"""What each stage does for an account: the requests that the program sends, which wait for others, and its bindings.

It is pure, and part of the model of what a migration takes (`docs.scale_model`). Requests are exact where none is
refused and none fails; `docs.scale_refused` estimates what a limit refuses, and failures are not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from docs.scale_refused import Throttled
from migrate.extract.source import BINDING_TYPES
from migrate.fleet.accounts import AT_A_TIME
from migrate.twilio_api.connect import TOTAL_CONCURRENCY
from migrate.twilio_api.limits import DEFAULT_CONCURRENCY, DEFAULT_PAGE_SIZE

Stage = Literal["extract", "map", "load", "load --apply", "verify", "rollback --apply"]
STAGES: tuple[Stage, ...] = ("extract", "map", "load", "load --apply", "verify", "rollback --apply")
TYPES = BINDING_TYPES["chat"]  # a service is read as one chain for each
LISTED = 1_000  # accounts a page of the Accounts API has at most (FACTS.md, "Accounts and subaccounts")
_LOOKS_AT_ALERTS = 2  # requests for an account without push errors: may they be read, and one page
_WRITE_TRIPS = 3  # a look, the write, and what came of it, one after the other
# What the program has in modules that bring Arrow; a test compares. The size of a process that measures others counts
# for theirs, too.
MOST_PART_ROWS, ROWS_IN_HAND, BATCH_ROWS = 20_000, 160_000, 65_536
_FILTER, _LANES = 4_000, 32  # characters of identities in an address, and chains of them (extract/identities.py)
ROWS_A_TASK = 500_000  # bindings of one service that are mapped by one processor at a time (map/mapping.py)


@dataclass(frozen=True)
class Service:
    """A service: its bindings of each of `TYPES`, and whether a load has something to write to it."""

    bindings: tuple[int, ...]
    changes: bool = True

    @property
    def rows(self) -> int:
        """All its bindings."""
        return sum(self.bindings)

    @property
    def is_small(self) -> bool:
        """Whether its bindings are mapped in one go."""
        return self.rows <= BATCH_ROWS


@dataclass(frozen=True)
class Account:
    """An account: its services, and how many push credentials it has."""

    services: tuple[Service, ...]
    credentials: int = 2

    @property
    def rows(self) -> int:
        """All its bindings."""
        return sum(service.rows for service in self.services)

    @property
    def changes(self) -> int:
        """How many services a load writes to."""
        return sum(service.changes for service in self.services)


@dataclass(frozen=True)
class Limits:
    """What Twilio, the network and the command line allow.

    `latency` is seconds from a request to the end of its answer, `handshake` how many of these a new connection takes
    before (TCP and TLS: 2). `chat_page` and `conversations_page` are the records that a page brings. `at_a_time` is
    requests at a time for one account (`--concurrency`), of which Twilio answers `allowed`, and the others 429; 0: it
    answers all. `all_at_a_time` is for all accounts, `accounts_at_a_time` how many accounts are worked on.
    `processors` is how many the machine has.

    `shard` reads a service as one chain for each type. With `identity_characters`, the length of an identity in an
    address, it is read by an identity file, and each identity has `bindings_per_identity`.
    """

    latency: float = 0.15
    handshake: float = 2.0
    chat_page: int = DEFAULT_PAGE_SIZE
    conversations_page: int = DEFAULT_PAGE_SIZE
    at_a_time: int = DEFAULT_CONCURRENCY
    allowed: int = 0
    all_at_a_time: int = TOTAL_CONCURRENCY
    accounts_at_a_time: int = AT_A_TIME
    processors: int = 2
    shard: bool = True
    identity_characters: int = 0
    bindings_per_identity: float = 2.0


@dataclass(frozen=True)
class Work:
    """What one stage does for one account.

    `ahead` are round trips one after the other before its chains, or without them; `walking` those of its chains side
    by side, `chained` the requests of all of them. Attempts that are refused are requests, too. `large_piece` and
    `small_piece` are the most bindings that one processor maps while others have nothing more to do.
    """

    requests: int
    ahead: int
    walking: float
    chained: int
    services: int
    large: int = 0  # bindings that are read, of services that are not small
    small: int = 0
    large_piece: int = 0
    small_piece: int = 0
    writes: int = 0
    opens: int = 1  # how often connections are made

    @property
    def rows(self) -> int:
        """All bindings that are read."""
        return self.large + self.small


def pages(records: int, size: int) -> int:
    """The requests for a list: an empty one has a page, too."""
    return max(1, -(-records // size))


@lru_cache(maxsize=1024)  # many accounts are alike
def work_of(stage: Stage, account: Account, limits: Limits) -> Work:
    """The requests of a stage for an account, and which of them wait for others."""
    many, small = len(account.services), sum(one.rows for one in account.services if one.is_small)
    large = account.rows - small
    if stage == "map":
        piece = max((min(one.rows, ROWS_A_TASK) for one in account.services if not one.is_small), default=0)
        return Work(0, 0, 0, 0, many, large, small, piece, min(small, BATCH_ROWS), opens=0)
    if stage in ("load --apply", "rollback --apply"):
        return _writing(stage, account, limits)
    throttled = Throttled(limits.latency, limits.at_a_time, limits.allowed)
    if stage == "load":
        rounds, attempts = throttled.walk([1] * many)
        return Work(attempts, math.ceil(rounds), 0, 0, many)
    size, looks = (limits.chat_page, _LOOKS_AT_ALERTS) if stage == "extract" else (limits.conversations_page, 0)
    services, credentials = pages(many, min(size, LISTED)), pages(account.credentials, size)
    # The push settings of each service are read beside the list of credentials.
    rounds, tables = throttled.walk([credentials, *[1] * many])
    # Verify reads what is live through Conversations, each service as one chain.
    is_sharded = stage == "extract" and limits.shard
    walking, chained = throttled.walk(
        [length for one in account.services for length in _chains(one, size, limits, is_sharded=is_sharded)]
    )
    return Work(
        requests=services + tables + looks + chained,
        ahead=services + math.ceil(rounds) + looks,
        walking=walking,
        chained=chained,
        services=many,
        large=large,
        small=small,
    )


def _chains(service: Service, size: int, limits: Limits, *, is_sharded: bool) -> list[int]:
    """The requests of each chain of a service."""
    if not limits.identity_characters or not service.rows:
        return [pages(count, size) for count in (service.bindings if is_sharded else (service.rows,))]
    identities = math.ceil(service.rows / limits.bindings_per_identity)
    a_batch = max(1, _FILTER // (len("&Identity=") + limits.identity_characters))
    batches = pages(identities, a_batch)
    lanes = min(_LANES, batches)
    of_each = pages(math.ceil(min(identities, a_batch) * limits.bindings_per_identity), size)
    return [((lane + 1) * batches // lanes - lane * batches // lanes) * of_each for lane in range(lanes)]


def _writing(stage: Stage, account: Account, limits: Limits) -> Work:
    """A look at what is to be written, before all of it is confirmed; another one, and then write by write."""
    changes = account.changes
    if not changes:
        return Work(0, 0, 0, 0, 0, opens=0)
    throttled, writes = Throttled(limits.latency, limits.at_a_time, limits.allowed), _WRITE_TRIPS * changes
    rounds, attempts = throttled.walk([1] * changes)
    look = math.ceil(rounds)
    if stage == "load --apply":  # the second look is at one service, for the time that it is there
        return Work(attempts + 1 + writes, look + 1 + writes, 0, 0, changes, writes=changes, opens=2)
    return Work(2 * attempts + writes, 2 * look + writes, 0, 0, changes, writes=changes, opens=2)


def spread(
    accounts: int, bindings: int, *, services: int = 2, largest: float = 0.0, types: int = 2, changing: float = 1.0
) -> list[Account]:
    """Accounts with so many services each, of which the share `changing` is written to; all bindings, of so many
    `types`, are spread evenly but for the share `largest`, which the first account has.
    """
    first = max(round(bindings * largest), -(-bindings // accounts))
    others = divmod(bindings - first, max(1, accounts - 1))
    found = []
    for number in range(accounts):
        rows = first if number == 0 else others[0] + (number <= others[1])
        made = []
        for place in range(services):
            count, rest = divmod(rows // services + (place < rows % services), types)
            per_type = tuple(count + (kind < rest) if kind < types else 0 for kind in range(len(TYPES)))
            made.append(Service(per_type, (number * services + place) * changing % 1 < changing))
        found.append(Account(tuple(made)))
    return found
