"""What a migration takes: a model of its requests, time, memory and storage, from few parameters with a meaning.

It is pure: a shape (`Account`, `Service`) and `Limits` go in, with the `Costs` of this program that `bench.scale` has
measured, and a `Taken` for each stage comes out. Requests are counted as the program sends them (`docs.scale_work`).
Seconds lie between the largest of three bounds (the accounts with their round trips and their processing, so many
side by side; all requests, so many at a time; all processing, on as many processors as the program keeps busy, and of
no account faster than by itself) and waiting and processing one after the other: the model takes the middle.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from docs.scale_work import (
    BATCH_ROWS,
    LISTED,
    MOST_PART_ROWS,
    ROWS_A_TASK,
    ROWS_IN_HAND,
    STAGES,
    Account,
    Limits,
    Stage,
    Work,
    pages,
    work_of,
)
from migrate.load.rate_limit import WRITES_PER_SECOND

_MOST_MAPPED = 4  # accounts that are mapped at a time, if there are so many processors
_DATABASE = 512_000_000  # bytes that DuckDB takes before it goes to the disk (storage/database.py)
MB = 1_000_000


@dataclass(frozen=True)
class PerRow:
    """What a binding costs in a stage: seconds of processor time, bytes of memory while it is in hand, bytes left."""

    seconds: float = 0.0
    memory: float = 0.0
    stored: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What this program itself takes in one stage; those that write count the services that they write to.

    Seconds of processor time for the command, an account, a service and a request (`start` … `request`), seconds
    that the command waits for its disk (`idle`), and how many processors it keeps busy: with the bindings of one
    account by itself (`parallel`), and with tiny accounts side by side (`together`); bytes of memory for the
    command and for an account that is worked on; bytes that it leaves on the disk for the command, an account and a
    service; and what a binding costs. The bindings of a `small` service (up to 65,536) are mapped in another way
    than those of a `large` one; to the other stages both are the same.
    """

    start: float
    account: float
    service: float
    request: float
    idle: float
    parallel: float
    together: float
    memory: float
    memory_account: float
    stored: float
    stored_account: float
    stored_service: float
    large: PerRow
    small: PerRow


Costs = Mapping[Stage, Cost]
_FREE = Cost(0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, PerRow(), PerRow())


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


def predict(accounts: Sequence[Account], limits: Limits, costs: Costs) -> dict[Stage, Taken]:
    """What each stage takes for a fleet of accounts."""
    return {stage: _taken(stage, accounts, limits, costs[stage]) for stage in STAGES}


def _taken(stage: Stage, accounts: Sequence[Account], limits: Limits, cost: Cost) -> Taken:
    works = [work_of(stage, account, limits) for account in accounts]
    most = side_by_side(stage, limits)
    listing = pages(len(accounts) + 1, LISTED) if stage != "map" else 0  # the main account is in the list, too
    requests, services = sum(work.requests for work in works), sum(work.services for work in works)
    worked = sum(_before(work, cost) + _then(work, cost) for work in works)
    waited = (listing + limits.handshake * bool(listing)) * limits.latency
    busy = min(limits.processors, cost.together if len(works) > 1 else cost.parallel)
    own = makespan([_before(work, cost) + _alone(work, cost, limits.processors) for work in works], most)
    bounds = {
        "round trips": makespan([_seconds(work, limits, cost) for work in works], most),
        "requests at a time": requests * limits.latency / limits.all_at_a_time,
        "processor": max(own, worked / busy),
    }
    decides = max(bounds, key=lambda name: bounds[name])
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

    Of an extract these are the parts of all chains that are not written yet; of map, as many tasks as there are
    processors (a service has one, or one for each 500,000), and at most 65,536 bindings of each; verify has all of
    them, until DuckDB goes to the disk.
    """
    services = [service for account in accounts for service in account.services]
    if stage == "extract":
        chains = [count for one in services for count in (one.bindings if limits.shard else (one.rows,))]
        return large.memory * min(ROWS_IN_HAND, sum(min(count, MOST_PART_ROWS) for count in chains))
    if stage == "map":
        tasks = [one for one in services for _ in range(min(limits.processors, pages(one.rows, ROWS_A_TASK)))]
        largest = heapq.nlargest(limits.processors, tasks, key=lambda one: one.rows)
        return sum((small if one.is_small else large).memory * min(one.rows, BATCH_ROWS) for one in largest)
    if stage != "verify":
        return 0.0
    return min(large.memory * sum(one.rows for one in services), _DATABASE)


def _seconds(work: Work, limits: Limits, cost: Cost) -> float:
    """An account by itself: what comes one after the other, then its chains, a page while that before it is read."""
    before = (work.ahead + limits.handshake * work.opens) * limits.latency + _before(work, cost)
    chains = max(work.walking * limits.latency, _alone(work, cost, limits.processors))
    return max(before + chains, work.writes / WRITES_PER_SECOND)


def _before(work: Work, cost: Cost) -> float:
    """Seconds of processor time before the chains and the bindings, or without them."""
    return cost.account + cost.service * work.services + cost.request * (work.requests - work.chained)


def _then(work: Work, cost: Cost) -> float:
    """Seconds of processor time for the chains and the bindings."""
    return cost.request * work.chained + cost.large.seconds * work.large + cost.small.seconds * work.small


def _alone(work: Work, cost: Cost, processors: int) -> float:
    """Seconds that the same takes if no other account is worked on."""
    piece = max(cost.large.seconds * work.large_piece, cost.small.seconds * work.small_piece)
    return max(_then(work, cost) / min(cost.parallel, processors), piece)


def makespan(seconds: Sequence[float], at_a_time: int) -> float:
    """When the last of these jobs ends, if each begins as soon as one of so many places is free, in their order."""
    places = [0.0] * min(at_a_time, max(1, len(seconds)))
    for one in seconds:
        heapq.heapreplace(places, places[0] + one)
    return max(places)
