"""Verify: which bindings of a snapshot have a subscription in Conversations, one partition at a time.

A partition is some small services, or one, or of a huge one the identities that fall into one bucket of hashes.
Partitions know nothing of each other, and their counts add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from migrate.model.registration import CHAT_NAMES, CONVERSATIONS_NAMES, SHARED_NAME, SUCCESSORS
from migrate.storage.database import MEMORY_LIMIT, over_views
from migrate.verify.coverage import Counts

ROWS_A_BUCKET = 4_000_000  # of both sides: their texts fit into memory
# Small services are compared together: a database costs more than to compare them.
ROWS_TOGETHER = 200_000
SERVICES_TOGETHER = 1_000
PartFiles = Sequence[tuple[Path, int]]  # Parquet files, and how many rows each has
Platforms = Mapping[str | None, Counts]

# `service` is a number, which costs less than a SID: a service's place among those of the partition.
_ONE_SERVICE = "CREATE TEMP VIEW {side} AS SELECT *, 0 AS service FROM {side}_parts"
_SOME_SERVICES = """
    CREATE TEMP TABLE {side} AS
    SELECT {side}_parts.* EXCLUDE (service_sid), service FROM {side}_parts JOIN services USING (service_sid)
"""
# What is gone comes back as its successor; that Conversations still lists it makes no device ready.
_PLATFORM = "CASE binding_type {} ELSE binding_type END".format(
    " ".join(f"WHEN '{former}' THEN '{successor}'" for former, successor in SUCCESSORS.items())
)
# What is empty is nobody's, and no device: as null.
_DEVICE = f"service, nullif(identity, '') AS identity, nullif(endpoint, '') AS endpoint, {_PLATFORM} AS platform"
_LAST_SEEN = "coalesce(date_updated, date_created)"
_SEEN = """
    CREATE TEMP TABLE seen AS
    SELECT {device}, {listed} is_ready FROM (
        SELECT *, coalesce({is_ready} AND {reaches}, false) AS is_ready FROM live
        WHERE {bucket} AND NOT coalesce(epoch_us({last_seen}) < $live_after, false)
    ) AS judged
    WHERE is_ready OR {is_unclear}
"""
_REGISTRATIONS = "CREATE TEMP VIEW registrations AS FROM seen WHERE is_ready"
_HELD = """
    CREATE TEMP TABLE held AS
    SELECT {device}, {listed} coalesce(epoch_us({last_seen}) < $born_after, false) AS is_expired
    FROM source WHERE {bucket}
"""
# The same device: identity, endpoint and push technology, by which a binding is unique (FACTS.md, "Binding").
_SAME = """
    registrations.service = held.service AND registrations.identity = held.identity
        AND registrations.endpoint = held.endpoint AND registrations.platform = held.platform
"""
_WAITING = (
    f"CREATE TEMP VIEW waiting AS FROM held WHERE NOT is_expired AND NOT EXISTS (FROM registrations WHERE {_SAME})"
)
_WAITING_COUNTS = """
    CREATE TEMP TABLE wanted AS SELECT service, identity, platform, count(*) AS n FROM waiting GROUP BY ALL
"""
# A registration of some binding's own device, even an expired one's, is not another's successor; and a device is one,
# however often it is listed.
_SPARE = f"CREATE TEMP VIEW spare AS FROM registrations WHERE NOT EXISTS (FROM held WHERE {_SAME})"
_FREE = """
    CREATE TEMP TABLE free AS
    SELECT service, identity, platform, count(DISTINCT endpoint) + count(*) FILTER (endpoint IS NULL) AS n
    FROM spare GROUP BY ALL
"""
_COUNTS = {
    "bindings": "SELECT service, platform, count(*) FROM held GROUP BY ALL",
    "expired": "SELECT service, platform, count(*) FROM held WHERE is_expired GROUP BY ALL",
    "waiting": "SELECT service, platform, sum(n)::BIGINT FROM wanted GROUP BY ALL",
    "free": "SELECT service, platform, sum(n)::BIGINT FROM free GROUP BY ALL",
    "unclear": "SELECT service, platform, count(*) FROM seen WHERE NOT is_ready GROUP BY ALL",
    # One to one: two phones and one that came back make one ready, and one that is still waited for.
    "ready_platform": """
        SELECT service, platform, sum(least(wanted.n, free.n))::BIGINT
        FROM wanted JOIN free USING (service, identity, platform) GROUP BY ALL
    """,
}
# Of several devices the ones seen last are taken for those that came back; the others are pending.
_RANKED = """
    CREATE TEMP VIEW ranked AS SELECT *,
        row_number() OVER (PARTITION BY service, identity, platform ORDER BY last_seen DESC NULLS LAST, sid) AS place
    FROM waiting
"""
_PENDING = """
    SELECT service_sid, ranked.identity, endpoint, ranked.platform, last_seen, sid
    FROM ranked JOIN services ON services.service = ranked.service
    LEFT JOIN free ON ranked.service = free.service AND ranked.identity = free.identity
        AND ranked.platform = free.platform
    WHERE place > coalesce(free.n, 0)
"""
# Who is ready, as the snapshot has it; by which registration, the latest of its device; and whether Conversations
# lists the very same binding.
_READY = """
    WITH devices AS (
        SELECT service, identity, endpoint, platform, max_by(sid, {latest}) AS sid FROM registrations GROUP BY ALL
        HAVING endpoint IS NOT NULL
    ),
    successors AS (
        SELECT *, row_number() OVER (
            PARTITION BY service, identity, platform ORDER BY last_seen DESC NULLS LAST, sid
        ) AS place
        FROM (SELECT service, identity, platform, max_by(sid, {latest}) AS sid, max(last_seen) AS last_seen FROM spare
              GROUP BY service, identity, platform, coalesce(endpoint, sid))
    ),
    found AS (
        SELECT held.service, held.sid, registrations.sid AS registration_sid
        FROM held JOIN devices AS registrations ON {same}
        WHERE NOT is_expired
        UNION ALL
        SELECT service, ranked.sid, successors.sid
        FROM ranked JOIN successors USING (service, identity, platform, place)
    )
    SELECT service_sid, source.* EXCLUDE (account_sid, extra, service), {registration} AS registration,
        EXISTS (FROM live AS shared WHERE shared.service = source.service AND shared.sid = source.sid) AS is_shared
    FROM found JOIN services USING (service)
        JOIN source ON source.service = found.service AND source.sid = found.sid
        JOIN live ON live.service = found.service AND live.sid = registration_sid
    {in_order}
"""
# Of the registration: all that made it count.
_OF_A_REGISTRATION = (
    "sid", "identity", "endpoint", "binding_type", "credential_sid", "message_types", "date_created", "date_updated",
)  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """What the comparison goes by: SDKs' prefixes, and since when a binding must have registered not to have expired:
    `born_after` those of the snapshot, `live_after` those that are live.
    """

    born_after: datetime
    live_after: datetime
    chat_prefixes: tuple[str, ...]
    conversations_prefixes: tuple[str, ...]


@dataclass(frozen=True)
class ServiceParts:
    """A service to compare: the Parquet parts of its bindings, from the snapshot and as they are now."""

    sid: str
    source: PartFiles
    live: PartFiles

    @property
    def rows(self) -> int:
        """How many bindings it has, of both sides."""
        return sum(rows for _, rows in [*self.source, *self.live])


@dataclass(frozen=True)
class Partition:
    """One piece of the comparison: paths and values, for any process to do.

    `source` and `live` are the Parquet parts of the bindings of `services`; of several, in the folder of each. Of
    their identities those count whose hash falls into `bucket` of `buckets`. `pending` and `ready` are the Parquet
    files to write the bindings to that are still waited for, and those that are ready, if anybody wants them.
    `scratch` is a private folder for what does not fit into `memory_limit`.
    """

    services: tuple[str, ...]
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
    services: Iterable[ServiceParts],
    terms: Terms,
    scratch: Path,
    *,
    pending: str | None = None,
    ready: str | None = None,
    rows_a_bucket: int = ROWS_A_BUCKET,
    memory_limit: str = MEMORY_LIMIT,
) -> list[Partition]:
    """The comparison of some services, cut into pieces of about so many rows at most, in their order.

    There is none of services that have nothing to compare. `pending` and `ready` are how the names of the files in
    `scratch` begin that list who is.
    """
    some = [(group, *bucket) for group in _groups(services) for bucket in _buckets(group, rows_a_bucket)]

    def file(name: str | None, number: int) -> Path | None:
        return scratch / f"{name}-{number:05}.parquet" if name else None

    return [
        Partition(
            services=tuple(service.sid for service in group),
            source=tuple(path for service in group for path, _ in service.source),
            live=tuple(path for service in group for path, _ in service.live),
            terms=terms,
            scratch=scratch,
            bucket=bucket,
            buckets=buckets,
            pending=file(pending, number),
            ready=file(ready, number),
            memory_limit=memory_limit,
        )
        for number, (group, bucket, buckets) in enumerate(some)
    ]


def _groups(services: Iterable[ServiceParts]) -> Iterator[list[ServiceParts]]:
    """Services to compare in one database: small ones, in their order, as many as are small together; or one."""
    group: list[ServiceParts] = []
    rows = 0
    for service in services:
        if group and (len(group) == SERVICES_TOGETHER or rows + service.rows > ROWS_TOGETHER):
            yield group
            group, rows = [], 0
        group.append(service)
        rows += service.rows
    if group:
        yield group


def _buckets(group: Sequence[ServiceParts], rows_a_bucket: int) -> list[tuple[int, int]]:
    """The buckets of a group, each with how many there are: one for several services, none for no bindings."""
    rows = sum(service.rows for service in group)
    buckets = min(rows, 1) if len(group) > 1 else -(-rows // rows_a_bucket)
    return [(bucket, buckets) for bucket in range(buckets)]


def verify_partition(partition: Partition) -> dict[str, dict[str | None, Counts]]:
    """Compare one partition, and count by service and platform.

    The pending file has the columns service_sid, identity, endpoint, platform, last_seen, sid; the ready file has
    service_sid, those of a binding in the snapshot, `registration`, the registration that makes its device ready, and
    is_shared. Neither the order of the rows nor how they are cut into parts and partitions changes anything. Raises
    `MigrateError` where the disk is full, or memory.
    """
    several = len(partition.services) > 1
    views = {"source_parts": partition.source, "live_parts": partition.live}
    with over_views(views, partition.scratch, partition.memory_limit, by_service=several) as database:
        places = range(len(partition.services))
        database.register("services", pa.table({"service_sid": partition.services, "service": places}))
        _prepare(database, partition)
        found = {
            name: {(service, platform): number for service, platform, number in database.execute(query).fetchall()}
            for name, query in _COUNTS.items()
        }
        if partition.pending:
            database.sql(_PENDING).write_parquet(str(partition.pending), compression="zstd")
        if partition.ready:
            database.sql(_ready(several=several)).write_parquet(str(partition.ready), compression="zstd")
    counts: dict[str, dict[str | None, Counts]] = {}
    for service, platform in {key for numbers in found.values() for key in numbers}:
        numbers = {name: numbers.get((service, platform), 0) for name, numbers in found.items()}
        counts.setdefault(partition.services[service], {})[platform] = _counts(numbers)
    return counts


def add_up(parts: Iterable[Platforms]) -> dict[str | None, Counts]:
    """The counts of some partitions together, in the order of the platforms' names."""
    sums: dict[str | None, Counts] = {}
    for part in parts:
        for platform, counts in part.items():
            sums[platform] = sums.get(platform, Counts()) + counts
    return dict(sorted(sums.items(), key=lambda item: (item[0] is None, item[0] or "")))


def _prepare(database: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    """The tables of both sides: what is held, what is seen, who waits, and which registrations are still free."""
    terms = partition.terms
    database.execute("SET preserve_insertion_order = false")  # which would cost time, and changes nothing here
    for side in ("source", "live"):
        database.execute((_SOME_SERVICES if len(partition.services) > 1 else _ONE_SERVICE).format(side=side))
    is_chats = _has_prefixed(CHAT_NAMES, terms.chat_prefixes)
    shares = f"(message_types IS NULL OR list_contains(message_types, '{SHARED_NAME}'))"
    listed = f"sid, {_LAST_SEEN} AS last_seen,"
    words = {
        "device": _DEVICE,
        "last_seen": _LAST_SEEN,
        "bucket": f"hash(identity) % {partition.buckets} = {partition.bucket}" if partition.buckets > 1 else "true",
        "is_ready": _is_conversations(terms),
        "reaches": f"coalesce(binding_type NOT IN ({', '.join(map(_quoted, SUCCESSORS))}), true)",
        "is_unclear": f"({shares} AND NOT coalesce({is_chats}, false))",
    }
    database.execute(
        _SEEN.format(**words, listed=listed if partition.ready else ""), {"live_after": _epoch(terms.live_after)}
    )
    database.execute(
        _HELD.format(**words, listed=listed if partition.pending or partition.ready else ""),
        {"born_after": _epoch(terms.born_after)},
    )
    for statement in (_REGISTRATIONS, _WAITING, _WAITING_COUNTS, _SPARE, _FREE):
        database.execute(statement)
    if partition.pending or partition.ready:
        database.execute(_RANKED)


def _ready(*, several: bool) -> str:
    """The query for who is ready; of several services, in their order."""
    return _READY.format(
        same=_SAME,
        latest="(last_seen IS NOT NULL, last_seen, sid)",  # DuckDB takes a null for the greatest
        in_order="ORDER BY found.service, found.sid" if several else "",
        registration=f"{{{', '.join(f'{name}: live.{name}' for name in _OF_A_REGISTRATION)}}}",
    )


def _epoch(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000 + time.microsecond


def _is_conversations(terms: Terms) -> str:
    """SQL: whether message types are such as only the Conversations SDK registers. Null for no list."""
    return _has_prefixed(CONVERSATIONS_NAMES, terms.conversations_prefixes)


def _has_prefixed(names: Sequence[str], prefixes: Sequence[str]) -> str:
    """SQL: whether message types have one of these names, or one with such a prefix. Null for no list."""
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
