"""What a migration takes: a model of its requests, time, memory and storage, from few parameters with a meaning.

It is pure: a shape (`Account`, `Service`) and `Limits` go in, with the `Costs` of this program that `bench.scale` has
measured, and a `Taken` for each stage comes out. Requests are counted as the program sends them, where none fails.
Seconds lie between the largest of three bounds (the accounts with their round trips and their processing, so many
side by side; all requests, so many at a time; all processing, on as many processors as the program keeps busy) and
waiting and processing one after the other: the model takes the middle.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from migrate.extract.source import BINDING_TYPES
from migrate.fleet.accounts import AT_A_TIME
from migrate.load.rate_limit import WRITES_PER_SECOND
from migrate.twilio_api.connect import TOTAL_CONCURRENCY
from migrate.twilio_api.limits import DEFAULT_CONCURRENCY, DEFAULT_PAGE_SIZE

Stage = Literal["extract", "map", "load", "load --apply", "verify", "rollback --apply"]
STAGES: tuple[Stage, ...] = ("extract", "map", "load", "load --apply", "verify", "rollback --apply")
TYPES = BINDING_TYPES["chat"]  # a service is read as one chain for each
_LISTED = 1_000  # accounts a page of the Accounts API has at most (FACTS.md, "Accounts and subaccounts")
_LOOKS_AT_ALERTS = 2  # requests for an account without push errors: may they be read, and one page
_WRITE_TRIPS = 3  # a look, the write, and what came of it, one after the other
# What the program has in modules that bring Arrow; a test compares. The size of a process that measures others counts
# for theirs, too.
MOST_PART_ROWS, ROWS_IN_HAND, BATCH_ROWS = 20_000, 160_000, 65_536
_FILTER, _LANES = 4_000, 32  # characters of identities in an address, and chains of them (extract/identities.py)
_MOST_MAPPED = 4  # accounts that are mapped at a time, if there are so many processors
_DATABASE = 512_000_000  # bytes that DuckDB takes before it goes to the disk (storage/database.py)
MB = 1_000_000


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
    requests at a time for one account, the smaller of `--concurrency` and of what Twilio lets through before it
    answers 429; `all_at_a_time` for all accounts, `accounts_at_a_time` how many accounts are worked on. `processors`
    is how many the machine has.

    `shard` reads a service as one chain for each type. With `identity_characters`, the length of an identity in an
    address, it is read by an identity file, and each identity has `bindings_per_identity`.
    """

    latency: float = 0.15
    handshake: float = 2.0
    chat_page: int = DEFAULT_PAGE_SIZE
    conversations_page: int = DEFAULT_PAGE_SIZE
    at_a_time: int = DEFAULT_CONCURRENCY
    all_at_a_time: int = TOTAL_CONCURRENCY
    accounts_at_a_time: int = AT_A_TIME
    processors: int = 2
    shard: bool = True
    identity_characters: int = 0
    bindings_per_identity: float = 2.0


@dataclass(frozen=True)
class PerRow:
    """What a binding costs in a stage: seconds of processor time, bytes of memory while it is in hand, bytes left."""

    seconds: float = 0.0
    memory: float = 0.0
    stored: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What this program itself takes in one stage; those that write count the services that they write to.

    Seconds of processor time for the command, an account, a service and a request (`start` … `request`), seconds that
    the command waits for its disk (`idle`), and how many processors it keeps busy (`parallel`); bytes of memory for
    the command and for an account that is worked on; bytes that it leaves on the disk for the command, an account
    and a service; and what a binding costs. The bindings of a `small` service (up to 65,536) are mapped in another
    way than those of a `large` one, without compression; to the other stages both are the same.
    """

    start: float
    account: float
    service: float
    request: float
    idle: float
    parallel: float
    memory: float
    memory_account: float
    stored: float
    stored_account: float
    stored_service: float
    large: PerRow
    small: PerRow


Costs = Mapping[Stage, Cost]
_FREE = Cost(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, PerRow(), PerRow())


@dataclass(frozen=True)
class Work:
    """What one stage does for one account.

    `ahead` are round trips one after the other before its chains, or without them; `longest` is the round trips of
    its longest chain, `chained` the requests of all of them.
    """

    requests: int
    ahead: int
    longest: int
    chained: int
    services: int
    large: int = 0  # bindings that are read, of services that are not small
    small: int = 0
    writes: int = 0
    opens: int = 1  # how often connections are made

    @property
    def rows(self) -> int:
        """All bindings that are read."""
        return self.large + self.small

    def processor(self, cost: Cost) -> float:
        """Seconds of processor time beside those of the account and its services."""
        return cost.request * self.requests + cost.large.seconds * self.large + cost.small.seconds * self.small


@dataclass(frozen=True)
class Taken:
    """What one stage takes: requests, seconds, processor seconds, peak memory and what it leaves, in bytes.

    `decides` is what most of the seconds come from.
    """

    requests: int
    seconds: float
    processor: float
    memory: float
    stored: float
    decides: str


def pages(records: int, size: int) -> int:
    """The requests for a list: an empty one has a page, too."""
    return max(1, -(-records // size))


def work_of(stage: Stage, account: Account, limits: Limits) -> Work:
    """The requests of a stage for an account, and which of them wait for others."""
    many, small = len(account.services), sum(one.rows for one in account.services if one.is_small)
    large = account.rows - small
    if stage == "map":
        return Work(0, 0, 0, 0, many, large, small, opens=0)
    if stage == "load":
        return Work(many, -(-many // limits.at_a_time), 0, 0, many)
    if stage in ("load --apply", "rollback --apply"):
        return _writing(stage, account, limits)
    size, looks = (limits.chat_page, _LOOKS_AT_ALERTS) if stage == "extract" else (limits.conversations_page, 0)
    # Verify reads what is live through Conversations, each service as one chain.
    is_sharded = stage == "extract" and limits.shard
    lengths = [length for one in account.services for length in _chains(one, size, limits, is_sharded=is_sharded)]
    services, credentials = pages(many, min(size, _LISTED)), pages(account.credentials, size)
    tables = credentials + many  # the push settings of each service, beside the list of credentials
    return Work(
        requests=services + tables + looks + sum(lengths),
        ahead=services + max(credentials, -(-tables // limits.at_a_time)) + looks,
        longest=max(lengths, default=0),
        chained=sum(lengths),
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
    look, writes = -(-changes // limits.at_a_time), _WRITE_TRIPS * changes
    if stage == "load --apply":  # the second look is at one service, for the time that it is there
        return Work(changes + 1 + writes, look + 1 + writes, 0, 0, changes, writes=changes, opens=2)
    return Work(2 * changes + writes, 2 * look + writes, 0, 0, changes, writes=changes, opens=2)


def predict(accounts: Sequence[Account], limits: Limits, costs: Costs) -> dict[Stage, Taken]:
    """What each stage takes for a fleet of accounts."""
    return {stage: _taken(stage, accounts, limits, costs[stage]) for stage in STAGES}


def _taken(stage: Stage, accounts: Sequence[Account], limits: Limits, cost: Cost) -> Taken:
    works = [work_of(stage, account, limits) for account in accounts]
    listing = pages(len(accounts) + 1, _LISTED) if stage != "map" else 0  # the main account is in the list, too
    requests, services = sum(work.requests for work in works), sum(work.services for work in works)
    worked = cost.account * len(works) + cost.service * services + sum(work.processor(cost) for work in works)
    waited = (listing + limits.handshake * bool(listing)) * limits.latency
    most = side_by_side(stage, limits)
    bounds = {
        "round trips": makespan([_seconds(work, limits, cost) for work in works], most),
        "requests at a time": requests * limits.latency / limits.all_at_a_time,
        "processor": worked / min(cost.parallel, limits.processors),
    }
    decides = max(bounds, key=lambda name: bounds[name])
    own = makespan([_seconds(work, replace(limits, latency=0.0), cost) for work in works], most)
    if decides == "round trips" and own > bounds[decides] / 2:  # of which most is no waiting
        decides = "processor"
    # Waiting and processing overlap in part: it takes at least the largest bound, at most both one after the other.
    least = max(bounds.values())
    waits = max(makespan([_seconds(work, limits, _FREE) for work in works], most), bounds["requests at a time"])
    at_most = waits + bounds["processor"]
    stored = cost.stored + cost.stored_account * len(works) + cost.stored_service * services
    stored += sum(cost.large.stored * work.large + cost.small.stored * work.small for work in works)
    open_accounts = cost.memory_account * min(len(works), most)
    return Taken(
        requests=requests + listing,
        seconds=cost.start + cost.idle + waited + (least + max(least, at_most)) / 2,
        processor=cost.start + worked,
        memory=cost.memory + open_accounts + in_hand(stage, accounts, limits, cost.large, cost.small),
        stored=stored,
        decides=decides,
    )


def side_by_side(stage: Stage, limits: Limits) -> int:
    """How many accounts are worked on at a time."""
    return min(_MOST_MAPPED, limits.processors) if stage == "map" else limits.accounts_at_a_time


def in_hand(stage: Stage, accounts: Sequence[Account], limits: Limits, large: PerRow, small: PerRow) -> float:
    """Bytes of memory for the bindings that are in hand at a time.

    Of an extract these are the parts of all chains that are not written yet; of map, as many services as there are
    processors, and at most 65,536 bindings of each; verify has all of them, until DuckDB goes to the disk.
    """
    services = [service for account in accounts for service in account.services]
    if stage == "extract":
        chains = [count for one in services for count in (one.bindings if limits.shard else (one.rows,))]
        return large.memory * min(ROWS_IN_HAND, sum(min(count, MOST_PART_ROWS) for count in chains))
    if stage == "map":
        largest = heapq.nlargest(limits.processors, services, key=lambda one: one.rows)
        return sum((small if one.is_small else large).memory * min(one.rows, BATCH_ROWS) for one in largest)
    if stage != "verify":
        return 0.0
    return min(large.memory * sum(one.rows for one in services), _DATABASE)


def _seconds(work: Work, limits: Limits, cost: Cost) -> float:
    """An account by itself: what comes one after the other, then its chains, a page while that before it is read."""
    own = cost.request * work.chained + cost.large.seconds * work.large + cost.small.seconds * work.small
    before = (work.ahead + limits.handshake * work.opens) * limits.latency
    before += cost.account + cost.service * work.services + cost.request * (work.requests - work.chained)
    chains = max(work.longest, work.chained / limits.at_a_time) * limits.latency
    return max(before + max(chains, own), work.writes / WRITES_PER_SECOND)


def makespan(seconds: Sequence[float], at_a_time: int) -> float:
    """When the last of these jobs ends, if each begins as soon as one of so many places is free, in their order."""
    places = [0.0] * min(at_a_time, max(1, len(seconds)))
    for one in seconds:
        heapq.heapreplace(places, places[0] + one)
    return max(places)


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
