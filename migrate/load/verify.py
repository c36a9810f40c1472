"""Verify: which bindings of a snapshot have a subscription in Conversations, one partition at a time.

A partition is one service, or of a huge one the identities that fall into one bucket of hashes. Partitions know
nothing of each other, and their counts add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from migrate.model.coverage import Counts
from migrate.model.registration import CHAT_NAMES, CONVERSATIONS_NAMES, SHARED_NAME, SUCCESSORS
from migrate.snapshot.database import MEMORY_LIMIT, over_views

ROWS_A_BUCKET = 4_000_000  # of both sides: their texts fit into memory
Parts = Sequence[tuple[Path, int]]  # Parquet files, and how many rows each has

_PLATFORM = "CASE binding_type {} ELSE binding_type END".format(
    " ".join(f"WHEN '{former}' THEN '{successor}'" for former, successor in SUCCESSORS.items())
)
_SEEN = """
    CREATE TEMP TABLE seen AS
    SELECT identity, endpoint, {platform} AS platform, is_ready FROM (
        SELECT *, coalesce({is_ready}, false) AS is_ready FROM live WHERE {bucket}
    ) AS judged
    WHERE is_ready OR {is_unclear}
"""
_SIGNS = "CREATE TEMP VIEW signs AS SELECT identity, endpoint, platform FROM seen WHERE is_ready"
_HELD = """
    CREATE TEMP TABLE held AS
    SELECT identity, endpoint, {platform} AS platform, {listed}
        coalesce(epoch_us(coalesce(date_updated, date_created)) < $born_after, false) AS is_expired
    FROM source WHERE {bucket}
"""
# The same device: identity and endpoint. What is null is nobody's, and no device.
_WAITING = """
    CREATE TEMP VIEW waiting AS FROM held WHERE NOT is_expired AND NOT EXISTS (
        FROM signs WHERE signs.identity = held.identity AND signs.endpoint = held.endpoint)
"""
_WAITING_COUNTS = "CREATE TEMP TABLE wanted AS SELECT identity, platform, count(*) AS n FROM waiting GROUP BY ALL"
# A sign that is some binding's own device, be it an expired one's, is not another's successor.
_FREE = """
    CREATE TEMP TABLE free AS SELECT identity, platform, count(*) AS n FROM signs WHERE NOT EXISTS (
        FROM held WHERE signs.identity = held.identity AND signs.endpoint = held.endpoint)
    GROUP BY ALL
"""
_COUNTS = {
    "bindings": "SELECT platform, count(*) FROM held GROUP BY ALL",
    "expired": "SELECT platform, count(*) FROM held WHERE is_expired GROUP BY ALL",
    "waiting": "SELECT platform, sum(n)::BIGINT FROM wanted GROUP BY ALL",
    "free": "SELECT platform, sum(n)::BIGINT FROM free GROUP BY ALL",
    "unclear": "SELECT platform, count(*) FROM seen WHERE NOT is_ready GROUP BY ALL",
    # One to one: two phones and one that came back make one ready, and one that is still waited for.
    "ready_platform": """
        SELECT wanted.platform, sum(least(wanted.n, free.n))::BIGINT
        FROM wanted JOIN free ON wanted.identity = free.identity AND wanted.platform = free.platform GROUP BY ALL
    """,
}
# Of several devices the ones seen last are taken for those that came back; the others are pending.
_RANKED = """
    CREATE TEMP VIEW ranked AS SELECT *,
        row_number() OVER (PARTITION BY identity, platform ORDER BY last_seen DESC NULLS LAST, sid) AS place
    FROM waiting
"""
_PENDING = """
    SELECT ranked.identity, endpoint, ranked.platform, last_seen, sid FROM ranked
    LEFT JOIN free ON ranked.identity = free.identity AND ranked.platform = free.platform
    WHERE place > coalesce(free.n, 0)
"""


# Who is ready, as the snapshot has it; and whether Conversations lists the very same binding.
_READY = """
    SELECT source.* EXCLUDE (account_sid, date_created, extra), found.by_platform,
        EXISTS (FROM live WHERE live.sid = source.sid) AS is_shared
    FROM source JOIN (
        SELECT sid, false AS by_platform FROM held WHERE NOT is_expired AND EXISTS (
            FROM signs WHERE signs.identity = held.identity AND signs.endpoint = held.endpoint)
        UNION ALL
        SELECT sid, true FROM ranked
        JOIN free ON ranked.identity = free.identity AND ranked.platform = free.platform WHERE place <= free.n
    ) AS found USING (sid)
"""


@dataclass(frozen=True)
class Terms:
    """What the comparison goes by: bindings last registered before `born_after` have expired; SDKs' prefixes."""

    born_after: datetime
    chat_prefixes: tuple[str, ...]
    conversations_prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Partition:
    """One piece of the comparison: paths and values, for any process to do.

    `source` and `live` are the Parquet parts of a service's bindings, from the snapshot and as they are now; of their
    identities those count whose hash falls into `bucket` of `buckets`. `pending` and `ready` are the Parquet files to
    write the bindings to that are still waited for, and those that are ready, if anybody wants them. `scratch` is a
    private folder for what does not fit into `memory_limit`.
    """

    source: tuple[Path, ...]
    live: tuple[Path, ...]
    terms: Terms
    scratch: Path
    bucket: int = 0
    buckets: int = 1
    pending: Path | None = None
    ready: Path | None = None
    memory_limit: str = MEMORY_LIMIT


def partitions(
    source: Parts,
    live: Parts,
    terms: Terms,
    scratch: Path,
    *,
    pending: str | None = None,
    ready: str | None = None,
    rows_a_bucket: int = ROWS_A_BUCKET,
    memory_limit: str = MEMORY_LIMIT,
) -> list[Partition]:
    """The comparison of one service, cut into pieces of about so many rows; none where there is nothing to compare.

    `pending` and `ready` are how the names of the files in `scratch` begin that list who is.
    """

    def file(name: str | None, bucket: int) -> Path | None:
        return scratch / f"{name}-{bucket:05}.parquet" if name else None

    buckets = -(-sum(rows for _, rows in [*source, *live]) // rows_a_bucket)
    return [
        Partition(
            source=tuple(path for path, _ in source),
            live=tuple(path for path, _ in live),
            terms=terms,
            scratch=scratch,
            bucket=bucket,
            buckets=buckets,
            pending=file(pending, bucket),
            ready=file(ready, bucket),
            memory_limit=memory_limit,
        )
        for bucket in range(buckets)
    ]


def verify_partition(partition: Partition) -> dict[str | None, Counts]:
    """Compare one partition, and count by platform.

    The pending file has the columns identity, endpoint, platform, last_seen, sid; the ready file has those of a
    binding in the snapshot, by_platform and is_shared. Neither the order of the rows nor how they are cut into parts
    and buckets changes anything. Raises `MigrateError` where the disk is full, or memory.
    """
    views = {"source": partition.source, "live": partition.live}
    with over_views(views, partition.scratch, partition.memory_limit) as database:
        _prepare(database, partition)
        found = {name: dict(database.execute(query).fetchall()) for name, query in _COUNTS.items()}
        if partition.pending:
            database.sql(_PENDING).write_parquet(str(partition.pending), compression="zstd")
        if partition.ready:
            database.sql(_READY).write_parquet(str(partition.ready), compression="zstd")
    platforms = {platform for numbers in found.values() for platform in numbers}
    return {
        platform: _counts({name: numbers.get(platform, 0) for name, numbers in found.items()})
        for platform in platforms
    }


def add_up(parts: Iterable[Mapping[str | None, Counts]]) -> dict[str | None, Counts]:
    """The counts of some partitions together, in the order of the platforms' names."""
    sums: dict[str | None, Counts] = {}
    for part in parts:
        for platform, counts in part.items():
            sums[platform] = sums.get(platform, Counts()) + counts
    return dict(sorted(sums.items(), key=lambda item: (item[0] is None, item[0] or "")))


def _prepare(database: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    """The tables of both sides: what is held, what is seen, who waits, and which signs are still free."""
    terms = partition.terms
    bucket = f"hash(identity) % {partition.buckets} = {partition.bucket}" if partition.buckets > 1 else "true"
    is_ready = _has_name(CONVERSATIONS_NAMES, terms.conversations_prefixes)
    is_chats = _has_name(CHAT_NAMES, terms.chat_prefixes)
    shares = f"(message_types IS NULL OR list_contains(message_types, '{SHARED_NAME}'))"
    is_unclear = f"({shares} AND NOT coalesce({is_chats}, false))"
    listed = "sid, coalesce(date_updated, date_created) AS last_seen," if partition.pending or partition.ready else ""
    born_after = int(terms.born_after.timestamp()) * 1_000_000 + terms.born_after.microsecond
    database.execute(_SEEN.format(platform=_PLATFORM, is_ready=is_ready, is_unclear=is_unclear, bucket=bucket))
    database.execute(_HELD.format(platform=_PLATFORM, listed=listed, bucket=bucket), {"born_after": born_after})
    for statement in (_SIGNS, _WAITING, _WAITING_COUNTS, _FREE, *([_RANKED] if listed else [])):
        database.execute(statement)


def _has_name(names: Sequence[str], prefixes: Sequence[str]) -> str:
    """SQL: whether a binding's message types have one of these names, or one with such a prefix. Null for no list."""
    tests = [f"name IN ({', '.join(map(_quoted, names))})"]
    tests += [f"starts_with(name, {_quoted(prefix)})" for prefix in prefixes]
    return f"len([name FOR name IN message_types IF {' OR '.join(tests)}]) > 0"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _counts(numbers: dict[str, int]) -> Counts:
    ready_platform, waiting = numbers["ready_platform"], numbers["waiting"]
    return Counts(
        bindings=numbers["bindings"],
        ready_device=numbers["bindings"] - numbers["expired"] - waiting,
        ready_platform=ready_platform,
        pending=waiting - ready_platform,
        expired=numbers["expired"],
        new=numbers["free"] - ready_platform,
        unclear=numbers["unclear"],
    )
